"""What one answer does to the open writer's voice, before any nightly run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app import wiring
from app.wiring import PenPal
from core.session import Writer
from core.store import Store
from models.personal_encoder import GaussianEncoder
from tests.app.conftest import LATENT_SIZE, answer, learned
from tests.hooked_decoder import HookedDecoder


@pytest.fixture
def opened(decoder: HookedDecoder) -> Iterator[PenPal]:
    penpal = wiring.open_penpal()
    yield penpal
    penpal.store.close()


def lean(writer: Writer) -> float:
    """How warm the voice is: what `ScriptedTextEncoder` reads in a '!'."""
    assert isinstance(writer.voice.encoder, GaussianEncoder)
    return float(writer.voice.encoder.parts.mean[0])


def picked(store: Store, prompt: str) -> int:
    """The turn of a pick of the warm draft."""
    answer(store, prompt)
    return store.turns(store.conversations()[0].id)[-1].id


def test_each_answer_moves_the_open_voice_once(opened: PenPal, store: Store) -> None:
    writer = opened.writer()
    assert lean(writer) == 0
    turn_id = picked(store, "One")
    assert opened.learn_now(writer, turn_id) == 1
    first = lean(writer)
    assert first > 0.1
    assert opened.learn_now(writer, turn_id) is None
    assert lean(writer) == first
    assert opened.learn_now(writer, picked(store, "Two")) == 2
    assert lean(writer) > first


def test_an_answer_that_is_taken_back_no_longer_counts(opened: PenPal, store: Store) -> None:
    writer, turn_id = opened.writer(), picked(store, "One")
    opened.learn_now(writer, turn_id)
    store.add_act("undo", turn_id, undoes_id=store.acts(turn_id)[-1].id)
    assert opened.learn_now(writer, turn_id) == 0
    assert lean(writer) == 0


def test_a_new_writer_leans_by_what_was_answered_before(opened: PenPal, store: Store) -> None:
    for number in range(3):
        picked(store, f"Thing {number}")
    assert lean(opened.writer()) > 0.1
    assert lean(opened.writer(generic=True)) == 0


def test_what_a_run_has_learned_from_is_not_heard_again(opened: PenPal, store: Store) -> None:
    for number in range(3):
        picked(store, f"Thing {number}")
    learned(store_home(opened), 0.0, last_act=store.last_act_id())
    writer = opened.writer()
    assert lean(writer) == 0
    assert opened.learn_now(writer, picked(store, "Later")) == 1


def store_home(penpal: PenPal) -> Path:
    return penpal.home.database.parent


def test_a_voice_that_a_run_replaced_is_taken_up(opened: PenPal, store: Store) -> None:
    writer = opened.writer()
    record = learned(store_home(opened), 1.0, last_act=0)
    store.activate_encoder(record.id, "better")
    assert opened.learn_now(writer, picked(store, "One")) == 1
    assert writer.voice.encoder_id == record.id
    base = opened.load_encoder(record).parts.mean
    assert isinstance(writer.voice.encoder, GaussianEncoder)
    moved = writer.voice.encoder.parts.mean - base
    assert moved[0] > 0.01
    assert np.linalg.norm(moved) < np.linalg.norm(base)
    assert base[0] == pytest.approx(-1)
    assert len(base) == LATENT_SIZE


def test_it_can_be_switched_off(decoder: HookedDecoder, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENPAL_LEARNING__FAST", "false")
    opened = wiring.open_penpal()
    writer = opened.writer()
    assert opened.learn_now(writer, picked(store, "One")) is None
    assert lean(writer) == lean(opened.writer()) == 0
    opened.store.close()

"""When a new voice becomes the active one and what the person is told; and what one run leaves behind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app.wiring
from app.learning import MAX_P_VALUE, gate, personalize, plan
from app.wiring import PenPal
from core.store import Store
from models.fluency import Fluency
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from models.personalize import Learned, Share
from tests.app.conftest import LATENT_SIZE, answer, picks
from tests.hooked_decoder import HookedDecoder
from tests.scripted_text_encoder import ScriptedTextEncoder

FLUENT = Fluency(4.0, 4.5, 0.9, 0.9, 1.0)
BROKEN = Fluency(4.0, 14.0, 0.9, 0.5, 0.0)


def learned(right: int, count: int, p_value: float, **changed: Any) -> Learned:
    made = Learned(
        encoder=GaussianEncoder(Parts.generic(4)),
        capacity="shift",
        evidence=count,
        accuracy=Share(right, count),
        log_loss=0.6,
        p_value=p_value,
        unseen=Share(0, 0),
        unseen_active=Share(0, 0),
        worse_than_active=False,
        capacities={"shift": (right / count, 0.6)},
        contexts={},
        sources={},
        flip_rate=0.05,
        half_life=None,
        drift=1.0,
        seconds={},
    )
    return dataclasses.replace(made, **changed)


def test_a_voice_that_foresees_choices_and_stays_fluent_is_activated() -> None:
    assert gate(learned(42, 60, 0.001), FLUENT, force=False) == (
        True,
        "activated: it foresees 42 of 60 choices it has not seen",
    )


def test_without_drafts_the_choices_alone_decide() -> None:
    assert gate(learned(42, 60, 0.001), None, force=False)[0]


def test_a_voice_that_a_coin_could_match_is_kept_aside() -> None:
    activated, reason = gate(learned(11, 20, 1.1 * MAX_P_VALUE), FLUENT, force=False)
    assert not activated
    assert reason.startswith("not activated: it foresees 11 of 20 choices")
    assert "luck" in reason


def test_a_voice_that_foresees_less_than_the_present_one_is_kept_aside() -> None:
    worse = learned(50, 60, 0.001, unseen=Share(5, 10), unseen_active=Share(9, 10), worse_than_active=True)
    activated, reason = gate(worse, FLUENT, force=False)
    assert not activated
    assert "of the 10 choices since your present voice was made it foresees 5, that one 9" in reason


def test_a_voice_that_reads_badly_at_any_strength_is_kept_aside() -> None:
    activated, reason = gate(learned(54, 60, 0.001), BROKEN, force=False)
    assert not activated
    assert "perplexity 14.0 against 4.0, variety 0.50 against 0.90" in reason


def test_force_activates_whatever_the_checks_say() -> None:
    activated, reason = gate(learned(4, 10, 0.9, worse_than_active=True), BROKEN, force=True)
    assert activated
    assert reason == "activated because you said so; it foresees 4 of 10 choices it has not seen"


# --- one run ----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(decoder: HookedDecoder) -> Iterator[PenPal]:
    """A home whose decoder and text encoder are scripts."""
    opened = app.wiring.open_penpal()
    yield opened
    opened.close()


def test_a_run_lists_keeps_and_activates_what_it_learned(home: PenPal, store: Store) -> None:
    picks(store, 12)
    told: list[tuple[str, float]] = []
    report = personalize(home, progress=lambda stage, share: told.append((stage, share)))
    assert report.activated
    assert (report.pairs, report.left_out, report.pairs_by_source) == (12, 0, {"pick": 12})
    record = store.active_encoder()
    assert record is not None
    assert (record.id, record.status, record.pairs, record.parent_id) == (report.encoder_id, "kept", 12, None)
    assert record.report["last_act"] == store.last_act_id()
    mean = home.load_encoder(record).parts.mean
    assert np.abs(mean).argmax() == 0
    assert mean[0] > 0
    assert np.diff([share for _, share in told]).min() > -1e-9
    assert told[-1] == ("Done", 1.0)
    assert [example.prompt for example in report.examples] == [f"Thing {i}" for i in (11, 10, 9, 8, 7)]


def test_the_database_keeps_numbers_and_no_texts(home: PenPal, store: Store) -> None:
    picks(store, 12)
    report = personalize(home)
    kept = json.dumps(store.encoders()[0].report)
    assert "Thing" not in kept
    assert "draft." not in kept
    assert "Thing 11" in Path(report.markdown).read_text("utf-8")


def test_without_drafts_the_language_model_is_left_alone(
    home: PenPal, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    picks(store, 12)
    del vars(home)["decoder"]  # would now be made anew, from a file that is no model
    report = personalize(home, drafts=False)
    assert report.activated
    assert (report.perplexity_personal, report.examples) == (None, [])
    assert "decoder" not in vars(home)


def test_a_rejected_voice_is_listed_and_the_active_one_stays(home: PenPal, store: Store) -> None:
    for number in range(12):  # warm and dry in turn: no taste to be found
        texts = (f"Yes {number}!", f"No {number}.") if number % 2 else (f"No {number}.", f"Yes {number}!")
        answer(store, f"Thing {number}", texts=texts)
    report = personalize(home)
    assert not report.activated
    assert "luck" in report.reason
    assert [record.status for record in store.encoders()] == ["rejected"]
    assert store.active_encoder() is None
    assert personalize(home, force=True).activated
    assert [record.status for record in store.encoders()] == ["kept"]


def test_a_second_run_is_compared_with_the_first_on_what_came_between(home: PenPal, store: Store) -> None:
    picks(store, 12)
    first = personalize(home, drafts=False)
    for number in range(6):
        answer(store, f"Other thing {number}")
    second = personalize(home, drafts=False)
    assert first.accuracy_active is None
    assert second.accuracy_active == 1.0
    assert store.encoders()[-1].parent_id == first.encoder_id


def test_one_kind_of_writing_learned_alone_leaves_the_others_as_they_are(home: PenPal, store: Store) -> None:
    for number in range(12):
        answer(store, f"Thing {number}", context="mail")
    personalize(home, context="mail", drafts=False)
    parts = home.load_encoder(store.encoders()[-1]).parts
    assert parts.mean.tolist() == [0] * LATENT_SIZE
    assert parts.contexts["mail"][0] > 1


def test_what_was_read_is_not_read_again(home: PenPal, store: Store, text_encoder: ScriptedTextEncoder) -> None:
    picks(store, 12)
    assert plan(home).to_read == 24
    personalize(home, drafts=False)
    assert (plan(home).to_read, len(text_encoder.read)) == (0, 24)
    personalize(home, drafts=False)
    assert len(text_encoder.read) == 24


def test_a_plan_counts_by_kind_of_answer_and_of_writing(home: PenPal, store: Store) -> None:
    picks(store, 3)
    answer(store, "Write a review of the hotel.")
    answer(store, "Write a mail to Ann.", answer="tie")
    answer(store, "When was the battle?", note="wrong fact")
    found = plan(home)
    assert (found.evidence, found.left_out) == (5, 1)
    assert found.by_source == {"pick": 4, "tie": 1}
    assert found.by_context == {"other": 3, "review": 1, "mail": 1}

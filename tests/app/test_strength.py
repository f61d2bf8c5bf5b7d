"""The dial from generic to personal and beyond: what is drafted is scaled, what is learned is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import wiring
from app.progress import read_standing
from app.tui.learning_words import standing
from core.store import Store
from models.personal_encoder import GaussianEncoder
from tests.app.conftest import LATENT_SIZE, Result, answer, learned
from tests.hooked_decoder import HookedDecoder

Run = Callable[..., Result]
DIRECTION = np.linspace(-1, 1, LATENT_SIZE)


def latents(penpal: Run, store: Store, *options: str, drafts: int = 1) -> list[Any]:
    """Where the drafts of one prompt and one seed lie."""
    made = penpal("write", "Write to Ann.", "--seed", "5", "-n", str(drafts), "--json", *options).json
    return [store.draft(each["id"]).z for each in made]


@pytest.fixture
def mine(penpal_home: Path, store: Store) -> None:
    record = learned(penpal_home, 1.0, contexts={"mail": 0.5})
    store.activate_encoder(record.id, "test")


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize("drafts", [1, 3])
def test_0_is_generic_and_1_is_personal_to_the_bit(penpal: Run, store: Store, drafts: int) -> None:
    generic, personal = (latents(penpal, store, *options, drafts=drafts) for options in (["--generic"], []))
    assert latents(penpal, store, "--strength", "0", drafts=drafts) == generic
    assert latents(penpal, store, "--strength", "1", drafts=drafts) == personal
    assert generic != personal


@pytest.mark.usefixtures("mine")
def test_one_and_a_half_leads_further(penpal: Run, store: Store) -> None:
    ((usual,), (more,)) = latents(penpal, store), latents(penpal, store, "--strength", "1.5")
    np.testing.assert_allclose(more, 1.5 * np.array(usual), atol=2e-6)


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize("bad", ["-0.1", "1.6", "much"])
def test_another_strength_is_refused(penpal: Run, bad: str) -> None:
    refused = penpal("write", "Hi.", "--strength", bad)
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.usefixtures("mine")
def test_the_settings_say_it_for_good_and_the_option_for_once(penpal: Run, store: Store, penpal_home: Path) -> None:
    full, generic = latents(penpal, store), latents(penpal, store, "--generic")
    (penpal_home / "config.toml").write_text("[drafts]\nstrength = 0\n", encoding="utf-8")
    assert latents(penpal, store) == generic
    assert latents(penpal, store, "--strength", "1") == full


def test_generic_has_no_strength(penpal: Run) -> None:
    for option in (["--strength", "0.5"], ["--voice", "generic"]):
        assert penpal("write", "Hi.", "--generic", *option) == Result(
            2, "", "penpal: --generic writes in no voice: leave out --voice and --strength.\n"
        )


def means(strength: float, prompts: int, store: Store) -> tuple[Any, Any]:
    """The mean that drafts, and what the answers so far make of the voice."""
    opened = wiring.open_penpal()
    opened.set_strength(strength)
    writer = opened.writer()
    for number in range(prompts):
        answer(store, f"Thing {number} {strength}")
        opened.learn_now(writer, store.turns(store.conversations()[0].id)[-1].id)
    assert isinstance(writer.voice.encoder, GaussianEncoder)
    found = writer.voice.encoder.parts.mean, opened.fast_path().parts().mean
    opened.store.close()
    return found


@pytest.mark.usefixtures("mine")
def test_learning_from_an_answer_is_not_scaled_but_the_draft_after_it_is(decoder: HookedDecoder, store: Store) -> None:
    drafted, known = means(0.5, 2, store)
    np.testing.assert_allclose(drafted, known / 2)
    assert known[0] != pytest.approx(DIRECTION[0])
    drafted, known_without = means(0.0, 0, store)
    assert not drafted.any()
    assert np.array_equal(known_without, known)


@pytest.mark.usefixtures("mine")
def test_the_title_of_the_chat_says_how_strong_a_voice_is(store: Store) -> None:
    found = read_standing(store)
    assert " at 50% · " in standing(found, strength=0.5)
    assert "%" not in standing(found, strength=1.0)
    assert standing(found, generic=True, strength=0.5).startswith("generic, once ·")
    store.activate_encoder(None, "test")
    assert standing(read_standing(store), strength=0.5).startswith("generic voice ·")

"""The voice between two nights: it leans at once, takes back what is taken back, and holds on to what it was taught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from core.store import Store
from models import learner
from models.backbone import Backbone
from models.checkpoint import Arrays
from models.fast_path import FastPath
from models.latent_dpo import Posteriors
from models.learner import Array, LearnConfig, LossName, Parts
from models.personalize import rows_of
from models.text_encoder import TextEncoder
from models.text_vectors import TextVectors
from tests import tiny
from tests.answering import answer, drafts, said, undo

GENERIC = Parts.generic(tiny.LATENT_SIZE)
CONFIG = LearnConfig()
WARM, DRY = "Thank you! I would love to visit you soon!", "The train was late, the rain was cold."


@pytest.fixture(scope="module")
def encoder(tiny_backbone: Backbone, telling_clap: Arrays) -> Iterator[TextEncoder]:
    made = TextEncoder(tiny_backbone, telling_clap)
    yield made
    made.close()


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store()
    yield opened
    opened.close()


@pytest.fixture
def vectors(store: Store, encoder: TextEncoder) -> TextVectors:
    return TextVectors(store, "c" * 64, lambda: encoder, latent_size=tiny.LATENT_SIZE, hidden_size=tiny.HIDDEN)


def margin(parts: Parts, store: Store, turn_id: int, vectors: TextVectors) -> float:
    """By how much the voice prefers what was chosen in this turn."""
    return float(parts.margins(rows_of(said(store, turn_id), vectors, CONFIG)).sum())


def test_a_pick_moves_the_voice_towards_the_chosen_text(store: Store, vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    turn_id = answer(store, "Hello", WARM, DRY)
    assert path.hear(turn_id, said(store, turn_id))
    assert path.answered == 1
    assert margin(path.parts(), store, turn_id, vectors) > 0.1
    assert np.linalg.norm(path.parts().mean) <= CONFIG.max_norm + 1e-9


def test_every_further_pick_of_the_same_kind_leads_further(store: Store, vectors: TextVectors) -> None:
    path, found = FastPath(GENERIC, 0, vectors, replace(CONFIG, max_norm=1e9)), []
    first = answer(store, "Hello", WARM, DRY)
    for number in range(4):
        turn_id = first if number == 0 else answer(store, f"Hello {number}", WARM, DRY)
        path.hear(turn_id, said(store, turn_id))
        found.append(margin(path.parts(), store, first, vectors))
    assert found == sorted(found)
    assert found[3] > 1.5 * found[0]


def test_without_a_word_the_voice_is_the_base_itself(vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    assert path.parts() is GENERIC
    assert path.answered == 0


def test_what_is_only_a_mark_or_a_skip_waits_for_the_night(store: Store, vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    for kind in ("skip", "both_bad"):
        turn_id = answer(store, "Hello", WARM, DRY, kind=kind)
        assert not path.hear(turn_id, said(store, turn_id))
    assert path.parts() is GENERIC
    assert vectors.read == 0


def test_the_same_said_twice_counts_once(store: Store, vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    turn_id = answer(store, "Hello", WARM, DRY)
    assert path.hear(turn_id, said(store, turn_id))
    before = path.parts()
    assert not path.hear(turn_id, said(store, turn_id))
    assert path.parts() is before


def test_a_changed_mind_replaces_what_was_said_before(store: Store, vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    warm, dry = drafts(store, "Hello", [WARM, DRY])
    turn_id = store.draft(warm).turn_id
    store.add_act("pick", turn_id, draft_id=warm, other_draft_id=dry)
    path.hear(turn_id, said(store, turn_id))
    first = path.parts().mean
    store.add_act("pick", turn_id, draft_id=dry, other_draft_id=warm)
    assert path.hear(turn_id, said(store, turn_id))
    np.testing.assert_allclose(path.parts().mean, -first, atol=1e-6)
    assert path.answered == 1


def test_what_is_taken_back_is_forgotten(store: Store, vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    kept, taken_back = answer(store, "Hello", WARM, DRY), answer(store, "Dog", "No.", "Yes, yes!")
    path.hear(kept, said(store, kept))
    one = path.parts().mean
    path.hear(taken_back, said(store, taken_back))
    assert not np.allclose(path.parts().mean, one)
    undo(store, taken_back)
    assert path.hear(taken_back, said(store, taken_back))
    assert path.answered == 1
    np.testing.assert_array_equal(path.parts().mean, one)
    undo(store, kept)
    assert path.hear(kept, said(store, kept))
    assert path.parts() is GENERIC
    assert not path.hear(kept, said(store, kept))


def test_a_tie_pulls_back(store: Store, vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    pick = answer(store, "Hello", WARM, DRY)
    path.hear(pick, said(store, pick))
    sure = margin(path.parts(), store, pick, vectors)
    tie = answer(store, "Hello", WARM, DRY, kind="tie")
    assert path.hear(tie, said(store, tie))
    assert 0 < margin(path.parts(), store, pick, vectors) < sure


@pytest.mark.parametrize("loss", get_args(LossName))
def test_every_loss_hears_picks_and_ties(store: Store, vectors: TextVectors, loss: LossName) -> None:
    path = FastPath(GENERIC, 0, vectors, LearnConfig(loss=loss, variant="sampled", known_weight=1.0))
    tie = answer(store, "Hello", WARM, DRY, kind="tie")
    assert path.hear(tie, said(store, tie))
    undecided = np.linalg.norm(path.parts().mean)
    pick = answer(store, "Hello", WARM, DRY, z=[[-1.0] * tiny.LATENT_SIZE, [1.0] * tiny.LATENT_SIZE])
    assert path.hear(pick, said(store, pick))
    assert margin(path.parts(), store, pick, vectors) > 0.1
    assert undecided < 0.2 * np.linalg.norm(path.parts().mean)


def test_the_more_a_voice_was_taught_the_less_one_pick_moves_it(store: Store, vectors: TextVectors) -> None:
    base = Parts(np.linspace(-1, 1, tiny.LATENT_SIZE), np.zeros(tiny.LATENT_SIZE), {})
    turn_id = answer(store, "Hello", WARM, DRY)
    moved = []
    for pairs in (0, 20, 200):
        path = FastPath(base, pairs, vectors, CONFIG)
        path.hear(turn_id, said(store, turn_id))
        moved.append(float(np.linalg.norm(path.parts().mean - base.mean)))
    assert moved[0] > moved[1] > moved[2] > 0
    assert moved[2] < 0.3 * moved[0]


def test_everything_else_of_a_voice_stays_as_it_was_taught(store: Store, vectors: TextVectors) -> None:
    latent_size = tiny.LATENT_SIZE
    base = Parts(
        np.full(latent_size, 0.2), np.linspace(-0.5, 0.5, latent_size), {"mail": np.full(latent_size, 0.1)},
        np.zeros(tiny.HIDDEN), np.full((tiny.HIDDEN, latent_size), 0.01),
    )  # fmt: skip
    path = FastPath(base, 0, vectors, CONFIG)
    turn_id = answer(store, "Write a mail", WARM, DRY)
    path.hear(turn_id, said(store, turn_id))
    moved = path.parts()
    assert margin(moved, store, turn_id, vectors) > margin(base, store, turn_id, vectors)
    np.testing.assert_array_equal(moved.log_variance, base.log_variance)
    np.testing.assert_allclose(moved.contexts["mail"], base.contexts["mail"])
    assert moved.head is base.head


def test_it_finds_what_the_learner_finds_on_the_same_evidence(store: Store, vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    for number in range(4):
        turn_id = answer(store, f"Hello {number}", f"{WARM} {number}!", f"{number} {DRY}")
        path.hear(turn_id, said(store, turn_id))
    rows = rows_of(said(store), vectors, CONFIG)
    learned = learner.within(learner.fit(rows, learner.Design(), CONFIG), CONFIG.max_norm)
    np.testing.assert_allclose(path.parts().mean, learned.mean, atol=1e-4)


def test_a_direction_that_is_avoided_is_not_taken(store: Store, vectors: TextVectors) -> None:
    turn_id = answer(store, "Hello", WARM, DRY)
    means = {}
    for name, avoid in (("free", None), ("held", direction_of(store, turn_id, vectors))):
        path = FastPath(GENERIC, 0, vectors, CONFIG, avoid=avoid)
        path.hear(turn_id, said(store, turn_id))
        means[name] = path.parts().mean
    assert means["free"] @ direction_of(store, turn_id, vectors) > 0.1
    np.testing.assert_allclose(means["held"], 0, atol=1e-6)


def direction_of(store: Store, turn_id: int, vectors: TextVectors) -> Array:
    """From the rejected to the chosen text: one pick leads nowhere else."""
    difference: Array = rows_of(said(store, turn_id), vectors, CONFIG).difference[0]
    return difference / float(np.linalg.norm(difference))


class Refusing(TextVectors):
    """Cannot read what is new."""

    def posteriors(self, texts: object) -> Posteriors:
        raise InterruptedError


def test_what_could_not_be_read_is_heard_the_next_time(store: Store, vectors: TextVectors) -> None:
    path = FastPath(GENERIC, 0, vectors, CONFIG)
    turn_id = answer(store, "Hello", WARM, DRY)
    path._vectors = Refusing(store, "c", vectors.encoder, latent_size=tiny.LATENT_SIZE, hidden_size=tiny.HIDDEN)
    with pytest.raises(InterruptedError):
        path.hear(turn_id, said(store, turn_id))
    assert path.parts() is GENERIC
    path._vectors = vectors
    assert path.hear(turn_id, said(store, turn_id))
    assert path.answered == 1

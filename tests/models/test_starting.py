"""Learning from another voice's start: a step away from it, which the prior holds it to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models import learner, personalize, validation
from models.backbone import Backbone
from models.checkpoint import Arrays
from models.learner import Design, LearnConfig, Parts, fit
from models.personal_encoder import GaussianEncoder
from models.text_encoder import TextEncoder
from models.text_vectors import TextVectors
from tests import tiny
from tests.models.test_layers import Memory, evidence
from tests.planted import D, always, choices, direction, two_kinds

H = 6
CONFIG = LearnConfig()
PROMPTS = np.random.default_rng(3).standard_normal((80, H))
ROWS = choices(2 * always(direction(), 80), seed=4, contexts=two_kinds(80), features=PROMPTS)
DESIGNS = [
    Design(),
    Design(contexts=("mail", "note")),
    learner.head_design(PROMPTS.astype(np.float32)),
    Design(scale=True),
]


def guest(lean: float = 1.0, *, scale: float = 0.0) -> Parts:
    """A voice that leans in every way there is."""
    draw = np.random.default_rng(8)
    return Parts(
        lean * direction(), np.full(D, scale), {"mail": 0.1 * draw.normal(size=D), "diary": draw.normal(size=D)},
        draw.normal(size=H), 0.1 * draw.normal(size=(H, D)),
    )  # fmt: skip


@pytest.mark.parametrize("variant", ["expected", "sampled"])
@pytest.mark.parametrize("design", DESIGNS)
def test_a_start_from_generic_is_no_start(design: Design, variant: learner.Variant) -> None:
    config = replace(CONFIG, variant=variant)
    rows = replace(ROWS, samples=np.repeat(ROWS.difference[:, None], 4, axis=1).astype(np.float32))
    alone, started = fit(rows, design, config), fit(rows, design, config, start=Parts.generic(D))
    np.testing.assert_allclose(started.margins(rows), alone.margins(rows), atol=1e-6)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_firm_prior_leaves_the_start_as_it_is(design: Design) -> None:
    firm = replace(CONFIG, prior_weight=1e9)
    np.testing.assert_allclose(fit(ROWS, design, firm, start=guest()).margins(ROWS), guest().margins(ROWS), atol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_what_is_learned_adds_to_what_the_start_says(design: Design) -> None:
    found, start = fit(ROWS, design, CONFIG, start=guest(scale=0.2)), guest(scale=0.2)
    before, after = (validation.log_loss(parts.margins(ROWS), ROWS, CONFIG).mean() for parts in (start, found))
    assert after < before
    assert set(found.contexts) >= {"diary", "mail"}


def test_steps_and_starts_add_up_in_their_natural_parameters() -> None:
    step = Parts(0.3 * direction(1), np.full(D, -0.1), {"mail": 0.2 * direction(2)}, np.ones(H), np.full((H, D), 0.05))
    both = learner._stepped(guest(scale=0.2), step)
    expected = guest(scale=0.2).margins(ROWS) + step.margins(ROWS)
    np.testing.assert_allclose(both.margins(ROWS), expected, atol=1e-9)


def test_few_choices_and_a_good_start_foresee_more_than_few_choices_alone() -> None:
    few, unseen = ROWS.take(np.arange(8)), choices(2 * always(direction(), 400), seed=5, contexts=two_kinds(400))
    plain = Parts(direction(), np.zeros(D), {})
    alone, started = (fit(few, Design(), CONFIG, start=start) for start in (None, plain))
    right = [validation.accuracy(parts.margins(unseen), unseen)[0] for parts in (alone, started)]
    assert right[1] > right[0]


def test_a_bad_start_is_left_behind_when_there_are_choices_enough() -> None:
    opposite = Parts(-direction(), np.zeros(D), {})
    found = fit(ROWS, Design(), CONFIG, start=opposite)
    right, count = validation.accuracy(found.margins(ROWS), ROWS)
    assert right / count > 0.75


def test_cross_validation_asks_the_start_with_each_fold_left_out() -> None:
    alone, started = (validation.held_out_margins(ROWS, Design(), CONFIG, start) for start in (None, guest()))
    assert validation.accuracy(started, ROWS)[0] >= validation.accuracy(guest(-1.0).margins(ROWS), ROWS)[0]
    assert not np.allclose(alone, started)


def test_a_start_with_layers_of_its_own_keeps_reading_prompts_by_them(
    tiny_backbone: Backbone, tiny_clap: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personalize, "ALIKE", 0.0)
    encoder, draw = TextEncoder(tiny_backbone, tiny_clap), np.random.default_rng(6)
    moved = {name: (a + draw.normal(0, 0.02, a.shape)).astype(np.float16) for name, a in encoder.layers.items()}
    parts = Parts(np.zeros(D), np.zeros(D), {}, np.zeros(tiny.HIDDEN), 0.05 * draw.normal(size=(tiny.HIDDEN, D)))
    start = GaussianEncoder(parts, layers=moved)
    vectors = TextVectors(Memory(), "clap", lambda: encoder, latent_size=D, hidden_size=tiny.HIDDEN)
    learned = personalize.learn(evidence(30), vectors.with_layers(moved), start=start, fixed_capacity="shift")
    assert learned.encoder.layers is moved
    assert np.array_equal(learned.encoder.parts.head, parts.head)
    assert learned.of_start is not None
    assert learned.of_start.count == learned.accuracy.count
    encoder.close()

"""Who knows a choice, who does not, and what attackers make of the difference."""

from __future__ import annotations

import numpy as np
import pytest

from models.learner import LearnConfig, Parts
from models.membership import auc, left_out_test, like, likelihood_ratios, scores, shadow_test
from tests.planted import CONFIG, D, always, by_chance, choices, direction


@pytest.mark.parametrize(
    ("members", "others", "expected"),
    [([2, 3], [0, 1], 1.0), ([0, 1], [2, 3], 0.0), ([1, 1], [1, 1], 0.5), ([0, 2], [1, 1], 0.5), ([1], [0, 1], 0.75)],
)
def test_the_area_is_the_chance_of_pointing_at_the_right_one(
    members: list[float], others: list[float], expected: float
) -> None:
    assert auc(np.array(members), np.array(others)) == expected


def test_rows_of_one_turn_are_one_choice_and_ties_are_none() -> None:
    rows = by_chance(4, 0)
    rows = type(rows)(**{
        **vars(rows), "turn": np.array([7, 7, 8, 9]), "weight": np.array([1.0, 3.0, 1.0, 1.0]),
        "tie": np.array([False, False, False, True]),
    })  # fmt: skip
    turns, score = scores(np.array([4.0, 0.0, 2.0, 9.0]), rows)
    assert (turns.tolist(), score.tolist()) == ([7, 8], [1.0, 2.0])


def test_few_choices_of_noise_are_learned_by_heart_and_that_shows() -> None:
    found = shadow_test(by_chance(40, 0), like("shift", LearnConfig(prior_weight=0.01)))
    assert found is not None
    assert found.by_likelihood_ratio is not None
    assert found.worst is found.by_likelihood_ratio
    assert found.worst.auc > 0.7
    assert found.is_alarming
    low, high = found.worst.interval
    assert low < found.worst.auc < high
    assert (found.choices, found.trainings) == (40, 64)


def test_many_choices_of_a_clear_taste_hide_each_other() -> None:
    rows = choices(always(direction(), 1500), 1)
    found = shadow_test(rows, like("shift", CONFIG))
    assert found is not None
    assert found.worst.auc < 0.56
    assert not found.is_alarming


def test_an_encoder_that_heeds_no_choice_gives_none_away() -> None:
    found = shadow_test(by_chance(100, 3), lambda rows: Parts.generic(D))
    assert found is not None
    assert (found.by_margin.auc, found.worst.auc) == (0.5, 0.5)


def test_the_attack_knows_nothing_of_the_training_it_is_asked_about() -> None:
    rng = np.random.default_rng(0)
    score, member = rng.standard_normal((20, 50)), rng.random((20, 50)) < 0.5
    changed = member.copy()
    changed[4] = ~changed[4]
    assert (likelihood_ratios(score, member)[4] == likelihood_ratios(score, changed)[4]).all()


def test_too_few_choices_tell_nothing() -> None:
    assert shadow_test(by_chance(9, 0), like("shift", CONFIG)) is None


def test_the_time_is_kept_but_for_the_first_trainings() -> None:
    found = shadow_test(by_chance(40, 0), like("shift", CONFIG), seconds=0.0)
    assert found is not None
    assert found.trainings == 8


def test_what_a_training_left_out_is_asked_directly() -> None:
    rows = by_chance(60, 2)
    known = np.arange(60) < 12
    learned = like("shift", LearnConfig(prior_weight=0.01))(rows.take(known))
    found = left_out_test(learned.margins(rows), rows, known)
    assert found is not None
    assert found.worst.auc > 0.7
    assert (found.by_likelihood_ratio, found.trainings) == (None, 0)
    assert left_out_test(learned.margins(rows), rows, np.arange(60) < 55) is None


@pytest.mark.parametrize("capacity", ["shift", "shift and scale", "contexts", "head"])
def test_every_capacity_but_layers_is_trained_again_as_it_was(capacity: str) -> None:
    contexts = ["mail", "note"] * 40
    features = np.random.default_rng(0).standard_normal((80, 6))
    rows = choices(always(direction(), 80), 0, contexts=contexts, features=features)
    parts = like(capacity, CONFIG)(rows.take(np.arange(40)))  # type: ignore[arg-type]
    assert bool(parts.log_variance.any()) == (capacity == "shift and scale")
    assert (set(parts.contexts) == {"mail", "note"}) == (capacity == "contexts")
    assert (parts.head is not None) == (capacity == "head")

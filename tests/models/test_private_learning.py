"""A budget is spent exactly, one choice moves nothing by much, and many choices still say what they say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from models.membership import like, shadow_test
from models.private_learning import Budget, clipped_gradient, delta_spent, private_fit, public_config
from models.validation import accuracy
from tests.planted import CONFIG, D, always, by_chance, choices, cosine, direction

PUBLIC = public_config(CONFIG)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-5), (1.0, 1e-5), (3.0, 1e-6), (50.0, 1e-9), (800.0, 1e-5)])
def test_a_budget_is_spent_and_not_more(epsilon: float, delta: float) -> None:
    mu = Budget(epsilon, delta).mu
    assert delta_spent(mu, epsilon) <= delta
    assert delta_spent(mu * 1.001, epsilon) > delta


def test_the_delta_is_that_of_two_gaussians_by_numbers() -> None:
    """sup over events of P(event) - e^eps Q(event), integrated over where P > e^eps Q (definition of (eps, delta))."""
    mu, epsilon = 1.3, 0.7
    x = np.linspace(-12, 14, 400_001)
    p, q = (np.exp(-((x - at) ** 2) / 2) / math.sqrt(2 * math.pi) for at in (mu, 0.0))
    by_numbers = np.maximum(p - math.exp(epsilon) * q, 0).sum() * (x[1] - x[0])
    assert delta_spent(mu, epsilon) == pytest.approx(by_numbers, rel=1e-5)


@pytest.mark.parametrize(
    "budget", [Budget(0), Budget(-1), Budget(math.nan), Budget(math.inf), Budget(1, 0), Budget(1, 1)]
)
def test_absurd_budgets_are_known(budget: Budget) -> None:
    assert not budget.is_sane


def test_opacus_counts_nearly_the_same_and_never_less() -> None:
    """Of Opacus 1.6.0 with history [(4.0, 1.0, 10)], at delta 1e-5: `PRVAccountant` 3.352, `RDPAccountant` 3.617."""
    mu = math.sqrt(10) / 4
    assert delta_spent(mu, 3.352) <= 1e-5 < delta_spent(mu, 3.30)
    assert Budget(3.352).deviation(1.0, 10) == pytest.approx(4.0, rel=0.01)


def test_any_one_choice_moves_a_step_by_its_clip_at_most() -> None:
    rows = choices(always(direction(), 30), 0)
    turn = np.where(np.arange(30) < 3, 0, rows.turn)
    loud = replace(rows, turn=turn, difference=rows.difference * np.where(turn == 0, 1e6, 1.0)[:, None])
    emptied = replace(loud, difference=np.where(turn[:, None] == 0, 0.0, loud.difference))
    for mean in (np.zeros(D), direction(3)):
        with_it, without = (clipped_gradient(each, mean, PUBLIC, 0.35) for each in (loud, emptied))
        assert np.linalg.norm(with_it - without) == pytest.approx(0.35)


def test_what_is_fitted_on_a_person_is_fixed_instead() -> None:
    told = public_config(replace(CONFIG, flip_rate=0.2, half_life=30.0, known_weight=1.0, variant="marginal"))
    assert told == CONFIG


def test_enough_choices_say_in_private_what_they_say_in_the_open() -> None:
    taste = direction()
    learned = private_fit(choices(always(taste, 1000), 0), PUBLIC, Budget(3.0), np.random.default_rng(0))
    assert cosine(learned.mean, taste) > 0.8
    right, count = accuracy(learned.margins(choices(always(taste, 500), 1)), choices(always(taste, 500), 1))
    assert right / count > 0.7


def test_a_few_choices_drown_in_the_noise_and_nothing_is_made_up() -> None:
    made = [private_fit(by_chance(10, i), PUBLIC, Budget(0.2), np.random.default_rng(i)) for i in range(20)]
    lengths = [float(np.linalg.norm(parts.mean)) for parts in made]
    assert max(lengths) < 1.001 * CONFIG.max_norm
    assert np.median(lengths) < 0.1 * CONFIG.max_norm


def test_a_private_encoder_hides_what_an_open_one_shows() -> None:
    rows, rng = by_chance(40, 0), np.random.default_rng(0)
    open_, private = (
        shadow_test(rows, train)
        for train in (like("shift", CONFIG), lambda rows: private_fit(rows, PUBLIC, Budget(1.0), rng))
    )
    assert open_ is not None
    assert private is not None
    assert private.worst.auc < 0.56 < open_.worst.auc

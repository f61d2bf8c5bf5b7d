"""What the learner makes of its own evidence: held-out choices, half-life, capacity, and the test against luck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from models import learner, validation
from models.learner import Array, Design, Rows, fit
from tests.planted import CONFIG, D, always, by_chance, choices, cosine, direction, opposite_in_notes, two_kinds


def most(found: Sequence[object], value: object) -> bool:
    """A majority."""
    return 2 * sum(one == value for one in found) > len(found)


# --- what to trust ----------------------------------------------------------------------------------------------


def test_rows_of_one_turn_are_held_out_together_and_each_row_once() -> None:
    rows = replace(by_chance(60, 0), turn=np.repeat(np.arange(20), 3))
    masks = validation.folds(rows, CONFIG)
    assert len(masks) == CONFIG.folds
    assert (np.sum(masks, axis=0) == 1).all()
    for mask in masks:
        assert not set(rows.turn[mask]) & set(rows.turn[~mask])
        assert mask.sum() == 12


def test_two_turns_are_two_folds() -> None:
    rows = replace(by_chance(5, 0), turn=np.array([1, 1, 2, 2, 2]))
    assert sorted(mask.sum() for mask in validation.folds(rows, CONFIG)) == [2, 3]


def test_a_held_out_margin_knows_nothing_of_its_own_row() -> None:
    rows = choices(always(direction(), 30))
    masks = validation.folds(rows, CONFIG)
    changed = replace(rows, tie=masks[0], weight=np.where(masks[0], 100.0, 1.0))
    margins = [validation.held_out_margins(r, Design(), CONFIG) for r in (rows, changed)]
    np.testing.assert_array_equal(margins[0][masks[0]], margins[1][masks[0]])
    assert not np.allclose(margins[0][~masks[0]], margins[1][~masks[0]])


def test_log_loss_is_log_two_for_no_opinion_and_a_tie_costs_whoever_has_one() -> None:
    rows = replace(by_chance(3, 0), tie=np.array([False, False, True]))
    np.testing.assert_allclose(validation.log_loss(np.zeros(3), rows, CONFIG), np.log(2))
    sure = validation.log_loss(np.array([10.0, -10.0, 10.0]), rows, CONFIG)
    assert sure[:2] == pytest.approx([np.log1p(np.exp(-2)), np.log1p(np.exp(2))])
    assert sure[2] == pytest.approx(sure[:2].mean())


def test_better_is_beyond_the_standard_error_of_the_difference() -> None:
    rng, equal = np.random.default_rng(0), np.ones(400)
    noise = rng.standard_normal(400)
    noise -= noise.mean()
    error = noise.std() / 20
    assert validation.better(noise - 1.05 * error, np.zeros(400), equal)
    assert not validation.better(noise - 0.95 * error, np.zeros(400), equal)
    assert not validation.better(noise + 1.05 * error, np.zeros(400), equal)
    assert not validation.better(noise, noise, equal)


def test_better_counts_weights_and_is_harder_when_few_rows_have_any() -> None:
    losses = np.array([-1.0, -0.5] * 50 + [2.0, 2.5] * 50)
    first_half = (np.arange(200) < 100).astype(float)
    assert validation.better(losses, np.zeros(200), first_half)
    assert not validation.better(losses, np.zeros(200), np.ones(200))
    wavering = np.array([-1.0, 0.8] * 100)
    assert validation.better(wavering, np.zeros(200), np.ones(200))
    assert not validation.better(wavering, np.zeros(200), np.where(np.arange(200) < 2, 100.0, 0.01))


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1), (90, 100, 0.8256, 0.9448)],
)
def test_wilsons_interval_as_in_tables(right: int, count: int, low: float, high: float) -> None:
    assert validation.interval(right, count) == pytest.approx((low, high), abs=1e-4)


def test_accuracy_leaves_ties_out_and_gives_nothing_for_no_opinion() -> None:
    rows = replace(by_chance(4, 0), tie=np.array([False, False, False, True]))
    assert validation.accuracy(np.array([0.1, -0.1, 0.0, 5.0]), rows) == (1, 3)


# --- the half-life ----------------------------------------------------------------------------------------------


def test_a_taste_that_turned_round_is_followed_and_a_stable_one_keeps_all_it_has() -> None:
    turned, stable, weak = [], [], []
    for seed in range(5):
        taste = direction(seed)
        now = choices(np.concatenate([always(taste, 80), always(-taste, 40)]), seed)
        turned.append(validation.choose_half_life(now, Design(), CONFIG))
        parts = fit(now, Design(), replace(CONFIG, half_life=turned[-1]))
        assert turned[-1] is None or cosine(parts.mean, -taste) > 0.5
        stable.append(validation.choose_half_life(choices(always(taste, 120), seed), Design(), CONFIG))
        unsure = choices(always(taste, 120), seed, strength=0.5)
        weak.append(validation.choose_half_life(unsure, Design(), CONFIG))
    assert not most(turned, None)
    assert most(stable, None)
    assert most(weak, None)


def test_a_few_choices_are_all_kept() -> None:
    turned = np.concatenate([always(direction(), 30), always(-direction(), 30)])
    assert validation.choose_half_life(choices(turned), Design(), CONFIG) is None


# --- the capacity -----------------------------------------------------------------------------------------------


def chosen_capacities(make: Callable[[int], Rows], seeds: int = 5) -> list[str]:
    return [validation.cross_validated(make(seed), CONFIG)[0] for seed in range(seeds)]


def test_opposite_tastes_in_two_kinds_of_writing_are_both_learned_and_asked_for() -> None:
    rows = opposite_in_notes(direction(), 80, 0)
    parts = fit(rows, Design(contexts=("mail", "note")), CONFIG)
    assert cosine(parts.mean + parts.contexts["mail"], direction()) > 0.6
    assert cosine(parts.mean + parts.contexts["note"], -direction()) > 0.6
    found = chosen_capacities(lambda seed: opposite_in_notes(direction(seed), 80, seed))
    assert found == ["contexts"] * len(found)


def test_one_taste_in_two_kinds_of_writing_needs_no_more_than_a_shift() -> None:
    assert most(
        chosen_capacities(lambda seed: choices(always(direction(seed), 80), seed, contexts=two_kinds(80))), "shift"
    )


def test_a_kind_of_writing_with_few_rows_has_no_taste_of_its_own() -> None:
    kinds = ["mail"] * 8 + ["note"] * 8 + ["story"] * 7
    rows = choices(np.zeros((23, D)), contexts=kinds)
    assert learner.designs(rows)["contexts"].contexts == ("mail", "note")
    assert list(learner.designs(rows.take(np.arange(8, 23)))) == ["shift"]


HEAD_ROWS = 300


def prompts(seed: int) -> Array:
    """[N, 20]: features of which the first varies most."""
    return np.random.default_rng(50 + seed).standard_normal((HEAD_ROWS, 20)) * np.linspace(3, 0.3, 20)


def by_prompt(seed: int) -> Rows:
    """What the person likes depends on the side of the first feature that the prompt lies on."""
    features = prompts(seed)
    return choices(np.sign(features[:, :1]) * direction(seed), seed, features=features)


def test_a_taste_that_depends_on_the_prompt_is_learned_by_a_head_and_asked_for() -> None:
    rows = by_prompt(0)
    assert rows.features is not None
    parts = fit(rows, learner.head_design(rows.features), CONFIG)
    others = prompts(1)
    new = choices(np.sign(others[:, :1]) * direction(), 9, strength=100, features=others)
    assert (parts.margins(new) > 0).mean() > 0.65
    assert (fit(rows, Design(), CONFIG).margins(new) > 0).mean() < 0.6
    assert chosen_capacities(by_prompt, 2) == ["head", "head"]


def test_a_taste_that_does_not_depend_on_the_prompt_gets_no_head() -> None:
    plain = chosen_capacities(lambda s: choices(always(direction(s), HEAD_ROWS), s, features=prompts(s)), 3)
    assert most(plain, "shift")


def test_a_head_reads_uncorrelated_features_of_equal_size() -> None:
    rng = np.random.default_rng(0)
    features = (rng.standard_normal((200, 30)) @ rng.standard_normal((30, 30)) + 5).astype(np.float32)
    rows = replace(by_chance(200, 0), features=features)
    psi = learner.head_design(features).psi(rows)
    assert psi.shape == (200, 1 + learner.HEAD_FEATURES)
    np.testing.assert_allclose(psi.T @ psi / 200, np.eye(1 + learner.HEAD_FEATURES), atol=1e-3)


def test_prompts_that_are_all_the_same_make_a_head_of_nothing() -> None:
    rows = replace(choices(always(direction(), 70)), features=np.full((70, 5), 3.0, np.float32))
    assert rows.features is not None
    parts = fit(rows, learner.head_design(rows.features), CONFIG)
    assert parts.head is not None
    assert not parts.head.any()
    np.testing.assert_allclose(parts.mean, fit(rows, Design(), CONFIG).mean)


def test_whoever_likes_what_is_typical_gets_a_smaller_scale() -> None:
    rows = by_chance(200, 0)
    sign = np.where(rows.spread.sum(1) < 0, 1.0, -1.0)[:, None]  # the text nearer to the middle was chosen
    rows = replace(rows, difference=sign * rows.difference, spread=sign * rows.spread)
    assert fit(rows, Design(scale=True), CONFIG).log_variance.max() < 0
    assert validation.cross_validated(rows, CONFIG)[0] == "shift and scale"


def test_a_scale_stays_within_bounds_whatever_it_is_taught() -> None:
    rows = by_chance(60, 0)
    wild = replace(rows, spread=0.1 * np.abs(rows.spread))
    variance = np.exp(fit(wild, Design(scale=True), replace(CONFIG, scale_prior=1e-6)).log_variance)
    np.testing.assert_allclose(variance, 1 / learner.PRECISION_RANGE[0])


# --- luck -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [[], two_kinds(40)])
def test_random_labels_are_rarely_taken_for_a_taste(kinds: list[str]) -> None:
    rows = [choices(np.zeros((40, D)), seed, contexts=kinds) for seed in range(200)]
    found = np.array([validation.luck(r, replace(CONFIG, seed=i), flips=300) for i, r in enumerate(rows)])
    assert (found < 0.05).mean() <= 0.08
    assert 0.4 < (found < 0.5).mean() < 0.6


def test_a_taste_is_not_taken_for_luck() -> None:
    assert max(validation.luck(choices(always(direction(s), 40), s), CONFIG) for s in range(3)) < 0.01
    assert validation.luck(opposite_in_notes(direction(), 40, 0), CONFIG) < 0.01


def test_one_answer_repeated_is_one_answer() -> None:
    """Four turns agree by chance in one of eight cases, however many rows each has."""
    few = choices(always(direction(), 4), strength=100)
    many = few.take(np.repeat(np.arange(4), 25))
    assert validation.luck(many, CONFIG) > 0.1
    assert validation.luck(replace(many, turn=np.arange(100)), CONFIG) < 0.01


def test_ties_and_no_choices_at_all_say_nothing_about_luck() -> None:
    rows = choices(always(direction(), 30))
    assert validation.luck(replace(rows, tie=np.ones(30, bool)), CONFIG) == 1.0
    with_ties = replace(rows.take(np.arange(60) % 30), tie=np.arange(60) >= 30, turn=np.arange(60))
    assert validation.luck(with_ties, CONFIG) == validation.luck(rows, CONFIG)

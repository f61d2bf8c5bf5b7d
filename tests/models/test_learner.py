"""Rows, margins and fitting: what is found is the optimum, for every loss, noise model and capacity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from models import latent_dpo, learner
from models.latent_dpo import Posteriors
from models.learner import Array, Design, LearnConfig, Parts, Rows, fit
from tests.planted import CONFIG, D, always, by_chance, choices, cosine, direction, two_kinds

# --- rows -------------------------------------------------------------------------------------------------------


def test_rows_are_taken_by_mask_and_by_position_with_all_they_have() -> None:
    rows = choices(np.zeros((5, D)), contexts=list("abcde"), features=np.arange(10.0).reshape(5, 2))
    rows = replace(rows, known=np.full((5, D), np.nan), samples=np.zeros((5, 3, D), np.float32))
    mask = np.array([True, False, False, True, True])
    for taken in (rows.take(mask), rows.take(np.array([0, 3, 4]))):
        assert taken.context == ("a", "d", "e")
        assert taken.turn.tolist() == [0, 3, 4]
        assert taken.difference.tolist() == rows.difference[[0, 3, 4]].tolist()
        assert taken.features is not None
        assert taken.features[:, 0].tolist() == [0, 6, 8]
        assert taken.known is not None
        assert taken.samples is not None
        assert (len(taken.known), taken.samples.shape) == (3, (3, 3, D))


def test_rows_age_by_turns_however_many_rows_a_turn_has() -> None:
    rows = replace(by_chance(6, 0), turn=np.array([5, 5, 2, 9, 9, 9]))
    assert rows.aged(1.0).weight.tolist() == [0.25, 0.25, 0.5, 1, 1, 1]
    assert rows.aged(None) is rows


def test_a_turn_that_is_answered_again_later_is_as_old_as_each_of_its_answers() -> None:
    rows = replace(by_chance(4, 0), turn=np.array([1, 2, 3, 1]))
    assert rows.aged(1.0).weight.tolist() == [0.25, 0.25, 0.5, 1]


# --- the margin -------------------------------------------------------------------------------------------------


def test_margins_are_the_difference_of_expected_log_ratios() -> None:
    """Of one row with posteriors q, by drawing from them."""
    rng = np.random.default_rng(0)
    mean, log_variance = rng.standard_normal((2, 3)), rng.standard_normal((2, 3)) / 2
    chosen, rejected = ((m, v) for m, v in zip(mean, log_variance, strict=True))
    moments = [m**2 + np.exp(v) for m, v in (chosen, rejected)]
    rows = Rows(
        (chosen[0] - rejected[0])[None], (moments[0] - moments[1])[None] / 2, np.ones(1), np.zeros(1, bool),
        np.zeros(1, np.int64), ("mail",), features=np.array([[1.0, 4.0]], np.float32),
    )  # fmt: skip
    head = np.array([[0.2, 0.0, 0.1], [0.0, -0.1, 0.1]])
    parts = Parts(np.array([0.5, -0.2, 1.0]), np.array([0.3, -0.5, 0.1]), {"mail": np.ones(3)}, np.ones(2), head)
    mu = np.array([1.5, 0.8, 2.0]) + 3 * head[1]
    np.testing.assert_allclose(parts.means(rows), mu[None])

    def drawn(m: Array, v: Array) -> float:
        z = m + rng.standard_normal((100_000, 3)) * np.exp(v / 2)
        log_ratio = latent_dpo.log_density(z, mu, parts.log_variance) - latent_dpo.log_density(z, 0 * mu, 0 * mu)
        return float(log_ratio.mean())

    assert parts.margins(rows)[0] == pytest.approx(drawn(*chosen) - drawn(*rejected), abs=0.05)


def test_the_generic_encoder_prefers_nothing() -> None:
    assert not Parts.generic(D).margins(by_chance(4, 0)).any()


# --- fitting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "least"), [(25, 0.6), (200, 0.9)])
def test_a_planted_direction_is_found_from_noisy_choices(count: int, least: float) -> None:
    found = [cosine(fit(choices(always(direction(s), count), s), Design(), CONFIG).mean, direction(s)) for s in (0, 1)]
    assert min(found) > least


@pytest.mark.parametrize("loss", latent_dpo.LOSSES)
@pytest.mark.parametrize("noise", latent_dpo.NOISE_MODELS)
def test_every_loss_finds_it_under_every_noise_model(loss: learner.LossName, noise: learner.NoiseModel) -> None:
    config = LearnConfig(loss=loss, noise=noise, flip_rate=0.1)
    assert cosine(fit(choices(always(direction(), 120)), Design(), config).mean, direction()) > 0.9


def parameters_of(parts: Parts, design: Design) -> Array:
    """What `Design.parts` made them from."""
    precision = np.exp(-parts.log_variance)
    blocks: list[Array] = [precision * parts.mean, *(precision * shift for shift in parts.contexts.values())]
    if design.projection is not None and parts.head is not None:
        blocks.append(np.linalg.pinv(design.projection).dot(parts.head).reshape(-1))
    return np.concatenate([*blocks, 1 - precision] if design.scale else blocks)


def objective(rows: Rows, design: Design, config: LearnConfig) -> Callable[[Array], float]:
    """The penalised loss, put together from public parts: margins of an encoder, losses, the prior."""

    def plain(margin: latent_dpo.Floats) -> latent_dpo.LossTerms:
        return latent_dpo.LOSSES[config.loss](margin, beta=config.beta)

    ties = latent_dpo.conservative(plain, 0.5)
    noisy = latent_dpo.NOISE_MODELS[config.noise](plain, config.flip_rate or 0.0)

    def value(parameters: Array) -> float:
        margins = design.parts(parameters, D).margins(rows)
        if config.loss == "simpo":  # without a reference: N(0, I) has a say
            margins = margins - rows.spread.sum(1)
        losses = np.where(rows.tie, ties(margins).value, noisy(margins).value)
        return float(rows.weight @ losses + design.ridge(config, D) @ parameters**2 / 2)

    return value


def gradient(value: Callable[[Array], float], at: Array, step: float = 1e-4) -> Array:
    steps = step * np.eye(len(at))
    return np.array([(value(at + s) - value(at - s)) / (2 * step) for s in steps])


def assert_optimal(rows: Rows, design: Design, config: LearnConfig) -> None:
    value, found = objective(rows, design, config), parameters_of(fit(rows, design, config), design)
    start = gradient(value, np.zeros(len(found)))
    assert np.linalg.norm(gradient(value, found)) < 3e-4 * np.linalg.norm(start)
    assert value(found) < value(np.zeros(len(found)))


@pytest.mark.parametrize("loss", latent_dpo.LOSSES)
@pytest.mark.parametrize("noise", latent_dpo.NOISE_MODELS)
def test_what_is_found_is_the_optimum(loss: learner.LossName, noise: learner.NoiseModel) -> None:
    rng = np.random.default_rng(0)
    rows = replace(choices(always(direction(), 60)), weight=rng.random(60), tie=rng.random(60) < 0.2)
    assert_optimal(rows, Design(), LearnConfig(loss=loss, noise=noise, flip_rate=0.1))


def every_design(rows: Rows) -> dict[str, Design]:
    assert rows.features is not None
    head = learner.head_design(rows.features)
    return {
        "contexts": Design(contexts=("mail", "note")),
        "head": head,
        "contexts and head": replace(head, contexts=("mail", "note")),
        "scale": Design(scale=True),
    }


@pytest.mark.parametrize("name", ["contexts", "head", "contexts and head", "scale"])
def test_it_is_the_optimum_of_every_capacity(name: str) -> None:
    features = np.random.default_rng(1).standard_normal((60, 4))
    rows = choices(always(direction(), 60), contexts=["mail", "note", "rest"] * 20, features=features)
    assert_optimal(rows, every_design(rows)[name], CONFIG)


def test_without_evidence_the_encoder_is_exactly_the_generic_one() -> None:
    rows = choices(always(direction(), 60), contexts=two_kinds(60), features=np.random.default_rng(0).random((60, 4)))
    silent = replace(rows, weight=np.zeros(60))
    for design in every_design(rows).values():
        parts = fit(silent, design, CONFIG)
        assert not np.concatenate([parts.mean, parts.log_variance, *parts.contexts.values()]).any()
        assert parts.head is None or not parts.head.any()


def test_more_choices_lead_further() -> None:
    rows = choices(always(direction(), 240))
    lengths = [np.linalg.norm(fit(rows.take(np.arange(n)), Design(), CONFIG).mean) for n in (4, 30, 240)]
    assert lengths == sorted(lengths)


def test_ties_pull_texts_together() -> None:
    rows = choices(always(direction(), 40))
    alike = replace(rows, tie=np.ones(40, bool))
    both = replace(rows.take(np.arange(80) % 40), tie=np.arange(80) >= 40)
    assert np.linalg.norm(fit(alike, Design(), CONFIG).mean) < 1e-9
    margins = [np.abs(fit(r, Design(), CONFIG).margins(rows)).mean() for r in (both, rows)]
    assert 0 < margins[0] < 0.7 * margins[1]


def test_a_weight_of_two_is_the_row_twice() -> None:
    rows = choices(always(direction(), 20))
    heavy = replace(rows, weight=np.where(np.arange(20) < 5, 2.0, 1.0))
    twice = rows.take(np.array([*range(20), *range(5)]))
    np.testing.assert_allclose(
        fit(heavy, Design(), CONFIG).mean, fit(twice, Design(), CONFIG).mean, rtol=1e-4, atol=1e-4
    )


def test_known_latents_teach_where_there_are_any() -> None:
    """Texts that say nothing, made from latents that say it all."""
    rows, known = by_chance(80, 0), choices(always(direction(), 80), 1).difference
    known[::4] = np.nan
    rows = replace(rows, known=known)
    without, with_them = (fit(rows, Design(), replace(CONFIG, known_weight=w)).mean for w in (0.0, 1.0))
    assert cosine(with_them, direction()) > max(0.7, cosine(without, direction()))


def test_candidates_teach_in_the_sampled_variant() -> None:
    rows = choices(always(direction(), 100))
    middle = np.random.default_rng(5).standard_normal((100, D))
    sides = [(middle + half * rows.difference / 2).astype(np.float32) for half in (1, -1)]
    chosen, rejected = (Posteriors(mean, np.full_like(mean, -3.0)) for mean in sides)
    samples = latent_dpo.candidate_differences(
        chosen, rejected, per_source=8, evidence_ratio=0.5, keep=16, rng=np.random.default_rng(0)
    )
    blind = replace(rows, difference=np.zeros((100, D)), samples=samples)
    assert cosine(fit(blind, Design(), LearnConfig(variant="sampled")).mean, direction()) > 0.8
    assert not fit(blind, Design(), CONFIG).mean.any()


def test_however_many_candidates_a_row_counts_as_one() -> None:
    rows = choices(always(direction(), 40))
    copies = replace(rows, samples=np.repeat(rows.difference[:, None], 7, axis=1).astype(np.float32))
    sampled = fit(copies, Design(), LearnConfig(variant="sampled"))
    np.testing.assert_allclose(sampled.mean, fit(rows, Design(), CONFIG).mean, atol=1e-5)


def test_marginal_learns_each_dimension_by_itself() -> None:
    config = LearnConfig(variant="marginal")
    rows = choices(always(direction(), 100))
    found = fit(rows, Design(), config).mean
    assert cosine(found, direction()) > 0.8
    for d in range(D):
        alone = replace(rows, difference=rows.difference[:, [d]], spread=rows.spread[:, [d]])
        assert found[d] == pytest.approx(fit(alone, Design(), CONFIG).mean[0], abs=1e-6)


@pytest.mark.parametrize("design", [Design(contexts=("mail", "note")), Design(scale=True)])
def test_marginal_and_expected_are_the_same_in_one_dimension(design: Design) -> None:
    rows = choices(always(np.ones(1), 60), contexts=two_kinds(60))
    marginal, expected = (fit(rows, design, LearnConfig(variant=v)) for v in ("marginal", "expected"))
    np.testing.assert_allclose(marginal.margins(rows), expected.margins(rows), atol=1e-6)


def test_from_a_start_only_the_rest_is_learned() -> None:
    """At the optimum over the step, which is taken in the start's own scale."""
    rows = choices(always(direction(), 40))
    start = Parts(direction(7), np.linspace(-1, 1, D), {})
    moved = fit(rows, Design(), CONFIG, start=start)
    step = np.exp(-start.log_variance) * (moved.mean - start.mean)
    np.testing.assert_allclose(moved.margins(rows), start.margins(rows) + rows.difference @ step)

    def value(step: Array) -> float:
        margins = start.margins(rows) + rows.difference @ step
        losses = latent_dpo.dpo(margins, beta=CONFIG.beta).value
        return float(losses.sum() + CONFIG.prior_weight * step @ step / 2)

    assert np.linalg.norm(gradient(value, step)) < 1e-4 * np.linalg.norm(gradient(value, 0 * step))
    firm = fit(rows, Design(), replace(CONFIG, prior_weight=1e6), start=start)
    np.testing.assert_allclose(firm.mean, start.mean, atol=1e-4)
    assert firm.log_variance is start.log_variance


# --- geometry ---------------------------------------------------------------------------------------------------


def test_within_cuts_lengths_and_keeps_directions() -> None:
    parts = Parts(np.array([6.0, 8.0]), np.zeros(2), {"mail": np.array([-6.0, -5.0]), "note": np.array([6.0, 8.0])})
    cut = learner.within(parts, 5.0)
    assert cut.mean.tolist() == [3, 4]
    shifted = {name: (cut.mean + shift).round(9).tolist() for name, shift in cut.contexts.items()}
    assert shifted == {"mail": [0, 3], "note": [3, 4]}  # what was short enough stays where it was
    again = learner.within(cut, 5.0)
    np.testing.assert_allclose(again.mean, cut.mean)


def test_without_a_direction_nothing_leans_that_way_and_its_opposite_stays() -> None:
    east = np.array([1.0, 0.0])
    parts = Parts(np.array([3.0, 4.0]), np.zeros(2), {"mail": np.array([-5.0, 1.0]), "note": np.array([1.0, 0.0])})
    less = learner.without(parts, east)
    assert less.mean.tolist() == [0, 4]
    assert {name: (less.mean + shift).tolist() for name, shift in less.contexts.items()} == {
        "mail": [-2, 5],
        "note": [0, 4],
    }

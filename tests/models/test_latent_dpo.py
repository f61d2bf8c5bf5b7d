"""Losses against finite differences and maths worked by hand; the paper's candidates against their definition."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from models import latent_dpo
from models.latent_dpo import (
    LOSSES,
    NOISE_MODELS,
    Floats,
    LossTerms,
    MarginLoss,
    Posteriors,
    candidate_differences,
    conservative,
    draw_candidates,
    latent_reward,
    log_density,
    robust,
)

BETAS = [0.2, 1.0]
NOT_CONVEX = {"kto"}
MARGINS = np.linspace(-8, 8, 161) + 0.0123  # no corner of a piecewise loss within a step
STEP = 1e-4


def with_beta(name: str, beta: float) -> MarginLoss:
    return lambda margin: LOSSES[name](margin, beta=beta)


def slope(value: Callable[[Floats], Floats]) -> Floats:
    """By central differences."""
    return (value(MARGINS + STEP) - value(MARGINS - STEP)) / (2 * STEP)


def gaussians(mean: np.ndarray[tuple[int, int], np.dtype[np.float64]], variance: float = 1.0) -> Posteriors:
    centre = mean.astype(np.float32)
    return Posteriors(centre, np.full_like(centre, math.log(variance)))


def random_pairs(count: int, latent_size: int = 4, seed: int = 0) -> tuple[Posteriors, Posteriors]:
    means = np.random.default_rng(seed).standard_normal((2, count, latent_size))
    return gaussians(means[0], 0.3), gaussians(means[1], 0.3)


# --- losses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("beta", BETAS)
def test_slopes_and_curvatures_are_the_derivatives(name: str, beta: float) -> None:
    loss = with_beta(name, beta)
    np.testing.assert_allclose(loss(MARGINS).slope, slope(lambda h: loss(h).value), atol=1e-6)
    second = slope(lambda h: loss(h).slope)
    expected = np.maximum(second, 0) if name in NOT_CONVEX else second
    np.testing.assert_allclose(loss(MARGINS).curvature, expected, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("noise", ["conservative", "robust"])
def test_noise_models_have_the_right_slopes_and_never_a_negative_curvature(noise: str, name: str) -> None:
    loss = NOISE_MODELS[noise](with_beta(name, 0.7), 0.2)
    np.testing.assert_allclose(loss(MARGINS).slope, slope(lambda h: loss(h).value), atol=1e-6)
    assert loss(MARGINS).curvature.min() >= 0


@pytest.mark.parametrize("name", ["dpo", "ipo"])
@pytest.mark.parametrize("noise", ["conservative", "robust"])
def test_noise_models_keep_the_whole_curvature_of_an_even_loss(noise: str, name: str) -> None:
    loss = NOISE_MODELS[noise](with_beta(name, 0.7), 0.2)
    np.testing.assert_allclose(loss(MARGINS).curvature, slope(lambda h: loss(h).slope), atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_prefers_the_chosen_text(name: str) -> None:
    terms = LOSSES[name](np.array([-1.0, 0.0, 0.4]), beta=1.0)
    assert (terms.slope < 0).all()


def test_losses_by_hand() -> None:
    """At margin 1 with beta 1/2, so at beta h = 1/2."""
    right = 1 / (1 + math.exp(-0.5))
    expected = {
        "dpo": -math.log(right),
        "ipo": 0.0,  # the margin that it asks for: 1 / (2 beta)
        "hinge": 0.125,  # half the square of what is missing to 1
        "simpo": math.log(2),  # exactly its target
        "kto": 1 - right,
    }
    found = {name: float(loss(np.array(1.0), beta=0.5).value) for name, loss in LOSSES.items()}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("beta", BETAS)
def test_dpo_is_log_two_before_anything_is_learned(beta: float) -> None:
    terms = latent_dpo.dpo(np.zeros(1), beta=beta)
    assert terms.value == pytest.approx(math.log(2))
    assert terms.slope == pytest.approx(-beta / 2)


def test_hinge_is_straight_below_zero_and_nothing_above_its_target() -> None:
    terms = latent_dpo.hinge(np.array([-3.0, -1.0, 1.0, 5.0]), beta=1.0)
    assert terms.slope.tolist() == [-1, -1, 0, 0]
    assert terms.value.tolist() == [3.5, 1.5, 0, 0]


@pytest.mark.parametrize("name", LOSSES)
def test_huge_margins_stay_finite(name: str) -> None:
    far = np.array([-1e4, 1e4])
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(LOSSES[name](far, beta=1.0)).all()


# --- noise ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_a_label_that_is_as_often_wrong_as_right_pulls_both_texts_together(name: str) -> None:
    loss = conservative(with_beta(name, 0.5), 0.5)
    there, back = loss(MARGINS), loss(-MARGINS)
    np.testing.assert_allclose(there.value, back.value, atol=1e-12)
    np.testing.assert_allclose(there.slope, -back.slope, atol=1e-12)
    at_zero = loss(np.zeros(1))
    assert at_zero.slope == pytest.approx(0)


def flipped(loss: MarginLoss, flip_rate: float) -> Floats:
    """The loss to be expected of a label that was turned round with this rate."""
    return (1 - flip_rate) * loss(MARGINS).value + flip_rate * loss(-MARGINS).value


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("flip_rate", [0.1, 0.4])
def test_robust_is_right_on_average_however_many_labels_are_flipped(name: str, flip_rate: float) -> None:
    clean = with_beta(name, 0.5)
    np.testing.assert_allclose(flipped(robust(clean, flip_rate), flip_rate), clean(MARGINS).value, atol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("flip_rate", [0.1, 0.4])
def test_conservative_is_the_loss_to_be_expected(name: str, flip_rate: float) -> None:
    clean = with_beta(name, 0.5)
    np.testing.assert_allclose(conservative(clean, flip_rate)(MARGINS).value, flipped(clean, flip_rate), atol=1e-12)


@pytest.mark.parametrize("noise", NOISE_MODELS)
def test_without_flips_a_noise_model_changes_nothing(noise: str) -> None:
    clean = with_beta("dpo", 0.5)
    found: LossTerms = NOISE_MODELS[noise](clean, 0.0)(MARGINS)
    np.testing.assert_allclose(np.stack(found), np.stack(clean(MARGINS)), atol=1e-12)


# --- the paper's candidates -------------------------------------------------------------------------------------


def test_log_density_by_hand() -> None:
    """One dimension at its mean: -log(2 pi v) / 2; a second one a standard deviation away costs 1/2 more."""
    found = log_density(np.array([[1.0, 2.0]]), np.array([1.0, 1.0]), np.array([math.log(4.0), 0.0]))
    assert found == pytest.approx(-0.5 * (math.log(2 * math.pi * 4) + math.log(2 * math.pi) + 1))


def test_candidates_come_from_the_prior_and_both_posteriors_of_their_own_pair() -> None:
    chosen, rejected = gaussians(np.array([[10.0], [20.0]]), 0.01), gaussians(np.array([[-10.0], [-20.0]]), 0.04)
    z = draw_candidates(chosen, rejected, per_source=2000, rng=np.random.default_rng(0))
    assert z.shape == (2, 6000, 1)
    assert z.dtype == np.float32
    sources = z.reshape(2, 3, 2000)
    np.testing.assert_allclose(sources.mean(2), [[0, 10, -10], [0, 20, -20]], atol=0.1)
    np.testing.assert_allclose(sources.std(2), [[1, 0.1, 0.2]] * 2, rtol=0.1)


def test_reward_is_positive_where_the_chosen_text_is_likelier_and_changes_sign_with_the_sides() -> None:
    """1-D, unit variances, means +1 and -1: log q_w(z) - log q_l(z) = 2 z."""
    chosen, rejected = gaussians(np.array([[1.0]])), gaussians(np.array([[-1.0]]))
    z = np.array([[[2.0], [0.0], [-0.5]]])
    np.testing.assert_allclose(latent_reward(z, chosen, rejected), [[4, 0, -1]])
    np.testing.assert_allclose(latent_reward(z, rejected, chosen), [[-4, 0, 1]])


def differences(chosen: Posteriors, rejected: Posteriors, ratio: float, keep: int = 50) -> Floats:
    return candidate_differences(
        chosen, rejected, per_source=8, evidence_ratio=ratio, keep=keep, rng=np.random.default_rng(1)
    )


def test_of_each_pair_so_many_differences_are_kept() -> None:
    found = differences(*random_pairs(5), 0.5, keep=7)
    assert found.shape == (5, 7, 4)
    assert found.dtype == np.float32


def reward_gaps(found: Floats, chosen: Posteriors, rejected: Posteriors) -> Floats:
    """[N, keep]. With equal variances the reward is linear in z, so a gap depends on the difference alone."""
    direction = (chosen.mean - rejected.mean) / np.exp(chosen.log_variance)
    gaps: Floats = np.einsum("nkd,nd->nk", found, direction)
    return gaps


def test_kept_pairs_have_larger_reward_gaps_than_the_rest() -> None:
    chosen, rejected = random_pairs(40)
    gaps = {
        ratio: reward_gaps(differences(chosen, rejected, ratio, 200), chosen, rejected) for ratio in (0.1, 0.5, 1, 2)
    }
    means = [gap.mean() for gap in gaps.values()]
    assert means == sorted(means, reverse=True)
    assert means[1] > 1.5 * means[2] > 0
    assert gaps[0.5].min() > 0  # the top quarter of all ordered pairs: better over worse, always
    assert abs(means[3]) < 0.3 * means[2]  # all of S x S, each in both directions


def test_a_tiny_share_leaves_the_one_largest_gap() -> None:
    chosen, rejected = random_pairs(3)
    best = differences(chosen, rejected, 1e-9)
    assert (best == best[:, :1]).all()
    gaps = reward_gaps(differences(chosen, rejected, 0.5, 2000), chosen, rejected)
    np.testing.assert_allclose(reward_gaps(best, chosen, rejected)[:, 0], gaps.max(1), rtol=1e-4)


def test_every_pair_is_compared_with_its_own_candidates_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latent_dpo, "ROWS_AT_ONCE", 3)
    chosen, rejected = random_pairs(8)
    found = differences(chosen, rejected, 0.5)
    assert found.shape == (8, 50, 4)
    assert (reward_gaps(found, chosen, rejected) > 0).all()


def test_memory_grows_with_what_is_kept_and_not_with_all_gaps() -> None:
    """All gaps of 4,000 pairs and their order would take 150 MB."""
    pairs = random_pairs(4000)
    tracemalloc.start()
    found = candidate_differences(*pairs, per_source=16, evidence_ratio=0.5, keep=4, rng=np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.nbytes < 1e6
    assert peak < 70e6

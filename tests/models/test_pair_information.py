"""Which pair tells most: what it leaves in doubt about typical pairs is what it says it leaves."""

from __future__ import annotations

import numpy as np

from models import learner
from models.latent_dpo import Posteriors
from models.learner import Design, LearnConfig, Parts
from models.pair_information import Belief, Texts, covariance_of, typical_of
from tests.planted import D, always, choices, direction

CONFIG = LearnConfig(flip_rate=0.0)


def texts(seed: int, count: int = 6) -> Texts:
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((count, D), dtype=np.float32)
    return Texts(Posteriors(mean, np.full_like(mean, -3.0)), "other")


def belief(rows: learner.Rows | None) -> Belief:
    parts = Parts.generic(D) if rows is None else learner.fit(rows, Design(), CONFIG)
    return Belief(parts, covariance_of(parts, rows, CONFIG), CONFIG)


def test_each_two_texts_are_a_row() -> None:
    found = texts(0, 3)
    assert found.pairs == [(0, 1), (0, 2), (1, 2)]
    mean = found.posteriors.mean.astype(float)
    np.testing.assert_allclose(found.rows().difference, [mean[0] - mean[1], mean[0] - mean[2], mean[1] - mean[2]])


def test_texts_that_the_encoder_cannot_tell_apart_are_alike() -> None:
    mean = np.zeros((3, D), np.float32)
    mean[2] = 2.0
    assert Texts(Posteriors(mean, np.zeros_like(mean)), "other").alike().tolist() == [True, False, False]


def test_before_any_answer_everything_is_as_unsure_as_the_prior() -> None:
    np.testing.assert_allclose(belief(None).covariance, np.eye(D) / CONFIG.prior_weight)


def test_a_gain_is_the_variance_that_typical_margins_lose() -> None:
    """Against the covariance computed anew with the pair's curvature added to the information."""
    rows = choices(always(direction(), 30))
    known, offered = belief(rows), texts(1)
    typical = typical_of([texts(number).rows() for number in range(9)])
    gains = known.gains(offered.rows(), typical)
    curvature = learner.preference_terms(known.margins(offered.rows()), offered.rows().tie, CONFIG).curvature
    for difference, bend, gain in zip(offered.rows().difference, curvature, gains, strict=True):
        after = np.linalg.inv(np.linalg.inv(known.covariance) + bend * np.outer(difference, difference))
        np.testing.assert_allclose(gain, np.trace(typical @ (known.covariance - after)))


def test_what_was_asked_often_is_asked_no_more() -> None:
    """After many answers about the first dimension, the second one tells more."""
    rng = np.random.default_rng(0)
    along = np.zeros((60, D))
    along[:, 0] = rng.choice([-2.0, 2.0], 60)
    rows = choices(always(direction(), 60))
    rows = learner.Rows(along, 0 * along, rows.weight, rows.tie, rows.turn, rows.context)
    mean = np.zeros((4, D), np.float32)
    mean[1, 0] = mean[3, 1] = 2.0
    offered = Texts(Posteriors(mean, np.full_like(mean, -9.0)), "other")
    gains = dict(zip(offered.pairs, belief(rows).gains(offered.rows(), np.eye(D)), strict=True))
    assert gains[2, 3] > 2 * gains[0, 1]

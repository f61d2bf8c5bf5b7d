"""A personal encoder with differential privacy: who has it cannot tell whether any one choice was made at all.

Latent DPO by gradient descent whose every step sees the choices through a clipped sum with Gaussian noise: DP-SGD
(Abadi et al. 2016, arXiv 1607.00133) with all choices in every step. Nothing is subsampled, so that its privacy is
exactly that of one Gaussian mechanism (Dong, Roth and Su 2022, arXiv 1905.02383). Compared with Opacus and with
perturbed objectives in docs/experiments.md. The unit is one choice, with all the rows of evidence that its turn has:
neighbours are two histories of which one has a choice emptied ("zero-out", Ponomareva et al. 2023, arXiv 2303.00654,
section 2.1), so how many choices there were is no secret. Everything else that decides the result is fixed here, not
fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from models import learner
from models.learner import Array, LearnConfig, Parts, Rows

DEFAULT_DELTA = 1e-5
STEPS = 20
"""Half of which are averaged. More steps need more noise in each, fewer do not get far enough."""
DISTANCE = 7.0
"""Of two drafts in the latent space, typically; all sizes below are made of it, none is measured on a person."""


@dataclass(frozen=True)
class Budget:
    """(epsilon, delta): the chance of anything that is seen of the encoder changes, by any one choice, by at most a
    factor of exp(epsilon), except with probability delta."""

    epsilon: float
    delta: float = DEFAULT_DELTA

    @property
    def is_sane(self) -> bool:
        """Finite and above 0; a delta from 0.1 on protects nobody."""
        return math.isfinite(self.epsilon) and self.epsilon > 0 and 0 < self.delta < 0.1

    @property
    def mu(self) -> float:
        """The Gaussian mechanism that uses it up: sensitivity over standard deviation of its noise."""
        low, high = 0.0, 1.0
        while delta_spent(high, self.epsilon) < self.delta:
            high *= 2
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if delta_spent(middle, self.epsilon) < self.delta else (low, middle)
        return low

    def deviation(self, clip: float, steps: int) -> float:
        """Of the noise in each of so many steps, which any one choice moves by at most `clip`."""
        return clip * math.sqrt(steps) / self.mu


def delta_spent(mu: float, epsilon: float) -> float:
    """The least delta of a Gaussian mechanism at this epsilon (arXiv 1905.02383, corollary 2.13)."""
    if mu == 0:
        return 0.0
    tail = _normal_cdf(-epsilon / mu - mu / 2)
    return _normal_cdf(-epsilon / mu + mu / 2) - (math.exp(epsilon + math.log(tail)) if tail else 0.0)


def _normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def public_config(config: LearnConfig) -> LearnConfig:
    """The same without what would be estimated on the person's choices, or say how drafts were made."""
    return replace(config, flip_rate=None, half_life=None, variant="expected", known_weight=0.0)


def private_fit(rows: Rows, config: LearnConfig, budget: Budget, rng: np.random.Generator) -> Parts:
    """A shift of N(0, I) that keeps to the budget; next to none when the noise would drown it.

    `config` as `public_config` makes it. `rng` must never be used or seeded the same way again.
    """
    size = rows.difference.shape[1]
    choices = len(np.unique(rows.turn))
    curvature = choices * config.beta**2 * DISTANCE**2 / (8 * size)  # in each direction, of choices that are half sure
    # The less the noise leaves to be heard, the shorter the way: worth 1 to 2 points from 200 choices on.
    ridge = config.prior_weight + curvature * min(0.5, 50 / (choices * budget.mu))
    rate = 1 / (2 * curvature + ridge)
    clip = config.beta * DISTANCE / 4  # half of what a typical choice pulls at first
    deviation = budget.deviation(clip, STEPS)
    mean, path = np.zeros(size), []
    for _ in range(STEPS):
        noise = deviation * rng.standard_normal(size)
        mean = mean - rate * (clipped_gradient(rows, mean, config, clip) + noise + ridge * mean)
        path.append(mean)
    average: Array = np.mean(path[STEPS // 2 :], axis=0)
    found = _without_noise(average, rate * deviation, 1 - rate * ridge, config.max_norm)
    return learner.within(Parts(found, np.zeros(size), {}), config.max_norm)


def clipped_gradient(rows: Rows, mean: Array, config: LearnConfig, clip: float) -> Array:
    """[D]: what all choices say at this mean [D], the rows of each together cut to this length."""
    turns, turn = np.unique(rows.turn, return_inverse=True)
    slope = learner.preference_terms(rows.difference @ mean, rows.tie, config).slope
    each = np.zeros((len(turns), len(mean)))
    np.add.at(each, turn, (rows.weight * slope)[:, None] * rows.difference)
    total: Array = (each * learner.shrinking(each, clip)).sum(0)
    return total


def _without_noise(mean: Array, deviation: float, kept: float, longest: float) -> Array:
    """Shrunk by what a signal of at most this length deserves beside the noise (Wiener 1949), which is public.

    So that noise alone leans nowhere far. `deviation` is of the noise that each step adds, of which the next one keeps
    this share at most.
    """
    averaged = range(STEPS // 2, STEPS)
    shares = [sum(kept ** (at - step) for at in averaged if at >= step) / len(averaged) for step in range(STEPS)]
    noise = len(mean) * deviation**2 * float(np.square(shares).sum())
    return longest**2 / (longest**2 + noise) * mean

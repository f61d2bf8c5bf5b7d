"""Which pair of texts would tell most about a person: the one whose answer leaves the next choices least in doubt.

What is known of a person's shift is a Gaussian, Laplace's around the fit. An answer about a pair narrows it; how much
that narrows the margins of *typical* pairs is known before the answer is (V-optimal design: Fedorov 1972; Chaloner and
Verdinelli 1995, "Bayesian experimental design: a review", section 2). Asking for the largest doubt about the pair
itself finds outliers instead, two texts of which one is odd (docs/benchmarks/rate.md has the numbers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from models import learner
from models.latent_dpo import Posteriors
from models.learner import Array, Design, LearnConfig, Parts, Rows
from models.personalize import ALIKE


@dataclass(frozen=True)
class Texts:
    """Some texts for one prompt, as the encoder reads them."""

    posteriors: Posteriors
    context: str
    features: NDArray[np.float32] | None = None
    """[H], of the prompt; needed by an encoder with a head."""

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Each two texts, in the order of the rows."""
        return list(combinations(range(len(self.posteriors.mean)), 2))

    def rows(self) -> Rows:
        """Each two texts as if the first one had been chosen."""
        first, second = np.array(self.pairs).reshape(-1, 2).T
        mean = self.posteriors.mean.astype(np.float64)
        moment = mean**2 + np.exp(self.posteriors.log_variance)
        count = len(first)
        return Rows(
            difference=mean[first] - mean[second],
            spread=(moment[first] - moment[second]) / 2,
            weight=np.ones(count),
            tie=np.zeros(count, dtype=bool),
            turn=np.zeros(count, dtype=np.int64),
            context=(self.context,) * count,
            features=None if self.features is None else np.repeat(self.features[None], count, axis=0),
        )

    def alike(self) -> NDArray[np.bool_]:
        """[N]: pairs from which nothing could be learned, as `personalize.weighed` sees it."""
        first, second = np.array(self.pairs).reshape(-1, 2).T
        mean, variance = self.posteriors.mean, np.exp(self.posteriors.log_variance)
        apart = ((mean[first] - mean[second]) ** 2).sum(1)
        near: NDArray[np.bool_] = apart < ALIKE * (variance[first] + variance[second]).sum(1) / 2
        return near


@dataclass(frozen=True)
class Belief:
    """What is known of a person: the fitted encoder, and how sure its shift is."""

    parts: Parts
    covariance: Array
    """[D, D], of the shift."""
    config: LearnConfig

    def margins(self, rows: Rows) -> Array:
        """[N]: above 0 where the person is expected to choose the first text."""
        return self.parts.margins(rows, self.config.max_norm)

    def gains(self, rows: Rows, typical: Array) -> Array:
        """[N]: by how much an answer about each pair narrows the margins of typical pairs, on average.

        `typical` [D, D]: the second moment of their differences.
        """
        curvature = learner.preference_terms(self.margins(rows), rows.tie, self.config).curvature
        seen = rows.difference @ self.covariance  # [N, D]
        own = (seen * rows.difference).sum(1)
        gains: Array = curvature * ((seen @ typical) * seen).sum(1) / (1 + curvature * own)
        return gains


def typical_of(rows: Sequence[Rows]) -> Array:
    """[D, D]: the second moment of the differences of all these pairs."""
    differences = np.concatenate([each.difference for each in rows])
    moment: Array = differences.T @ differences / len(differences)
    return moment


def covariance_of(parts: Parts, rows: Rows | None, config: LearnConfig) -> Array:
    """[D, D]: Laplace's covariance of a shift with these parts, fitted to these rows (None: the prior)."""
    latent_size = len(parts.mean)
    information = np.diag(Design().ridge(config, latent_size))
    if rows is not None:
        bend = rows.weight * learner.preference_terms(parts.margins(rows), rows.tie, config).curvature
        information = information + (rows.difference * bend[:, None]).T @ rows.difference
    inverse: Array = np.linalg.inv(information).astype(np.float64)
    return inverse

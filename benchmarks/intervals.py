"""Means over people and seeds, and how far they are to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLED = 4000


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval, by the bootstrap over people and seeds (Efron 1979)."""

    mean: float
    low: float
    high: float
    count: int

    def told(self, form: str = "{:.2f}") -> str:
        """`0.71 [0.66, 0.75]`; without interval where there is only one value."""
        mean = form.format(self.mean)
        return mean if self.count < 2 else f"{mean} [{form.format(self.low)}, {form.format(self.high)}]"

    @property
    def is_zero(self) -> bool:
        """Whether nothing speaks against zero; one value alone never does."""
        return self.count < 2 or self.low <= 0 <= self.high


def estimate(values: Sequence[float]) -> Estimate:
    """Of at least one value."""
    array = np.asarray(values, np.float64)
    drawn = np.random.default_rng(0).integers(0, len(array), (RESAMPLED, len(array)))
    low, high = np.quantile(array[drawn].mean(1), (0.025, 0.975))
    return Estimate(float(array.mean()), float(low), float(high), len(array))

"""How a rating session goes: how the person chooses, how consistently, and how well that was foreseen. Pure values."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

LONGEST_LOOK_S = 60.0
"""Who takes longer over a pair was away."""


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    count: int = 0
    of: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.count + other.count, self.of + other.of)

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0


NONE = Share()


@dataclass(frozen=True)
class Tally:
    """What the answers of a session come to."""

    choices: Share = NONE
    """Choices of one draft, of all answers."""
    left: Share = NONE
    """Choices of the left one, of all choices."""
    same: Share = NONE
    """Pairs asked again that were answered alike."""
    foreseen: Share = NONE
    """Choices that PenPal had expected, of those where it expected anything; pairs asked again left out."""

    @property
    def ceiling(self) -> float | None:
        """The best share that anybody could foresee; None before a pair was asked twice.

        Who gives each answer the wrong way round with rate e agrees with themselves (1 - e)^2 + e^2 of the time, and
        can be foreseen 1 - e of the time.
        """
        if not self.same.of:
            return None
        agreement = max(self.same.share, 0.5)
        return (1 + math.sqrt(2 * agreement - 1)) / 2


def active_seconds(moments: Sequence[float], *, now: float) -> float:
    """Time spent on pairs between these moments (the first is the start), without the times when nobody was there."""
    return sum(min(later - earlier, LONGEST_LOOK_S) for earlier, later in pairwise([*moments, now]))


def days_in_a_row(days: Collection[date], *, today: date) -> int:
    """The streak of days that ends today; one that ended yesterday still counts, today is not over."""
    day = today if today in days else today - timedelta(days=1)
    count = 0
    while day in days:
        day -= timedelta(days=1)
        count += 1
    return count


USUALLY_ENOUGH = 30
"""Choices after which half of the simulated people pass the test of the nightly run (docs/benchmarks/rate.md)."""
TRUST_IN_USUAL = 30
"""In choices: how firmly a forecast from few answers is held to that."""
MOST_TO_GO = 150


def more_needed(answered: int, luck: float, *, enough: float) -> int:
    """About how many more choices until they no longer look like luck; 0 when that is so now.

    `luck`: the chance that random answers look as consistent as these; its logarithm falls in proportion to their
    number. `enough`: the luck at which something is learned. Off by a factor of 1.6 on average, which is why the
    number is rounded.
    """
    if answered and luck <= enough:
        return 0
    usual = max(USUALLY_ENOUGH - answered, 5)
    own = answered * math.log(enough) / min(math.log(luck), -0.2) - answered if answered else usual
    own = min(max(own, 5.0), MOST_TO_GO)
    mixed = (answered * own + TRUST_IN_USUAL * usual) / (answered + TRUST_IN_USUAL)
    return max(5, 5 * round(mixed / 5))

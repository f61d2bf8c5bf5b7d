"""Whether an encoder gives away which choices it was learned from: membership inference, by its own maker.

Shadow trainings on random halves (Shokri et al. 2017, arXiv 1610.05820) say how a choice is treated by encoders that
know it and by encoders that do not; two attackers try to tell these from those. Each encoder knows half as much as the
one that is given away, so that what is found is rather too much than too little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models import learner
from models.learner import Array, CapacityName, Design, LearnConfig, Parts, Rows

MIN_CHOICES = 10
TRAININGS = 64
MIN_TRAININGS = 8
"""Made whatever time they take."""
RESAMPLES = 200
ALARMING = 0.6
"""An AUC above it is worth a warning."""
Train = Callable[[Rows], Parts]


@dataclass(frozen=True)
class Attack:
    """How well an attacker tells choices that were learned from and others apart."""

    auc: float
    """The chance that they point at the right one of two: 0.5 is guessing."""
    interval: tuple[float, float]
    """Of 95% of the repeats."""


@dataclass(frozen=True)
class Membership:
    """What attackers made of it."""

    by_margin: Attack
    """They ask how sure the encoder is of a choice."""
    by_likelihood_ratio: Attack | None
    """They also know how sure encoders with and without it are: LiRA, Carlini et al. 2022 (arXiv 2112.03570), 5."""
    choices: int
    trainings: int
    """0: the encoder itself was asked, about choices that its training had left out."""

    @property
    def worst(self) -> Attack:
        """The better one of the attackers."""
        other = self.by_likelihood_ratio
        return other if other is not None and other.auc > self.by_margin.auc else self.by_margin

    @property
    def is_alarming(self) -> bool:
        return self.worst.auc > ALARMING


def like(capacity: CapacityName, config: LearnConfig, start: Parts | None = None) -> Train:
    """Trains as the encoder was, whatever the rows would ask for. Not for layers, which take minutes."""

    def train(rows: Rows) -> Parts:
        return learner.within(learner.fit(rows, _design(capacity, rows), config, start=start), config.max_norm)

    return train


def _design(capacity: CapacityName, rows: Rows) -> Design:
    if capacity == "contexts":
        return Design(contexts=learner.contexts_to_learn(rows))
    if capacity == "head" and rows.features is not None:
        return learner.head_design(rows.features)
    return Design(scale=capacity == "shift and scale")


def shadow_test(
    rows: Rows,
    train: Train,
    *,
    max_norm: float = np.inf,
    seconds: float = 20.0,
    seed: int = 0,
    between: Callable[[], None] = lambda: None,
    progress: Callable[[float], None] = lambda share: None,
) -> Membership | None:
    """Trains on random halves of the choices until the time is up; None when there are too few choices to tell.

    The rows of one turn stay together, and are one choice. Weights count as they are: age the rows before.
    """
    scored, _ = scores(np.zeros(len(rows)), rows)
    if len(scored) < MIN_CHOICES:
        return None
    rng, started = np.random.default_rng(seed), time.monotonic()
    found: list[Array] = []
    known: list[NDArray[np.bool_]] = []
    while len(found) < TRAININGS and (len(found) < MIN_TRAININGS or time.monotonic() - started < seconds):
        between()
        half = rng.permutation(scored)[: len(scored) // 2]
        learned = train(rows.take(np.isin(rows.turn, half)))
        found.append(scores(learned.margins(rows, max_norm), rows)[1])
        known.append(np.isin(scored, half))
        progress(len(found) / TRAININGS)
    score, member = np.stack(found), np.stack(known)
    ratios = likelihood_ratios(score, member)
    return Membership(_over_repeats(score, member), _over_repeats(ratios, member), len(scored), len(score))


def left_out_test(margins: Array, rows: Rows, known: NDArray[np.bool_], *, seed: int = 0) -> Membership | None:
    """Asks an encoder by its margins [N] about rows [N] that it knows and others. None when either are too few.

    The interval is of resampled choices.
    """
    members, others = (scores(margins[part], rows.take(part))[1] for part in (known, ~known))
    if min(len(members), len(others)) < MIN_CHOICES:
        return None
    rng = np.random.default_rng(seed)
    drawn = [auc(rng.choice(members, len(members)), rng.choice(others, len(others))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Membership(Attack(auc(members, others), (float(low), float(high))), None, len(members) + len(others), 0)


def scores(margins: Array, rows: Rows) -> tuple[NDArray[np.int64], Array]:
    """Turns [T] and how sure an encoder with these margins [N] is of what was chosen in each; ties are left out."""
    pairs = ~rows.tie & (rows.weight > 0)
    turns, of_turn = np.unique(rows.turn[pairs], return_inverse=True)
    weight = rows.weight[pairs]
    total = np.bincount(of_turn, weight * margins[pairs], len(turns))
    return turns, total / np.bincount(of_turn, weight, len(turns))


def likelihood_ratios(score: Array, member: NDArray[np.bool_]) -> Array:
    """[K, T]: log-odds that training k had choice t, by what the K - 1 other trainings made of it.

    Two Gaussians of one variance for each choice, since a few dozen trainings tell no more. 0 where the others either
    all had it or all lacked it.
    """
    ratios = np.zeros_like(score)
    for k in range(len(score)):
        rest, had = np.delete(score, k, 0), np.delete(member, k, 0)
        count = had.sum(0)
        known = (count > 0) & (count < len(rest))
        inside = (rest * had).sum(0) / np.maximum(count, 1)
        outside = (rest * ~had).sum(0) / np.maximum(len(rest) - count, 1)
        variance = ((rest - np.where(had, inside, outside)) ** 2).mean(0) + 1e-12
        ratios[k] = known * (inside - outside) * (score[k] - (inside + outside) / 2) / variance
    return ratios


def auc(members: Array, others: Array) -> float:
    """The chance that one of these has a higher score than one of those; equal ones count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, "left") + np.searchsorted(ordered, members, "right")
    return float(below.mean() / 2 / len(others))


def _over_repeats(score: Array, member: NDArray[np.bool_]) -> Attack:
    each = [auc(one[had], one[~had]) for one, had in zip(score, member, strict=True)]
    low, high = np.quantile(each, (0.025, 0.975))
    return Attack(float(np.mean(each)), (float(low), float(high)))


def aged(rows: Rows, config: LearnConfig) -> tuple[Rows, LearnConfig]:
    """Rows whose weights are those of their age, and what learns from them as they are."""
    return rows.aged(config.half_life), replace(config, half_life=None)

"""What to trust of what was learned: cross-validation, the choice of capacity and half-life, and the test against luck.

Asks choices that an encoder was trained without, the rows of one turn always together. Knows nothing of texts or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.learner import (
    Array,
    CapacityName,
    Design,
    LearnConfig,
    Parts,
    Rows,
    contexts_to_learn,
    designs,
    fit,
    within,
)


def folds(rows: Rows, config: LearnConfig) -> list[NDArray[np.bool_]]:
    """Masks of held-out rows; the rows of one turn are in the same fold."""
    turns = np.unique(rows.turn)
    np.random.default_rng(config.seed).shuffle(turns)
    count = min(config.folds, len(turns))
    return [np.isin(rows.turn, turns[i::count]) for i in range(count)]


def held_out_margins(rows: Rows, design: Design, config: LearnConfig, start: Parts | None = None) -> Array:
    """[N]: margins of each row under an encoder that was trained without its turn. Needs two turns.

    `start`: where each of them starts, an encoder that saw none of the rows.
    """
    margins = np.zeros(len(rows))
    aged = rows.aged(config.half_life)
    unaged = replace(config, half_life=None)
    for held_out in folds(rows, config):
        parts = fit(aged.take(~held_out), design, unaged, start=start)
        margins[held_out] = within(parts, config.max_norm).margins(rows.take(held_out), config.max_norm)
    return margins


def log_loss(margins: Array, rows: Rows, config: LearnConfig) -> Array:
    """[N]: -log of the probability of what the person chose; ln 2 for the generic encoder, whose margins are 0."""
    each = np.logaddexp(0, -config.beta * margins)
    return np.where(rows.tie, (each + np.logaddexp(0, config.beta * margins)) / 2, each)


def better(losses: Array, than: Array, weight: Array) -> bool:
    """Whether these held-out losses are lower by more than one standard error of the difference."""
    gain = np.average(than - losses, weights=weight)
    error = np.sqrt(np.average((than - losses - gain) ** 2, weights=weight) * (weight**2).sum()) / weight.sum()
    return bool(gain > error)


WINDOWS = (None, 200, 60, 50)
"""Latest choices that are asked whether they are more than luck: all, and what the half-lives leave."""


def luck(rows: Rows, config: LearnConfig, *, flips: int = 2000) -> float:
    """The chance that labels picked at random look as consistent as these: a sign-flip test, exact at any size.

    The statistic is the score test of the very model that is fitted (what the penalised likelihood gains, to second
    order), shift and contexts together: g' (X'X/4 + ridge)^-1 g, after Goeman, van de Geer and van Houwelingen 2006,
    "Testing against a high dimensional alternative". Under the null every turn's labels may be turned round, which
    leaves X'X as it is. A taste that has moved shows in the latest choices only, so several windows are asked, and how
    extreme the most extreme of them is (min-p) by the same flips, after Westfall and Young 1993.
    """
    pairs = rows.take(~rows.tie)
    if len(pairs) == 0:
        return 1.0
    _, of_turn = np.unique(pairs.turn, return_inverse=True)
    sizes = dict.fromkeys(min(len(pairs), size or len(pairs)) for size in WINDOWS)
    scores = [_scores(pairs, of_turn, len(pairs) - size, config) for size in sizes]
    found = np.empty((len(scores), 1 + flips))
    rng = np.random.default_rng(config.seed)
    for start in range(0, 1 + flips, FLIPS_AT_ONCE):
        signs = rng.choice([-1.0, 1.0], (min(FLIPS_AT_ONCE, 1 + flips - start), len(scores[0])))
        if start == 0:
            signs[0] = 1.0  # as the person answered
        found[:, start : start + len(signs)] = [((signs @ score) ** 2).sum(1) for score in scores]
    # Rounded: the same labels, all turned round or not, are as extreme as each other.
    least = np.min([_share_as_extreme(np.round(each, 9)) for each in found], axis=0)
    return float((least <= least[0]).mean())


FLIPS_AT_ONCE = 250


def _scores(pairs: Rows, of_turn: NDArray[np.int64], first: int, config: LearnConfig) -> Array:
    """[T, P]: what each turn adds to the gradient, from row `first` on, where its squared length is the statistic."""
    late = pairs.take(np.arange(first, len(pairs)))
    contexts = contexts_to_learn(late)
    design = Design(contexts=contexts if len(contexts) > 1 else ())
    columns = design.columns(design.psi(late), late.difference, late.spread)
    ridge = design.ridge(config, late.difference.shape[1]) / config.beta**2
    information = (columns * (late.weight / 4)[:, None]).T @ columns + np.diag(ridge)
    scores = np.zeros((of_turn.max() + 1, columns.shape[1]))
    np.add.at(scores, of_turn[first:], columns * late.weight[:, None])
    turned: Array = scores @ np.linalg.cholesky(np.linalg.inv(information))
    return turned


def _share_as_extreme(statistic: Array) -> Array:
    """[S]: the share of all that is as large as each."""
    share: Array = 1 - np.searchsorted(np.sort(statistic), statistic, side="left") / len(statistic)
    return share


HALF_LIVES = (None, 100.0, 30.0, 15.0)
RECENT = 40


def choose_half_life(rows: Rows, design: Design, config: LearnConfig, start: Parts | None = None) -> float | None:
    """How fast the person's taste moves: the longest half-life that foresees the latest choices as well as any."""
    if len(rows) <= 1.5 * RECENT:
        return None
    recent = np.arange(len(rows)) >= len(rows) - RECENT
    chosen, held = None, None
    for half_life in HALF_LIVES:
        tried = replace(config, half_life=half_life)
        losses = log_loss(held_out_margins(rows, design, tried, start), rows, tried)
        if held is None or better(losses[recent], held[recent], rows.weight[recent]):
            chosen, held = half_life, losses
    return chosen


@dataclass(frozen=True)
class Candidate:
    """One capacity, as cross-validation sees it."""

    capacity: CapacityName
    margins: Array
    """[N], held out."""
    losses: Array
    """[N], held out."""


def cross_validated(
    rows: Rows, config: LearnConfig, between: Callable[[], None] = lambda: None, start: Parts | None = None
) -> tuple[CapacityName, list[Candidate]]:
    """The capacity that the person's own evidence asks for: a richer one only when it is better beyond noise."""
    weight = rows.aged(config.half_life).weight
    tried: list[Candidate] = []
    for capacity, design in designs(rows).items():
        between()
        margins = held_out_margins(rows, design, config, start)
        tried.append(Candidate(capacity, margins, log_loss(margins, rows, config)))
    chosen = tried[0]
    for candidate in tried[1:]:
        if better(candidate.losses, chosen.losses, weight):
            chosen = candidate
    return chosen.capacity, tried


def accuracy(margins: Array, rows: Rows) -> tuple[int, int]:
    """How many of the pairs (ties left out) are ordered as the person did, and of how many."""
    pairs = ~rows.tie
    return int((margins[pairs] > 0).sum()), int(pairs.sum())


def interval(right: int, count: int, *, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    if count == 0:
        return 0.0, 1.0
    share, square = right / count, z * z / count
    middle = (share + square / 2) / (1 + square)
    half = z * np.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return float(middle - half), float(middle + half)

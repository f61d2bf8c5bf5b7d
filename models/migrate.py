"""A voice in another latent space than the one it was learned in, by way of texts that both spaces have read.

Such anchors let two spaces be compared (Moschella et al. 2023, arXiv 2209.15430); the map between them is then a ridge
regression (Maiorca et al. 2023, arXiv 2311.00664). What a voice is there for is its margin, precision * mean . d, which
is linear in d, the difference of two texts to one prompt. So d of the old space is foreseen from d of the new one,
d_old = B' d_new, and B maps the voice: B (precision * mean) has nearly the margins that it had. Generic stays generic.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.protocols import Message
from models.learner import PRECISION_RANGE, Array, Parts

ANCHORS = Path(__file__).parent / "pretrained" / "anchors.jsonl"
"""Drafts of the embedded backbone for made-up tasks, with latents of the prior: no text of any person
(`benchmarks.people.fill_pool`, shuffled; without brackets and addresses)."""
MIN_ANCHORS = 64
FOLDS = 5
RIDGES = (0.001, 0.01, 0.1, 1.0)
"""Against the mean eigenvalue of what is regressed on; the one that foresees held-out anchors best is taken."""
HEAD_FORESEEN = 0.1
"""Share of a head's variance that the new features must foresee: below it, it says nothing there."""


class Anchor(NamedTuple):
    """A prompt and two texts for it."""

    messages: tuple[Message, ...]
    first: str
    second: str


@cache
def shipped_anchors() -> tuple[Anchor, ...]:
    """The same for everybody."""
    rows = [json.loads(line) for line in ANCHORS.read_text("utf-8").splitlines()]
    return tuple(Anchor((Message("user", row["prompt"]),), row["a"], row["b"]) for row in rows)


@dataclass(frozen=True)
class SpaceMap:
    """From one latent space [D] to another one [E]."""

    matrix: Array
    """[E, D]: B."""
    foreseen: float
    """Share of the variance of old differences that new ones foresee, held out: 1 is one space turned into another."""
    held_out: Array
    """[N, D]: the old differences of the N anchors, as maps foresee them that were fitted without them."""


def fit_map(old: Array, new: Array) -> SpaceMap:
    """From differences of N anchors in both spaces, [N, D] and [N, E]."""
    matrix, held_out = ridge_regression(new, old)
    return SpaceMap(matrix, _foreseen(old, held_out), held_out)


def ridge_regression(x: Array, y: Array) -> tuple[Array, Array]:
    """Coefficients [X, Y] of y [N, Y] on x [N, X] through the origin, and y as foreseen without each row's fold."""
    best: tuple[float, Array, float] | None = None
    fold = np.random.default_rng(0).permutation(len(x)) % FOLDS
    for share in RIDGES:
        held_out = np.empty_like(y)
        for number in range(FOLDS):
            rest = fold != number
            held_out[~rest] = x[~rest] @ _ridge(x[rest], y[rest], share)
        error = float(((y - held_out) ** 2).sum())
        if best is None or error < best[0]:
            best = error, held_out, share
    assert best is not None
    return _ridge(x, y, best[2]), best[1]


def _ridge(x: Array, y: Array, share: float) -> Array:
    """[X, Y], by whichever of the two forms is smaller."""
    strength = share * float(np.square(x).sum()) / min(x.shape) + 1e-12
    if len(x) < x.shape[1]:
        dual: Array = x.T @ np.linalg.solve(x @ x.T + strength * np.eye(len(x)), y)
        return dual
    primal: Array = np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y)
    return primal


def _foreseen(y: Array, held_out: Array) -> float:
    return 1 - float(((y - held_out) ** 2).sum()) / max(float(np.square(y).sum()), 1e-12)


def mapped(parts: Parts, space: SpaceMap) -> Parts:
    """The voice in the new space, without its head, whose features are not there (`with_mapped_head`).

    Its log-variance is that of a rotation: exact for one, and for N(0, I).
    """
    precision = np.exp(-parts.log_variance)
    new_precision = np.clip(1 - space.matrix**2 @ (1 - precision), *PRECISION_RANGE)

    def moved(mean: Array) -> Array:
        found: Array = (space.matrix @ (precision * mean)) / new_precision
        return found

    contexts = {name: moved(shift) for name, shift in parts.contexts.items()}
    return Parts(moved(parts.mean), -np.log(new_precision), contexts)


def with_mapped_head(
    parts: Parts, space: SpaceMap, old: Parts, old_features: NDArray[np.float32], features: NDArray[np.float32]
) -> tuple[Parts, float]:
    """A mapped voice with what the head of `old` adds to it, and how much of that the new features foresee.

    `old_features` [P, H] and `features` [P, I] are of the same P prompts. Below HEAD_FORESEEN only the mean of what the
    head adds is kept.
    """
    assert old.head is not None
    assert old.center is not None
    added = replace(old, mean=np.zeros_like(old.mean), contexts={})
    outputs = (old_features - old.center) @ old.head
    targets = np.stack([mapped(replace(added, mean=each), space).mean for each in outputs])
    usual, center = targets.mean(0), features.mean(0, dtype=np.float64)
    parts = replace(parts, mean=parts.mean + usual)
    head, held_out = ridge_regression(features - center, targets - usual)
    foreseen = _foreseen(targets - usual, held_out)
    if foreseen < HEAD_FORESEEN:
        return parts, foreseen
    return replace(parts, center=center, head=head), foreseen


def agreement(parts: Parts, old: Array, space: SpaceMap) -> float:
    """How often the mapped voice prefers the same one of an anchor's two texts as before, held out.

    `old` [N, D] are the differences that `space` was fitted on. Of a voice with contexts, over all kinds of writing.
    """
    means = [parts.mean, *(parts.mean + shift for shift in parts.contexts.values())]
    leaning: Sequence[Array] = [np.exp(-parts.log_variance) * mean for mean in means if mean.any()]
    if not leaning:
        return 1.0
    same = [np.sign(old @ natural) == np.sign(space.held_out @ natural) for natural in leaning]
    return float(np.mean(same))

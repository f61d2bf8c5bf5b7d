"""People with a planted taste, as rows of evidence: what the learner should find is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.latent_dpo import sigmoid
from models.learner import Array, LearnConfig, Rows

D = 8
CONFIG = LearnConfig()


def direction(seed: int = 0, size: int = D) -> Array:
    drawn = np.random.default_rng(100 + seed).standard_normal(size)
    return drawn / np.linalg.norm(drawn)


def choices(
    taste: Array,
    seed: int = 0,
    *,
    strength: float = 2.0,
    contexts: Sequence[str] = (),
    features: Array | None = None,
) -> Rows:
    """A row for each taste [N, D]: of two texts drawn from the prior, the one that a noisy person prefers."""
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, *taste.shape))
    likes_first = rng.random(len(taste)) < sigmoid(strength * ((first - second) * taste).sum(1))
    sign = np.where(likes_first, 1.0, -1.0)[:, None]
    return Rows(
        difference=sign * (first - second),
        spread=sign * (first**2 - second**2) / 2,
        weight=np.ones(len(taste)),
        tie=np.zeros(len(taste), bool),
        turn=np.arange(len(taste)),
        context=tuple(contexts) or ("other",) * len(taste),
        features=None if features is None else features.astype(np.float32),
    )


def always(taste: Array, count: int) -> Array:
    return np.tile(taste, (count, 1))


def by_chance(count: int, seed: int) -> Rows:
    return choices(np.zeros((count, D)), seed)


def two_kinds(count: int) -> list[str]:
    return ["mail", "note"] * (count // 2)


def opposite_in_notes(taste: Array, count: int, seed: int) -> Rows:
    sign = np.array([1.0, -1.0] * (count // 2))[:, None]
    return choices(sign * taste, seed, contexts=two_kinds(count))


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

"""How far voices lean, and how far apart two of them are: plain numbers for a person. Knows nothing of files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.learner import Array, Parts


@dataclass(frozen=True)
class Difference:
    """Two voices beside each other."""

    distance: float
    """Between their means; drafts of the prior lie about 8 apart."""
    cosine: float | None
    """Of their means: 1 the same way, -1 the opposite way. None when one of them is generic and leans nowhere."""
    contexts: dict[str, float]
    """Distance for each kind of writing that either of them knows."""
    prompts: tuple[bool, bool]
    """Which of them follow the prompt; that part is left out here, since it has no place of its own."""


def lean(parts: Parts) -> tuple[float, dict[str, float]]:
    """Length of the mean, and of what each kind of writing adds to it."""
    return _length(parts.mean), {name: _length(shift) for name, shift in sorted(parts.contexts.items())}


def difference(a: Parts, b: Parts) -> Difference:
    """Of two voices in one latent space."""
    lengths = _length(a.mean) * _length(b.mean)
    return Difference(
        distance=_length(a.mean - b.mean),
        cosine=float(a.mean @ b.mean) / lengths if lengths else None,
        contexts={
            name: _length(_within(a, name) - _within(b, name)) for name in sorted(a.contexts.keys() | b.contexts.keys())
        },
        prompts=(a.head is not None, b.head is not None),
    )


def _within(parts: Parts, context: str) -> Array:
    return parts.mean + parts.contexts.get(context, np.zeros_like(parts.mean))


def _length(vector: Array) -> float:
    return float(np.linalg.norm(vector))

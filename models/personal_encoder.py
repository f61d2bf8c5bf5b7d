"""The personal encoder p_u(z given x) in its first capacity: one Gaussian for all prompts, a shift and a scale of z.

Starts as exactly N(0, I), which is the generic assistant. NumPy only, so that drafting needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import BackboneError, PackError
from core.protocols import Latent, Message
from models.checkpoint import Arrays, read_arrays, write_arrays

MAX_MEAN_NORM = 20.0
"""Far outside any prior draw (norm about 5.7): such a file is damaged or made to break drafts."""


class ShiftEncoder:
    """A `PersonalEncoder` that leans the same way for every prompt."""

    def __init__(self, mean: Latent, log_variance: Latent) -> None:
        self.mean_vector = mean.astype(np.float32)
        self.log_variance = log_variance.astype(np.float32)

    @classmethod
    def generic(cls, latent_size: int) -> ShiftEncoder:
        """N(0, I)."""
        return cls(np.zeros(latent_size, np.float32), np.zeros(latent_size, np.float32))

    def mean(self, messages: Sequence[Message]) -> Latent:
        return self.mean_vector

    def sample(self, messages: Sequence[Message], seed: int) -> Latent:
        noise = np.random.default_rng(seed).standard_normal(len(self.mean_vector), dtype=np.float32)
        return (self.mean_vector + np.exp(self.log_variance / 2) * noise).astype(np.float32)

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Writes the encoder; `about` names the backbone and the CLaP it belongs to."""
        write_arrays(path, {"mean": self.mean_vector, "log_variance": self.log_variance}, about)

    @classmethod
    def load(cls, path: Path, *, latent_size: int) -> tuple[ShiftEncoder, dict[str, Any]]:
        """Raises PackError when the file is damaged or of another shape."""
        try:
            arrays, about = read_arrays(path)
        except BackboneError as error:
            raise PackError(f"The encoder {path} is missing or damaged.") from error
        return cls.from_arrays(arrays, latent_size=latent_size, source=str(path)), about

    @classmethod
    def from_arrays(cls, arrays: Arrays, *, latent_size: int, source: str) -> ShiftEncoder:
        """Raises PackError, naming the source, unless these are exactly a sane mean and log-variance."""
        if set(arrays) != {"mean", "log_variance"}:
            raise PackError(f"{source} is not a personal encoder: it holds {', '.join(sorted(arrays)) or 'nothing'}.")
        for name, array in arrays.items():
            if array.shape != (latent_size,) or array.dtype != np.float32:
                raise PackError(
                    f"{source}: {name} is {array.dtype}{list(array.shape)}, float32[{latent_size}] was expected."
                )
            if not np.isfinite(array).all() or np.linalg.norm(array.astype(np.float64)) > MAX_MEAN_NORM:
                raise PackError(f"{source}: {name} holds values that no training makes.")
        return cls(arrays["mean"], arrays["log_variance"])

"""The personal encoder p_u(z given x), as drafting uses it and as a file holds it.

A Gaussian whose mean may depend on the kind of writing and on the prompt (`learner.Parts`), which it may read by layers
of its own (`models.layers`). Starts as exactly N(0, I), which is the generic assistant. NumPy only, so that drafting
needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BackboneError, PackError
from core.protocols import Latent, Message
from models.checkpoint import Arrays, read_arrays, write_arrays
from models.compact import restored
from models.learner import Array, Parts, shrinking
from models.text_encoder import layer_arrays

MAX_NORM = 5.0
"""A draft's mean stays inside the cloud of real posteriors, whose mean norm is 5, whatever the prompt."""
MAX_ARRAY_NORM = 20.0
"""Far outside any prior draw (norm about 5.7): such a file is damaged or made to break drafts."""
MAX_CONTEXTS = 32
MAX_LAYERS = 4
MAX_WIDTH = 16_384
"""Of a layer, in each direction: twice the largest backbone that is small enough to draft with."""
MAX_LAYER_WEIGHT = 100.0
"""Twenty times the largest weight of a trained layer; below it no state overflows."""
CONTEXT_NAME = re.compile(r"context\.[a-z0-9 _-]{1,32}")

PromptFeatures = Callable[[Sequence[Message]], NDArray[np.float32]]
"""Messages to what the frozen encoder says about them, [H]; with personal layers, what those say."""


class GaussianEncoder:
    """A `core.protocols.PersonalEncoder` made of learned parts."""

    def __init__(self, parts: Parts, *, layers: Arrays | None = None, features: PromptFeatures | None = None) -> None:
        """`features` is asked once per draft, and only by an encoder that has a head.

        `layers`: as `text_encoder.TextEncoder.with_layers` takes them; then `features` must be that encoder's.
        """
        self.parts, self.layers, self._features = parts, layers, features

    @classmethod
    def generic(cls, latent_size: int) -> GaussianEncoder:
        """N(0, I)."""
        return cls(Parts.generic(latent_size))

    @property
    def reads_prompts(self) -> bool:
        """Whether drafting needs the prompt's features."""
        return self.parts.head is not None

    @property
    def drift(self) -> float:
        """Length of the mean for a prompt that has no context and no features: 0 is generic, prior draws lie at 5.7."""
        return float(np.linalg.norm(self.parts.mean))

    def mean(self, messages: Sequence[Message], context: str) -> Latent:
        parts = self.parts
        mean: Array = parts.mean + parts.contexts.get(context, 0.0)
        if parts.head is not None and parts.center is not None and self._features is not None:
            mean = mean + (self._features(messages) - parts.center) @ parts.head
        return (mean * shrinking(mean, MAX_NORM)).astype(np.float32)

    def sample(self, messages: Sequence[Message], context: str, seed: int) -> Latent:
        noise = np.random.default_rng(seed).standard_normal(len(self.parts.mean), dtype=np.float32)
        return (self.mean(messages, context) + np.exp(self.parts.log_variance / 2) * noise).astype(np.float32)

    def scaled(self, strength: float) -> GaussianEncoder:
        """From generic (0) to as learned (1), both to the bit, and beyond."""
        parts = self.parts
        if strength == 1:
            return self
        if strength == 0:
            return self.with_parts(Parts.generic(len(parts.mean)))
        return self.with_parts(
            replace(
                parts,
                mean=strength * parts.mean,
                log_variance=strength * parts.log_variance,
                contexts={name: strength * shift for name, shift in parts.contexts.items()},
                head=None if parts.head is None else strength * parts.head,
            )
        )

    def with_parts(self, parts: Parts) -> GaussianEncoder:
        """Other parts, the same way to read prompts."""
        return GaussianEncoder(parts, layers=self.layers, features=self._features)

    def reading(self, features: PromptFeatures) -> GaussianEncoder:
        """The same, with this way to read prompts."""
        return GaussianEncoder(self.parts, layers=self.layers, features=features)

    def arrays(self) -> Arrays:
        """As a file holds them: float32, the layers float16; no layers without a head, which alone reads them."""
        arrays = {"mean": self.parts.mean, "log_variance": self.parts.log_variance}
        arrays |= {f"context.{name}": shift for name, shift in self.parts.contexts.items()}
        if self.parts.head is not None and self.parts.center is not None:
            arrays |= {"head": self.parts.head, "center": self.parts.center}
        stored: Arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        if "head" in stored:
            stored |= {name: array.astype(np.float16) for name, array in (self.layers or {}).items()}
        return stored

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Writes the encoder; `about` names the backbone and the CLaP it belongs to."""
        write_arrays(path, self.arrays(), about)

    @classmethod
    def load(
        cls, path: Path, *, latent_size: int, base: Arrays | None = None, features: PromptFeatures | None = None
    ) -> tuple[GaussianEncoder, dict[str, Any]]:
        """Raises PackError when the file is damaged or of another shape.

        `base`: the CLaP's own layers, which a file in the small form (`models.compact`) needs if it has layers.
        """
        try:
            arrays, about = read_arrays(path)
        except BackboneError as error:
            raise PackError(f"The encoder {path} is missing or damaged.") from error
        arrays = restored(arrays, base or {}, source=str(path))
        return cls.from_arrays(arrays, latent_size=latent_size, source=str(path), features=features), about

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, *, latent_size: int, source: str, features: PromptFeatures | None = None
    ) -> GaussianEncoder:
        """Raises PackError, naming the source, unless these are exactly the parts of a sane encoder."""
        layers = {name: array for name, array in arrays.items() if name.startswith(LAYER_NAMES)}
        refuse_misfits(layers, arrays, source)
        arrays = {name: array for name, array in arrays.items() if name not in layers}
        contexts = [name for name in arrays if CONTEXT_NAME.fullmatch(name)]
        known = {"mean", "log_variance", *contexts, *(("head", "center") if "head" in arrays else ())}
        if set(arrays) != known or len(contexts) > MAX_CONTEXTS:
            held = ", ".join(ascii(name)[1:-1] for name in sorted(arrays))
            raise PackError(f"{source} is not a personal encoder: it holds {held[:160] or 'nothing'}.")
        hidden = len(arrays["center"]) if arrays.get("center", np.zeros(())).ndim else 0
        for name, array in arrays.items():
            shape = {"head": (hidden, latent_size), "center": (hidden,)}.get(name, (latent_size,))
            if array.shape != shape or array.dtype != np.float32:
                raise PackError(
                    f"{source}: {name} is {array.dtype}{list(array.shape)}, float32{list(shape)} was expected."
                )
            # First of all: what is not a number may not even be computed with, some of it warns.
            finite = bool(np.isfinite(array).all())
            if not finite or (name not in ("center", "head") and not _is_near(array)):
                raise PackError(f"{source}: {name} holds values that no training makes.")
        wide = {name: array.astype(np.float64) for name, array in arrays.items()}
        parts = Parts(
            wide["mean"],
            wide["log_variance"],
            {name.removeprefix("context."): wide[name] for name in sorted(contexts)},
            wide.get("center"),
            wide.get("head"),
        )
        return cls(parts, layers=layers or None, features=features)


def _is_near(array: NDArray[Any]) -> bool:
    return bool(np.linalg.norm(array.astype(np.float64)) <= MAX_ARRAY_NORM)


LAYER_NAMES = ("layers.", "norm.")


def refuse_misfits(layers: Arrays, arrays: Arrays, source: str) -> None:
    """Raises PackError unless these are whole layers of one shape that a head of these arrays can read, or none.

    Whether they fit the backbone is seen when they are used.
    """
    if not layers:
        return
    expected = layer_shapes(layers, arrays)
    for name in sorted(expected | layers):
        has = f"{layers[name].dtype}{list(layers[name].shape)}" if name in layers else "absent"
        needs = f"float16{list(expected[name])}" if name in expected else "absent"
        if has != needs:
            raise PackError(f"{source}: {ascii(name)[1:-1][:80]} is {has}, {needs} was expected.")
        # As float32, whose comparison with a limit is exact.
        finite = bool(np.isfinite(layers[name]).all())
        if not finite or not (np.abs(layers[name].astype(np.float32)) <= MAX_LAYER_WEIGHT).all():
            raise PackError(f"{source}: {name} holds values that no training makes.")


def layer_shapes(layers: Arrays, arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """Shapes of the layers that these could be; of none when there is no head to read them, or no sane size."""
    sizes = [
        arrays[name].shape[0] if name in arrays and arrays[name].ndim else 0
        for name in ("center", "layers.0.self_attn.k_proj.weight", "layers.0.mlp.up_proj.weight")
    ]
    count = len({name.split(".")[1] for name in layers if name.startswith("layers.")})
    if "head" not in arrays or not 1 <= count <= MAX_LAYERS or not 1 <= min(sizes) <= max(sizes) <= MAX_WIDTH:
        return {}
    hidden, keys, inner = sizes
    each = layer_arrays(hidden, keys, inner)
    return {"norm.weight": (hidden,)} | {f"layers.{i}.{name}": each[name] for i in range(count) for name in each}

"""One interface for every way to write as a person likes, so that all are measured by the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.protocols import Message


@dataclass(frozen=True)
class Comparison:
    """One choice of a person: two texts for one prompt."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    context: str = ""
    """The kind of writing, as `core.contexts` names it."""


@dataclass(frozen=True)
class Cost:
    """What one more person costs with a method."""

    seconds: float
    """Of learning, texts and models loaded already."""
    seconds_before: float = 0.0
    """Of what is done while feedback comes in, for example caching posteriors."""
    flops: float = 0.0
    """Of learning, counted or, where a library hides them, estimated as its docstring says."""
    peak_bytes: int = 0
    """Resident memory above what was there before learning."""
    bytes_per_person: int = 0
    """What must be kept of a person, besides the backbone and their own texts."""
    notes: dict[str, float | str] = field(default_factory=dict)
    """Hyper-parameters that were chosen, and the like."""


class Author(Protocol):
    """A person as a method has learned to know them."""

    cost: Cost

    def drafts(self, prompts: Sequence[Sequence[Message]], seeds: Sequence[int], *, max_tokens: int) -> list[str]:
        """One draft for each prompt, drawn with its seed from the same sampler as all others'."""
        ...


class Method(Protocol):
    """A way to learn from choices."""

    @property
    def name(self) -> str:
        """As tables call it."""
        ...

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        """From these choices alone; choices come in the order in which they were made."""
        ...

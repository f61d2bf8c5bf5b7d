"""All methods by name. Libraries of the trained ones are imported when such a method is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from benchmarks.rivals.cipher import Cipher
from benchmarks.rivals.method import Method
from benchmarks.rivals.minilm import MiniLM
from benchmarks.rivals.penpal import Library, PenPalMethod
from benchmarks.rivals.prompting import Described, InContext, Retrieval, Untouched
from benchmarks.rivals.reward import posterior_grid
from benchmarks.rivals.torch_author import SharedSampler, open_sampler
from core.errors import UsageError

TRAINED = {
    "lora-dpo": "lora_dpo",
    "prefix-dpo": "prefix_dpo",
    "full-dpo": "full_dpo",
    "best-of-n": "reward",
    "control-vector": "control_vector",
}
"""Method -> module of this package."""
PENPAL = ("penpal", "penpal-fast", "penpal-generic")
PROMPTED = ("untouched", "in-context-newest", "in-context-similar", "retrieval", "cipher", "described")
POSTERIORS = "best-of-n-posteriors"
"""Best of n with a reward head on what PenPal's frozen encoder says."""
NAMES = (*PENPAL, *PROMPTED, *TRAINED, POSTERIORS)
PENPAL_GRID: Mapping[str, Mapping[str, object]] = {
    "default": {},
    "prior 0.04": {"prior_weight": 0.04},
    "prior 0.08": {"prior_weight": 0.08},
    "prior 0.32": {"prior_weight": 0.32},
    "noise none": {"noise": "none"},
    "marginal": {"variant": "marginal"},
}
"""What `models.learner.LearnConfig` is tried with, as often as every other method (`tuning.TRIALS`)."""


class Roster:
    """Makes methods over one sampler, each once."""

    def __init__(self, folder: Path, *, cut_at: int, tuned: Mapping[str, str] | None = None) -> None:
        """`cut_at`: tokens at which drafts of the pairs were cut; `tuned`: the settings chosen for a method."""
        self._folder, self._cut_at, self._tuned = folder, cut_at, dict(tuned or {})
        self._made: dict[str, Method] = {}

    @cached_property
    def sampler(self) -> SharedSampler:
        return open_sampler()

    @cached_property
    def embeddings(self) -> MiniLM:
        return MiniLM()

    @cached_property
    def library(self) -> Library:
        """PenPal's part; its decoder is loaded when it is first needed."""
        return Library(self._folder / "library", self.sampler)

    def choose(self, name: str, label: str) -> None:
        """From now on the method has these settings."""
        self._tuned[name] = label
        self._made.pop(name, None)

    def method(self, name: str, description: str) -> Method:
        """`description`: the taste in words, for the method that is told. Raises UsageError for an unknown name."""
        if name == "described":
            return Described(self.sampler, description)
        if name not in self._made:
            choices = self.grid(name)
            self._made[name] = choices.get(self._tuned.get(name, ""), next(iter(choices.values())))
        return self._made[name]

    def grid(self, name: str) -> Mapping[str, Method]:
        """The settings of a method that are tried on validation people, the usual one first. Raises UsageError."""
        sampler = self.sampler
        if name in TRAINED:
            return self._trained(name)
        match name:
            case "penpal":
                return {label: PenPalMethod(self.library, "full", config) for label, config in PENPAL_GRID.items()}
            case "penpal-fast":
                return {"default": PenPalMethod(self.library, "fast path")}
            case "penpal-generic":
                return {"default": PenPalMethod(self.library, "generic")}
            case "untouched":
                return {"default": Untouched(sampler)}
            case "in-context-newest":
                return {f"k={k}": InContext(sampler, self.embeddings, "newest", k) for k in (5, 1, 2, 3, 8, 12)}
            case "in-context-similar":
                return {f"k={k}": InContext(sampler, self.embeddings, "similar", k) for k in (5, 1, 2, 3, 8, 12)}
            case "retrieval":
                return {f"k={k}": Retrieval(sampler, self.embeddings, k) for k in (3, 1, 2, 5, 8, 12)}
            case "best-of-n-posteriors":
                return posterior_grid(sampler, self.library.penpal.text_encoder.posteriors)
            case "cipher":
                return {f"k={k}": Cipher(sampler, self.embeddings, k) for k in (5, 1, 2, 3, 8, 12)}
        raise UsageError(f"There is no method '{name}'. Known: {', '.join(NAMES)}.")

    def _trained(self, name: str) -> Mapping[str, Method]:
        try:
            module = importlib.import_module(f"benchmarks.rivals.{TRAINED[name]}")
        except ModuleNotFoundError as error:
            raise UsageError(
                f"'{name}' needs {error.name}: run 'make bench', or 'pip install -c constraints.txt --group bench'."
            ) from error
        found: Mapping[str, Method] = module.grid(self.sampler, cut_at=self._cut_at)
        return found

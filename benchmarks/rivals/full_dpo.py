"""DPO on all weights: the most that can be learned, at the price of a whole model per person.

Weights, gradients and AdamW's two moments are float32 (2.2 GB for 135 million weights): in bf16 an update of 1e-6 is
less than the last bit of most weights. The forward pass is autocast to bf16 like the other rivals'.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.rivals import dpo
from benchmarks.rivals.dpo import Recipe, around
from benchmarks.rivals.method import Author, Comparison, Cost, Method
from benchmarks.rivals.pairs import pairs_to_learn
from benchmarks.rivals.torch_author import Hooks, SampledAuthor, SharedSampler

DEFAULT = Recipe(learning_rate=2e-5)


@dataclass(frozen=True)
class FullDpo:
    """An author holds a model of their own."""

    sampler: SharedSampler
    recipe: Recipe = DEFAULT
    name: str = "full-dpo"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        pairs = pairs_to_learn(choices)
        if not pairs:
            return SampledAuthor(self.sampler, Cost(0.0))
        lm = copy.deepcopy(self.sampler.lm)
        torch.nn.Module.to(lm, torch.float32)  # in place; the model's own `to` hides its types
        trained = dpo.train(lm.requires_grad_(True), self.sampler, pairs, self.recipe, seed=seed)
        # Kept and used in float32, lest the smallest updates are rounded away after all.
        weights = {id(weight): weight for weight in lm.parameters()}
        size = sum(weight.numel() * weight.element_size() for weight in weights.values())
        return SampledAuthor(self.sampler, replace(trained.cost, bytes_per_person=size), Hooks(lm=trained.model))


def grid(sampler: SharedSampler, *, cut_at: int | None = None) -> dict[str, Method]:
    """What is tried, the defaults first."""
    recipes = around(DEFAULT, learning_rate=(5e-6, 5e-5), epochs=(1, 6), beta=(0.03,))
    return {label: FullDpo(sampler, replace(recipe, cut_at=cut_at)) for label, recipe in recipes.items()}

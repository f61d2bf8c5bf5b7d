"""DPO with LoRA (Hu et al. 2021, arXiv 2106.09685), rank 8 on every linear layer of the backbone: trl and peft."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save

from benchmarks.rivals import dpo
from benchmarks.rivals.dpo import Recipe, around
from benchmarks.rivals.method import Author, Comparison, Cost, Method
from benchmarks.rivals.pairs import pairs_to_learn
from benchmarks.rivals.torch_author import Hooks, SampledAuthor, SharedSampler

DEFAULT = Recipe(learning_rate=5e-4)


@dataclass(frozen=True)
class LoraDpo:
    """An author holds a copy of the backbone, with the adapter in it, as long as it lives."""

    sampler: SharedSampler
    recipe: Recipe = DEFAULT
    rank: int = 8
    alpha: int = 16
    name: str = "lora-dpo"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        pairs = pairs_to_learn(choices)
        if not pairs:
            return SampledAuthor(self.sampler, Cost(0.0))
        adapter = LoraConfig(
            task_type="CAUSAL_LM", r=self.rank, lora_alpha=self.alpha, lora_dropout=0.0, target_modules="all-linear"
        )
        lm = copy.deepcopy(self.sampler.lm)
        trained = dpo.train(lm, self.sampler, pairs, self.recipe, seed=seed, adapter=adapter)
        # Half the bytes, and drafts need no casts. Not merged: in bf16 a small update to a weight is rounded away.
        model = trained.model.to(torch.bfloat16)
        # Told not to look on the hub whether the vocabulary has grown.
        size = len(save(get_peft_model_state_dict(model, save_embedding_layers=False)))
        cost = replace(
            trained.cost,
            bytes_per_person=size,
            notes=trained.cost.notes | {"rank": self.rank, "alpha": self.alpha},
        )
        return SampledAuthor(self.sampler, cost, Hooks(lm=model.get_base_model()))


def grid(sampler: SharedSampler, *, cut_at: int | None = None) -> dict[str, Method]:
    """What is tried, the defaults first."""
    recipes = around(DEFAULT, learning_rate=(2e-4, 1e-3), epochs=(1, 6), beta=(0.03,))
    return {label: LoraDpo(sampler, replace(recipe, cut_at=cut_at)) for label, recipe in recipes.items()}

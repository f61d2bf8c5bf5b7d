"""DPO with a trained key/value prefix, 4 places in every layer: P-Tuning v2 (Liu et al. 2021, arXiv 2110.07602).

The same trainer as LoRA's, over peft's prefix tuning. The prefix starts as the keys and values of a prompt's first
tokens: peft's random start takes the place of the first token, on which most heads rest, and breaks every text.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from peft import PeftModel, PrefixTuningConfig, get_peft_model_state_dict, initialize_kv_prefix_from_past_key_values
from safetensors.torch import save
from torch import Tensor

from benchmarks.rivals import dpo
from benchmarks.rivals.dpo import Recipe, around
from benchmarks.rivals.method import Author, Comparison, Cost, Method
from benchmarks.rivals.pairs import pairs_to_learn
from benchmarks.rivals.torch_author import Hooks, SampledAuthor, SharedSampler

DEFAULT = Recipe(learning_rate=1e-2)


@dataclass(frozen=True)
class PrefixDpo:
    """An author is a prefix; the backbone is shared."""

    sampler: SharedSampler
    recipe: Recipe = DEFAULT
    places: int = 4
    name: str = "prefix-dpo"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        pairs = pairs_to_learn(choices)
        if not pairs:
            return SampledAuthor(self.sampler, Cost(0.0))
        adapter = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.places)
        first = self.sampler.ids(pairs[0].messages)[: self.places]

        def start_as_text(model: PeftModel) -> None:
            with torch.no_grad(), model.disable_adapter():
                read = model(input_ids=torch.tensor([first], device=model.device), use_cache=True)
            initialize_kv_prefix_from_past_key_values(model, past_key_values=read.past_key_values)

        lm = copy.deepcopy(self.sampler.lm)
        trained = dpo.train(lm, self.sampler, pairs, self.recipe, seed=seed, adapter=adapter, started=start_as_text)
        # Told not to look on the hub whether the vocabulary has grown.
        size = len(save(get_peft_model_state_dict(trained.model.to(torch.bfloat16), save_embedding_layers=False)))
        cost = replace(trained.cost, bytes_per_person=size, notes=trained.cost.notes | {"places": self.places})
        return SampledAuthor(self.sampler, cost, Hooks(before=entries(trained.model)))


@torch.no_grad()
def entries(model: PeftModel) -> Tensor:
    """[L, 2, G, P, d]: the prefix as it lies in the cache."""
    cache = model.get_prompt(batch_size=1)
    return torch.stack([torch.cat([layer.keys, layer.values]) for layer in cache.layers])


def grid(sampler: SharedSampler, *, cut_at: int | None = None) -> dict[str, Method]:
    """What is tried, the defaults first."""
    recipes = around(DEFAULT, learning_rate=(3e-3, 3e-2), epochs=(1, 6), beta=(0.03,))
    return {label: PrefixDpo(sampler, replace(recipe, cut_at=cut_at)) for label, recipe in recipes.items()}

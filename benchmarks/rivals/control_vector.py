"""A control vector: what tells chosen from rejected texts in the residual stream is added to it when drafting.

In the manner of repeng and Zou et al. 2023 (arXiv 2310.01405), with a person's own choices in place of contrasting
prompts: per layer the mean of the differences (Rimsky et al. 2024, arXiv 2312.06681, eq. 1), or their first principal
component turned towards the chosen side. The vectors lie where llama.cpp adds its own (`control_vector_llama`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmarks.rivals.cost_meter import CostMeter, flops
from benchmarks.rivals.method import Author, Comparison, Cost, Method
from benchmarks.rivals.pairs import pairs_to_learn
from benchmarks.rivals.torch_author import Conversation, Hooks, SampledAuthor, SharedSampler

Direction = Literal["mean difference", "principal component"]
READ_AT_ONCE = 16
HALF_BYTES = 2


def layer_means(sampler: SharedSampler, texts: Sequence[tuple[Conversation, str]]) -> Tensor:
    """[N, L, H] float32: what each layer hands on, averaged over the text's tokens."""
    lm = sampler.lm
    prompts = [sampler.ids(messages) for messages, _ in texts]
    wholes = [
        [*prompt, *sampler.tokenizer(text, add_special_tokens=False).input_ids]
        for prompt, (_, text) in zip(prompts, texts, strict=True)
    ]
    found = torch.zeros(len(texts), lm.config.num_hidden_layers, lm.config.hidden_size)
    order = sorted(range(len(texts)), key=lambda i: len(wholes[i]))
    for start in range(0, len(order), READ_AT_ONCE):
        part = order[start : start + READ_AT_ONCE]
        longest = max(len(wholes[i]) for i in part)
        ids = torch.tensor([[*wholes[i], *[0] * (longest - len(wholes[i]))] for i in part], device=lm.device)
        for layer, states in enumerate(_layer_outputs(sampler, ids)):
            for row, i in enumerate(part):
                # An empty text is read as its prompt's last token.
                first = min(len(prompts[i]), len(wholes[i]) - 1)
                found[i, layer] = states[row, first : len(wholes[i])].float().mean(0).cpu()
    return found


@torch.no_grad()
def _layer_outputs(sampler: SharedSampler, ids: Tensor) -> list[Tensor]:
    """[B, S, H] of each layer. transformers' own list has the last one only after the final norm."""
    outputs: list[Tensor] = []

    def keep(module: object, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    handles = [layer.register_forward_hook(keep) for layer in sampler.lm.model.layers]
    try:
        sampler.lm.model(input_ids=ids)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def directions(difference: Tensor, kind: Direction) -> Tensor:
    """[N, L, H] -> [L, H]: each as long as the mean difference, so that one strength suits both kinds."""
    mean = difference.mean(0)
    if kind == "mean difference":
        return mean
    # repeng's `pca_diff`: each pair both ways round, so that the component goes through 0.
    component = torch.stack([torch.linalg.svd(rows, full_matrices=False)[2][0] for rows in difference.unbind(1)])
    towards = torch.where((component * mean).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    turned: Tensor = component * towards * mean.norm(dim=-1, keepdim=True)
    return turned


@dataclass(frozen=True)
class ControlVector:
    """An author is a vector for each layer of the middle third, as repeng's examples have it; the backbone is shared.

    What is added to a layer stays in the stream behind it, so each layer gets its share only: together they move a
    text `strength` times as far as the chosen differ from the rejected ones on average.
    """

    sampler: SharedSampler
    strength: float = 2.0
    kind: Direction = "mean difference"
    name: str = "control-vector"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        """Nothing is drawn: the seed decides nothing."""
        pairs = pairs_to_learn(choices)
        if not pairs:
            return SampledAuthor(self.sampler, Cost(0.0))
        texts = [(choice.messages, text) for choice in pairs for text in (choice.chosen, choice.rejected)]
        count = self.sampler.lm.config.num_hidden_layers
        layers = range(max(1, count // 3), max(2, 2 * count // 3))  # llama.cpp leaves layer 0 alone
        with CostMeter() as meter:
            means = layer_means(self.sampler, texts)
            vectors = self.strength / len(layers) * directions(means[0::2] - means[1::2], self.kind)
        few = texts[:READ_AT_ONCE]
        cost = Cost(
            seconds=meter.seconds,
            flops=flops(lambda: layer_means(self.sampler, few)) / len(few) * len(texts),
            peak_bytes=meter.peak_bytes,
            bytes_per_person=len(layers) * vectors.shape[1] * HALF_BYTES,
            notes={"strength": self.strength, "kind": self.kind},
        )
        return SampledAuthor(self.sampler, cost, Hooks(steering={layer: vectors[layer] for layer in layers}))


def grid(sampler: SharedSampler, *, cut_at: int | None = None) -> dict[str, Method]:
    """What is tried, the defaults first. Where texts were cut does not matter here."""
    kinds: tuple[Direction, ...] = ("mean difference", "principal component")
    return {
        f"{kind}, strength {strength:g}": ControlVector(sampler, strength, kind)
        for kind in kinds
        for strength in (2.0, 1.0, 4.0)
    }

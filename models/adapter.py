"""The adapter: a latent in, key/value cache entries for every layer of the backbone out.

z -> P hidden vectors per layer -> that layer's own (frozen) norm, key and value projections, so that the entries lie
where real keys and values lie. `AdapterWeights` is the stored part; the backbone's projections are not stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, LlamaForCausalLM

LATENT_POSITIONS = 4
LatentPlace = Literal["after prompt", "before prompt"]


class Adapter(nn.Module):
    """Low-rank in the latent: one shared layer of `width`, then one matrix per backbone layer."""

    def __init__(self, lm: LlamaForCausalLM, *, latent_size: int, width: int) -> None:
        super().__init__()
        config = lm.config
        self.n_layers, self.hidden = config.num_hidden_layers, config.hidden_size
        assert config.num_key_value_heads is not None, "LlamaConfig fills it in"
        assert config.head_dim is not None, "LlamaConfig fills it in"
        self.kv_heads, self.head_size = config.num_key_value_heads, config.head_dim
        self.inp = nn.Linear(latent_size, width)
        self.out = nn.Parameter(torch.randn(self.n_layers, width, LATENT_POSITIONS * self.hidden) * 0.3 / width**0.5)
        self.bias = nn.Parameter(torch.zeros(self.n_layers, LATENT_POSITIONS * self.hidden))
        self.gain = nn.Parameter(torch.ones(self.n_layers, self.hidden))
        layers = lm.model.layers
        # Plain tensors in a tuple, not buffers: the backbone's own weights are neither trained nor saved.
        self._frozen = (
            torch.stack([layer.input_layernorm.weight.float() for layer in layers]),
            torch.stack([layer.self_attn.k_proj.weight.float() for layer in layers]),
            torch.stack([layer.self_attn.v_proj.weight.float() for layer in layers]),
        )

    def forward(self, z: Tensor) -> Tensor:
        """[B, D] -> [B, L, 2, G, P, d]: keys (before RoPE) and values."""
        norm, key, value = self._frozen
        x = torch.einsum("bw,lwo->lbo", F.gelu(self.inp(z)), self.out) + self.bias[:, None]
        x = x.view(self.n_layers, z.shape[0], LATENT_POSITIONS, self.hidden)
        x = F.rms_norm(x, (self.hidden,), eps=1e-6) * (norm * self.gain)[:, None, None]
        kv = torch.stack([torch.einsum("lbph,lkh->blpk", x, w) for w in (key, value)], 2)
        return kv.view(z.shape[0], self.n_layers, 2, LATENT_POSITIONS, self.kv_heads, self.head_size).transpose(3, 4)

    @torch.no_grad()
    def start_as_text(self, lm: LlamaForCausalLM, prompts: Sequence[Sequence[int]]) -> None:
        """Sets the biases to the mean hidden state of the P positions that the latent follows, each layer scaled to 1.

        An untrained latent then hardly disturbs: 62 nats per 32-token response at the start instead of 150.
        """
        total = torch.zeros(self.n_layers, LATENT_POSITIONS, self.hidden)
        for prompt in prompts:
            states = lm.model(input_ids=torch.tensor([prompt]), output_hidden_states=True).hidden_states
            total += torch.stack([h[0, -LATENT_POSITIONS - 1 : -1].float() for h in states[: self.n_layers]])
        mean = total / len(prompts)
        rms = mean.pow(2).mean((1, 2)).sqrt()
        self.bias.copy_((mean / rms[:, None, None]).reshape(self.n_layers, -1))


def rotate(keys: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE for keys [..., P, d] in the half-split order of transformers (arXiv 2104.09864, eq. 34)."""
    half = keys.shape[-1] // 2
    return keys * cos + torch.cat([-keys[..., half:], keys[..., :half]], -1) * sin


@dataclass(frozen=True)
class PromptCaches:
    """Keys and values of P prompts without their last token, padded on the left to X positions; no gradient."""

    prompts: list[list[int]]
    """P prompts' token ids, whole."""
    layers: list[tuple[Tensor, Tensor]]
    """Keys and values [P, G, X, d] of every layer, keys after RoPE."""
    is_text: Tensor
    """[P, X] bool: False where padded."""

    def of(self, rows: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Layers [B, G, X, d] and texts [B, X] of these prompts [B]; nothing is copied when there is but one prompt."""
        if len(self.prompts) == 1:
            layers = [(keys.expand(len(rows), -1, -1, -1), values.expand(len(rows), -1, -1, -1))
                      for keys, values in self.layers]  # fmt: skip
        else:
            layers = [(keys[rows], values[rows]) for keys, values in self.layers]
        return layers, self.is_text[rows]


def left_padded(prompts: Sequence[Sequence[int]], *, pad: int = 0) -> tuple[Tensor, Tensor]:
    """Token ids [P, X] that end together, and which of them are text [P, X]."""
    length = max(map(len, prompts))
    ids = torch.full((len(prompts), length), pad)
    is_text = torch.zeros(len(prompts), length, dtype=torch.bool)
    for i, x in enumerate(prompts):
        ids[i, length - len(x) :] = torch.tensor(x, dtype=torch.long)
        is_text[i, length - len(x) :] = True
    return ids, is_text


@torch.no_grad()
def prompt_caches(lm: LlamaForCausalLM, prompts: Sequence[Sequence[int]]) -> PromptCaches:
    """Runs the backbone over all prompts at once."""
    ids, is_text = (part.to(lm.device) for part in left_padded([x[:-1] for x in prompts]))
    cache = DynamicCache(config=lm.config)
    lm.model(
        input_ids=ids,
        attention_mask=is_text,
        position_ids=(is_text.cumsum(1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
    )
    layers: list[Any] = cache.layers
    return PromptCaches([list(x) for x in prompts], [(layer.keys, layer.values) for layer in layers], is_text)


def latent_cache(
    lm: LlamaForCausalLM, prompt: Sequence[tuple[Tensor, Tensor]], kv: Tensor, start: Tensor
) -> DynamicCache:
    """The prompts' caches (keys, values [B, G, X, d] per layer; none: no prompt), then entries [B, L, 2, G, P, d].

    `start` [B] is the position of the first latent entry: prompt tokens without the last one come before it.
    """
    kv = kv.to(lm.dtype)
    positions = start.to(kv.device)[:, None] + torch.arange(LATENT_POSITIONS, device=kv.device)
    cos, sin = lm.model.rotary_emb(kv, positions)
    cache = DynamicCache(config=lm.config)
    for layer in range(kv.shape[1]):
        keys, values = rotate(kv[:, layer, 0], cos[:, None], sin[:, None]), kv[:, layer, 1]
        if prompt:
            keys, values = torch.cat([prompt[layer][0], keys], 2), torch.cat([prompt[layer][1], values], 2)
        cache.update(keys, values, layer)
    return cache

"""The posterior encoder q(z given x, y): a prompt and a response in, a Gaussian over the latent out.

The backbone's token embedding (frozen, shared, never stored), a trained copy of its first layers, the mean over the
response's positions, and one linear head. Knows nothing of the adapter or of people.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding

from models.checkpoint import Arrays

LOG_VARIANCE_START = -3.0
LOG_VARIANCE_RANGE = (-8.0, 2.0)

TokenPair = tuple[Sequence[int], Sequence[int]]
"""Prompt ids and response ids."""


class Posterior(NamedTuple):
    """A diagonal Gaussian over the latent."""

    mean: Tensor
    """[B, D] float32"""
    log_variance: Tensor
    """[B, D] float32"""

    def sample(self) -> Tensor:
        """[B, D]: one reparametrised draw each."""
        return self.mean + torch.randn_like(self.mean) * (self.log_variance / 2).exp()


class LatentEncoder(nn.Module):
    """Mean pooling instead of the paper's query tokens: nothing to learn before the first gradient reaches z."""

    def __init__(self, config: LlamaConfig, embedding: Tensor, *, latent_size: int, layers: int) -> None:
        """`embedding` [V, H]: the backbone's own, frozen and shared. The layers start at random: see `start_from`."""
        super().__init__()
        config = copy.deepcopy(config)
        config._attn_implementation = "sdpa"  # whatever the backbone uses: only this one takes a mask of booleans
        # In a tuple, so that the frozen parts are no submodules: not trained, not saved.
        self._frozen = (embedding, LlamaRotaryEmbedding(config).to(embedding.device))
        self.layers = nn.ModuleList(LlamaDecoderLayer(config, i) for i in range(layers))
        self.norm = nn.RMSNorm(config.hidden_size)
        self.head = nn.Linear(config.hidden_size, 2 * latent_size)
        nn.init.normal_(self.head.weight, std=0.05)
        nn.init.zeros_(self.head.bias)

    def start_from(self, lm: LlamaForCausalLM) -> None:
        """Copies the backbone's first layers, from which training starts."""
        for own, theirs in zip(self.layers, lm.model.layers, strict=False):
            own.load_state_dict(theirs.state_dict())

    def forward(self, pairs: Sequence[TokenPair]) -> Posterior:
        """Posteriors of prompt-response pairs of any lengths: joined first, padded after."""
        return self.posterior(self.pooled(pairs))

    def pooled(self, pairs: Sequence[TokenPair]) -> Tensor:
        """[B, H] float32: normalised hidden states, averaged over each response."""
        length = max(len(x) + len(y) for x, y in pairs)
        ids = torch.zeros(len(pairs), length, dtype=torch.long)
        is_text = torch.zeros(len(pairs), length, dtype=torch.bool)
        is_response = torch.zeros(len(pairs), length, dtype=torch.bool)
        for i, (x, y) in enumerate(pairs):
            end = len(x) + len(y)
            ids[i, :end] = torch.tensor([*x, *y])
            is_text[i, :end] = True
            is_response[i, len(x) : end] = True
        device = self._frozen[0].device
        return self.read(ids.to(device), is_text.to(device), is_response.to(device))

    def read(self, ids: Tensor, is_text: Tensor, is_response: Tensor) -> Tensor:
        """[B, H] float32 of padded texts [B, T]: which ids are text, and which of these are averaged over (bool)."""
        embedding, rotary = self._frozen
        length = ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()
        mask = causal & is_text[:, None, None, :]
        hidden = embedding[ids].float()
        positions = torch.arange(length, device=ids.device)[None]
        rotation = rotary(hidden, positions)
        for layer in self.layers:
            out = layer(hidden, attention_mask=mask, position_ids=positions, position_embeddings=rotation)
            hidden = out[0] if isinstance(out, tuple) else out
        weights = is_response / is_response.sum(1, keepdim=True)
        pooled: Tensor = (self.norm(hidden) * weights[..., None]).sum(1)
        return pooled

    def posterior(self, pooled: Tensor) -> Posterior:
        """From states [B, H]."""
        mean, log_variance = self.head(pooled).chunk(2, -1)
        return Posterior(mean, (log_variance + LOG_VARIANCE_START).clamp(*LOG_VARIANCE_RANGE))


def encoder_from(clap: Arrays, lm: LlamaForCausalLM) -> LatentEncoder:
    """The trained encoder of a published CLaP, float32, over this backbone's embedding."""
    state = {
        name.removeprefix("encoder."): torch.from_numpy(array).float()
        for name, array in clap.items()
        if name.startswith("encoder.")
    }
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    embedding = lm.model.embed_tokens.weight.detach()
    encoder = LatentEncoder(lm.config, embedding, latent_size=len(state["head.bias"]) // 2, layers=layers)
    encoder.load_state_dict(state)
    return encoder.eval()

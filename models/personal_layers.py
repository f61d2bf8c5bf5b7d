"""A person's own copy of the encoder's layers, as torch trains it, and the device it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import LlamaConfig

from core.errors import UsageError
from models.checkpoint import Arrays
from models.encoder import LatentEncoder
from models.learner import Parts
from models.text_encoder import TextEncoder, layer_count

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Placement:
    """Where layers are trained."""

    device: torch.device
    bfloat16: bool
    why: str


def placement(device: Device) -> Placement:
    """The fastest device, or the one asked for. Raises UsageError when this machine lacks it."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(name for name, is_there in there.items() if is_there) if device == "auto" else device
    if not there[name]:
        raise UsageError(f"This machine has no device '{name}' that PyTorch can use: leave it to 'auto'.")
    if name == "cuda":
        bfloat16 = torch.cuda.is_bf16_supported()
    else:
        bfloat16 = name == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    dtype = "bfloat16, which it has" if bfloat16 else "float32"
    return Placement(
        torch.device(name), bfloat16, f"{name} ({'the fastest here' if device == 'auto' else 'as asked'}), {dtype}"
    )


class PersonalLayers(nn.Module):
    """What is trained: (f(x) - center) head."""

    def __init__(self, encoder: TextEncoder, vocabulary: NDArray[np.int64], start: Parts, placement: Placement) -> None:
        """`vocabulary`: the ids that prompts have; `forward` takes positions in it. `start` has a head."""
        super().__init__()
        assert start.center is not None
        assert start.head is not None
        embedding = torch.from_numpy(encoder.embedding[vocabulary]).to(placement.device)
        self._center = torch.from_numpy(start.center.astype(np.float32)).to(placement.device)
        self._placement = placement
        self.reader = LatentEncoder(
            llama_config(encoder), embedding, latent_size=1, layers=layer_count(encoder.layers)
        ).to(placement.device)
        weights = {name: torch.from_numpy(array).float() for name, array in encoder.layers.items()}
        self.reader.load_state_dict(weights, strict=False)
        self.reader.head.requires_grad_(False)  # the posterior's, which has no part in this
        self.head = nn.Parameter(torch.from_numpy(start.head.astype(np.float32)).to(placement.device))

    def forward(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """[B, D] float32: the part of mu(x) that depends on the prompt."""
        with torch.autocast(self._placement.device.type, torch.bfloat16, enabled=self._placement.bfloat16):
            features = self.reader.pooled([((), prompt) for prompt in prompts])
        shift: Tensor = (features.float() - self._center) @ self.head
        return shift

    def trained(self) -> dict[str, nn.Parameter]:
        """Parameters by name: the layers, the norm and the head."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def layers(self) -> Arrays:
        """As drafting takes them: float16."""
        found = {name.removeprefix("reader."): array.half() for name, array in self.trained().items() if name != "head"}
        return {name: array.detach().cpu().numpy() for name, array in found.items()}


def llama_config(encoder: TextEncoder) -> LlamaConfig:
    """Of the encoder's layers, as transformers takes it."""
    shape = encoder.shape
    return LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        rms_norm_eps=shape.norm_epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_base},
    )

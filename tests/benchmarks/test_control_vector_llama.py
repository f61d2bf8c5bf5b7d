"""A control vector does the same in llama.cpp as in the sampler that all rivals draft with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.rivals.control_vector_llama import release, steer
from benchmarks.rivals.torch_author import steered
from models.llama_runtime import Entry, LlamaContext, LlamaModel
from tests import tiny

PROMPT = "Write a short note to the neighbours about the garden."


@pytest.fixture
def context(tmp_path: Path) -> Iterator[LlamaContext]:
    with (
        closing(LlamaModel(tiny.write_tiny_backbone(tmp_path).path)) as model,
        closing(LlamaContext(model, tokens=256, sequences=1, unified=True, flash_attention=False)) as context,
    ):
        yield context


def llama_logits(context: LlamaContext, ids: list[int]) -> torch.Tensor:
    context.forget()
    context.decode([Entry(token, i, 0, i == len(ids) - 1) for i, token in enumerate(ids)])
    return torch.from_numpy(context.logits(len(ids) - 1))


def kl(one: torch.Tensor, other: torch.Tensor) -> float:
    """Nats from one's next-token distribution to the other's."""
    p, q = torch.log_softmax(one, -1), torch.log_softmax(other, -1)
    return float((p.exp() * (p - q)).sum())


def test_llama_cpp_steers_as_torch_does_and_can_be_released(context: LlamaContext) -> None:
    ids = context.model.tokenize(PROMPT)
    dice = torch.Generator().manual_seed(0)
    vectors = {layer: torch.randn(tiny.HIDDEN, generator=dice) for layer in range(1, tiny.LAYERS)}
    plain = llama_logits(context, ids)
    steer(context, vectors)
    through_llama = llama_logits(context, ids)
    with torch.no_grad(), steered(tiny.tiny_lm(), vectors):
        through_torch = tiny.tiny_lm()(input_ids=torch.tensor([ids])).logits[0, -1]
    assert kl(through_torch, through_llama) < 1e-4
    assert kl(plain, through_llama) > 0.1
    release(context)
    assert np.array_equal(llama_logits(context, ids), plain)


def test_a_single_layer_is_steered_alone(context: LlamaContext) -> None:
    ids = context.model.tokenize(PROMPT)
    vectors = {2: torch.ones(tiny.HIDDEN)}
    steer(context, vectors)
    with torch.no_grad(), steered(tiny.tiny_lm(), vectors):
        through_torch = tiny.tiny_lm()(input_ids=torch.tensor([ids])).logits[0, -1]
    assert kl(through_torch, llama_logits(context, ids)) < 1e-4


def test_layer_0_cannot_be_steered(context: LlamaContext) -> None:
    with pytest.raises(ValueError, match="from layer 1 on"):
        steer(context, {0: torch.zeros(tiny.HIDDEN)})

"""The adapter in torch: shapes, rotation, and an untrained latent that is harmless."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.adapter import LATENT_POSITIONS, Adapter, latent_cache, prompt_caches, rotate
from models.clap import response_log_likelihood
from tests import tiny

PROMPTS = [[1, *range(start, start + 9), 2, 13, 1, 300, 14] for start in (20, 60, 100, 140, 180, 220)]
"""Different texts that end alike, as a chat template makes them."""
RESPONSES = [[30, 31, 32, 33, 34, 35], [200, 201, 202, 203], [7] * 5]


def adapter(seed: int = 0) -> Adapter:
    torch.manual_seed(seed)
    return Adapter(tiny.tiny_lm(), latent_size=tiny.LATENT_SIZE, width=16)


def log_likelihoods(made: Adapter) -> torch.Tensor:
    lm = tiny.tiny_lm()
    z = torch.from_numpy(tiny.tiny_latents(len(RESPONSES)))
    with torch.no_grad():
        rows = [response_log_likelihood(lm, prompt_caches(lm, [x]), [0] * 3, RESPONSES, made(z)) for x in PROMPTS]
    return torch.stack(rows)


def bare_log_likelihoods() -> torch.Tensor:
    lm = tiny.tiny_lm()
    rows = []
    for x in PROMPTS:
        for y in RESPONSES:
            logits = lm(input_ids=torch.tensor([[*x, *y]])).logits[0, len(x) - 1 : -1]
            rows.append(torch.log_softmax(logits, -1)[torch.arange(len(y)), torch.tensor(y)].sum())
    return torch.stack(rows).view(len(PROMPTS), len(RESPONSES))


def test_entries_have_the_shape_of_the_backbones_cache() -> None:
    entries = adapter()(torch.zeros(5, tiny.LATENT_SIZE))
    assert entries.shape == (5, tiny.LAYERS, 2, tiny.KV_HEADS, LATENT_POSITIONS, tiny.HEAD_SIZE)
    assert torch.allclose(entries[0], entries[4], atol=1e-5)


def test_an_untrained_latent_that_starts_as_text_disturbs_less_than_noise() -> None:
    """By a third on this random model; on the real one it is hardly felt (test_real_backbone.py)."""
    as_text, as_noise = adapter(), adapter()
    as_text.start_as_text(tiny.tiny_lm(), PROMPTS)
    with torch.no_grad():
        as_noise.bias.normal_()
    bare = bare_log_likelihoods()
    disturbance = [(log_likelihoods(made) - bare).abs().mean().item() for made in (as_text, as_noise)]
    assert disturbance[0] < 0.75 * disturbance[1], disturbance


def test_without_its_noise_a_latent_that_starts_as_text_is_that_text() -> None:
    """Its entries are the backbone's own keys and values of the P tokens before the prompt's last one."""
    lm, made, ids = tiny.tiny_lm(), adapter(), PROMPTS[0]
    made.start_as_text(lm, [ids])
    with torch.no_grad():
        made.out.zero_()
        kv = made(torch.from_numpy(tiny.tiny_latents(1)))[0]
    at = len(ids) - 1 - LATENT_POSITIONS
    cos, sin = lm.model.rotary_emb(kv, torch.arange(at, at + LATENT_POSITIONS)[None])
    for layer, (keys, values) in enumerate(prompt_caches(lm, [ids]).layers):
        torch.testing.assert_close(rotate(kv[layer, 0], cos, sin), keys[0, :, at:], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(kv[layer, 1], values[0, :, at:], atol=1e-3, rtol=1e-3)


def test_biases_start_at_the_states_that_the_latent_follows_each_layer_scaled_to_one() -> None:
    lm, made = tiny.tiny_lm(), adapter()
    made.start_as_text(lm, PROMPTS[:1])
    bias = made.bias.detach().view(tiny.LAYERS, LATENT_POSITIONS, tiny.HIDDEN)
    torch.testing.assert_close(bias.pow(2).mean((1, 2)), torch.ones(tiny.LAYERS))
    # Layer 0 reads embeddings: those of the P tokens before the prompt's last one.
    words = lm.model.embed_tokens.weight[PROMPTS[0][-LATENT_POSITIONS - 1 : -1]]
    torch.testing.assert_close(bias[0], words / words.pow(2).mean().sqrt())


def test_the_backbones_projections_are_neither_trained_nor_stored() -> None:
    assert set(adapter().state_dict()) == {"inp.weight", "inp.bias", "out", "bias", "gain"}


def test_rotation_turns_by_the_position_and_keeps_lengths() -> None:
    """One pair of dimensions, a quarter turn: (1, 0) becomes (0, 1)."""
    quarter = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    torch.testing.assert_close(rotate(torch.tensor([[1.0, 0.0]]), *quarter), torch.tensor([[0.0, 1.0]]))
    keys = torch.randn(3, tiny.HEAD_SIZE, generator=torch.Generator().manual_seed(0))
    cos, sin = tiny.tiny_lm().model.rotary_emb(keys, torch.tensor([[5, 6, 7]]))
    torch.testing.assert_close(rotate(keys, cos[0], sin[0]).norm(dim=1), keys.norm(dim=1))


@pytest.mark.parametrize("length", [1, 5, 40])
def test_latent_stands_right_behind_the_prompt(length: int) -> None:
    lm = tiny.tiny_lm()
    layers, is_text = prompt_caches(lm, [list(range(10, 11 + length))]).of(torch.zeros(2, dtype=torch.long))
    with torch.no_grad():
        kv = adapter()(torch.from_numpy(tiny.tiny_latents(2)))
        cache = latent_cache(lm, layers, kv, is_text.sum(1))
        cos, sin = lm.model.rotary_emb(kv, torch.arange(length, length + LATENT_POSITIONS)[None])
    found: list[Any] = cache.layers
    for i, (keys, values) in enumerate(layers):
        assert torch.equal(found[i].keys[1, :, :length], keys[0])
        assert torch.equal(found[i].values[1, :, :length], values[0])
        assert torch.equal(found[i].values[1, :, length:], kv[1, i, 1])
        assert torch.equal(found[i].keys[1, :, length:], rotate(kv[1, i, 0], cos, sin))

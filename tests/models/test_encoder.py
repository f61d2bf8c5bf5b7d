"""The posterior encoder: pairs are joined before they are padded, and the backbone's embedding stays its own."""

from __future__ import annotations

import copy

import torch

from models.encoder import LOG_VARIANCE_RANGE, LatentEncoder
from tests import tiny

PAIRS = [([1, 20, 30], [5, 6, 7]), ([1, 40], [8] * 12), ([1, 50, 60, 70, 80, 90], [9, 10])]


def encoder() -> LatentEncoder:
    lm = tiny.tiny_lm()
    torch.manual_seed(0)
    made = LatentEncoder(lm.config, lm.model.embed_tokens.weight, latent_size=tiny.LATENT_SIZE, layers=2)
    made.start_from(lm)
    return made.requires_grad_(False)


def test_a_pairs_posterior_does_not_depend_on_what_else_is_in_the_batch() -> None:
    made = encoder()
    together = made(PAIRS)
    for i, pair in enumerate(PAIRS):
        for alone, row in zip(made([pair]), together, strict=True):
            torch.testing.assert_close(alone[0], row[i], atol=1e-5, rtol=1e-5)


def test_prompt_and_response_are_told_apart() -> None:
    made = encoder()
    assert not torch.allclose(made([([1, 2], [3, 4])]).mean, made([([1, 2, 3], [4])]).mean)
    assert not torch.allclose(made([([1, 20], [3, 4])]).mean, made([([1, 2], [3, 4])]).mean)


def test_pooling_is_the_mean_over_the_response_of_the_normalised_states() -> None:
    """With no layers the states are the embeddings themselves."""
    lm = tiny.tiny_lm()
    embedding = lm.model.embed_tokens.weight
    made = LatentEncoder(lm.config, embedding, latent_size=tiny.LATENT_SIZE, layers=0)
    found = made.pooled([([1, 2, 3], [4, 5])])[0]
    expected = torch.nn.functional.rms_norm(embedding[[4, 5]], (tiny.HIDDEN,)).mean(0)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_first_layers_are_the_backbones_and_agree_with_it() -> None:
    lm, made = tiny.tiny_lm(), encoder()
    made.norm = torch.nn.Identity()  # type: ignore[assignment]
    states = lm.model(input_ids=torch.tensor([[1, 2, 3, 4, 5]]), output_hidden_states=True).hidden_states
    torch.testing.assert_close(made.pooled([([1, 2], [3, 4, 5])])[0], states[2][0, 2:].mean(0), atol=1e-4, rtol=1e-4)


def test_log_variance_is_kept_in_a_sane_range() -> None:
    made = encoder()
    with torch.no_grad():
        made.head.weight.mul_(1000)
    log_variance = made(PAIRS).log_variance
    assert log_variance.min() >= LOG_VARIANCE_RANGE[0]
    assert log_variance.max() <= LOG_VARIANCE_RANGE[1]


def test_the_embedding_is_neither_trained_nor_stored() -> None:
    made = encoder()
    assert not any("embed" in name for name in made.state_dict())
    assert max(p.numel() for p in made.parameters()) < tiny.VOCAB_SIZE * tiny.HIDDEN


def test_a_draw_is_the_mean_plus_the_posteriors_noise() -> None:
    posterior = encoder()(PAIRS[:1])
    torch.manual_seed(0)
    draws = torch.stack([posterior.sample() for _ in range(4000)])
    torch.testing.assert_close(draws.mean(0), posterior.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(draws.var(0).log(), posterior.log_variance, atol=0.15, rtol=0)


def test_it_reads_alike_whatever_attention_the_backbone_trains_with() -> None:
    lm = copy.deepcopy(tiny.tiny_lm())
    lm.config._attn_implementation = "eager"
    torch.manual_seed(0)
    made = LatentEncoder(lm.config, lm.model.embed_tokens.weight, latent_size=tiny.LATENT_SIZE, layers=2)
    made.start_from(lm)
    torch.testing.assert_close(made(PAIRS).mean, encoder()(PAIRS).mean, atol=1e-6, rtol=1e-6)

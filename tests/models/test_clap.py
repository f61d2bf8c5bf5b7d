"""The losses of CLaP against cases that are worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from models.adapter import LATENT_POSITIONS, Adapter, prompt_caches
from models.clap import (
    BagOfWords,
    SkipConnection,
    contrastive_loss,
    dg_kld,
    latent_first_log_likelihood,
    response_log_likelihood,
    standard_kl,
)
from models.encoder import Posterior
from tests import tiny

PROMPT = [1, 20, 30, 40, 50, 60]


def adapter(scale: float = 1.0) -> Adapter:
    torch.manual_seed(0)
    made = Adapter(tiny.tiny_lm(), latent_size=tiny.LATENT_SIZE, width=16)
    torch.nn.init.normal_(made.bias, std=scale)
    return made


def noise(samples: int, like: torch.Tensor) -> torch.Tensor:
    """[S, K, D]"""
    return torch.randn(samples, *like.shape)


@pytest.mark.parametrize("k", [2, 4, 7])
def test_contrastive_loss_of_a_uniform_table_is_log_k(k: int) -> None:
    assert contrastive_loss(torch.full((k, k), -62.0)).item() == pytest.approx(math.log(k))


def test_contrastive_loss_of_a_perfect_table_is_zero() -> None:
    assert contrastive_loss(100 * torch.eye(4) - 100).item() == pytest.approx(0, abs=1e-6)


def test_contrastive_loss_ignores_how_probable_a_response_is_in_itself() -> None:
    table = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    shifted = table + torch.tensor([[0.0], [-50.0], [7.0], [1.0]])
    assert contrastive_loss(shifted).item() == pytest.approx(contrastive_loss(table).item(), abs=1e-5)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_with_one_negative_the_own_latent_is_the_first_column(k: int) -> None:
    """p(own) / (p(own) + p(other)) = e / (1 + e) for a difference of one nat."""
    table = torch.tensor([[-3.0, -4.0]] * k)
    expected = -math.log(math.e / (1 + math.e))
    assert contrastive_loss(table, own_first=True).item() == pytest.approx(expected, abs=1e-6)


def test_dg_kld_is_about_zero_when_posteriors_together_are_the_prior() -> None:
    """Means from N(0, 0.9), variance 0.1 each: together N(0, I) in every dimension."""
    torch.manual_seed(0)
    mean = torch.randn(400, 6) * 0.9**0.5
    posterior = Posterior(mean, torch.full((400, 6), math.log(0.1)))
    assert dg_kld(posterior, None, noise(16, mean)).item() == pytest.approx(0, abs=0.15)


def test_dg_kld_does_not_punish_what_z_says_about_y_but_the_standard_kl_does() -> None:
    torch.manual_seed(0)
    posterior = Posterior(torch.randn(400, 6) * 0.9**0.5, torch.full((400, 6), math.log(0.1)))
    standard = 0.5 * (posterior.mean**2 + 0.1 - math.log(0.1) - 1).sum(1).mean()
    assert standard_kl(posterior).item() == pytest.approx(standard.item(), rel=1e-5)
    assert dg_kld(posterior, None, noise(16, posterior.mean)).item() < 0.1 * standard.item()


@pytest.mark.parametrize(
    ("mean", "variance"), [(torch.full((1, 6), 3.0), 1.0), (torch.zeros(1, 6), 0.01), (torch.zeros(1, 6), 9.0)]
)
def test_dg_kld_of_one_posterior_is_its_kl_to_the_prior(mean: torch.Tensor, variance: float) -> None:
    torch.manual_seed(0)
    posterior = Posterior(mean, torch.full((1, 6), math.log(variance)))
    exact = 0.5 * (mean**2 + variance - math.log(variance) - 1).sum().item()
    assert exact > 3
    assert dg_kld(posterior, None, noise(20_000, mean)).item() == pytest.approx(exact, rel=0.05)


def test_recent_posteriors_complete_the_mixture_without_getting_a_gradient() -> None:
    torch.manual_seed(0)
    recent = Posterior(torch.randn(400, 6) * 0.9**0.5, torch.full((400, 6), math.log(0.1)))
    few = Posterior(recent.mean[:4].clone().requires_grad_(), recent.log_variance[:4].clone())
    dice = noise(500, few.mean)
    assert dg_kld(few, recent, dice).item() < 0.5 * dg_kld(few, None, dice).item()
    dg_kld(few, recent, dice).backward()
    assert few.mean.grad is not None
    assert recent.mean.grad is None


def test_response_likelihood_does_not_depend_on_what_it_is_padded_to() -> None:
    lm = tiny.tiny_lm()
    cache = prompt_caches(lm, [PROMPT])
    responses = [[5, 6, 7], [8, 9, 10, 11, 12, 13, 14], [15]]
    with torch.no_grad():
        kv = adapter()(torch.from_numpy(tiny.tiny_latents(3)))
        together = response_log_likelihood(lm, cache, [0] * 3, responses, kv)
        alone = [response_log_likelihood(lm, cache, [0], [y], kv[i : i + 1])[0] for i, y in enumerate(responses)]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-3, rtol=1e-4)


def test_prompts_of_different_lengths_go_together() -> None:
    lm = tiny.tiny_lm()
    prompts = [PROMPT, [1, 99, 98], [*PROMPT, 7, 8, 9, 3]]
    responses, of = [[5, 6, 7], [8, 9, 10, 11], [15], [16, 17]], [2, 0, 1, 2]
    with torch.no_grad():
        kv = adapter()(torch.from_numpy(tiny.tiny_latents(4)))
        each: dict[str, tuple[torch.Tensor, list[torch.Tensor]]] = {
            "after": (
                response_log_likelihood(lm, prompt_caches(lm, prompts), of, responses, kv),
                [
                    response_log_likelihood(lm, prompt_caches(lm, [prompts[p]]), [0], [y], kv[i : i + 1])
                    for i, (p, y) in enumerate(zip(of, responses, strict=True))
                ],
            ),
            "before": (
                latent_first_log_likelihood(lm, [prompts[p] for p in of], responses, kv),
                [
                    latent_first_log_likelihood(lm, [prompts[p]], [y], kv[i : i + 1])
                    for i, (p, y) in enumerate(zip(of, responses, strict=True))
                ],
            ),
        }
    for together, alone in each.values():
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-3, rtol=1e-4)
    assert not torch.allclose(each["after"][0], each["before"][0], atol=1e-2)


def test_response_likelihood_is_that_of_one_long_sequence_when_the_latent_is_text() -> None:
    """P real tokens in the latent's place: their own (unrotated) keys and values in, the plain model's numbers out."""
    lm, response = tiny.tiny_lm(), [5, 6, 7]
    middle = [21, 22, 23, 24]
    assert len(middle) == LATENT_POSITIONS
    prefix = PROMPT[:-1]
    with torch.no_grad():
        text = prompt_caches(lm, [[*prefix, *middle, 0]]).layers
        start = len(prefix)
        like = text[0][0]
        cos, sin = lm.model.rotary_emb(like, torch.arange(start, start + LATENT_POSITIONS)[None])
        half = tiny.HEAD_SIZE // 2

        def unrotated(keys: torch.Tensor) -> torch.Tensor:
            back = torch.cat([keys[..., half:], -keys[..., :half]], -1)
            turned: torch.Tensor = keys * cos + back * sin
            return turned

        kv = torch.stack([torch.stack([unrotated(k[:, :, start:]), v[:, :, start:]], 1) for k, v in text], 1)
        found = response_log_likelihood(lm, prompt_caches(lm, [PROMPT]), [0], [response], kv)
        logits = lm(input_ids=torch.tensor([[*prefix, *middle, PROMPT[-1], *response]])).logits[0]
        rows = torch.log_softmax(logits[-len(response) - 1 : -1], -1)
    expected = rows[torch.arange(len(response)), torch.tensor(response)].sum()
    assert found.item() == pytest.approx(expected.item(), abs=1e-3)


def test_a_latent_before_the_prompt_is_text_before_the_prompt() -> None:
    lm, response, before = tiny.tiny_lm(), [5, 6, 7], [21, 22, 23, 24]
    with torch.no_grad():
        text = prompt_caches(lm, [[*before, 0]]).layers
        cos, sin = lm.model.rotary_emb(text[0][0], torch.arange(LATENT_POSITIONS)[None])
        half = tiny.HEAD_SIZE // 2
        kv = torch.stack(
            [
                torch.stack([k * cos + torch.cat([k[..., half:], -k[..., :half]], -1) * sin, v], 1)
                for k, v in text
            ],
            1,
        )  # fmt: skip
        found = latent_first_log_likelihood(lm, [PROMPT], [response], kv)
        logits = lm(input_ids=torch.tensor([[*before, *PROMPT, *response]])).logits[0]
        rows = torch.log_softmax(logits[-len(response) - 1 : -1], -1)
    expected = rows[torch.arange(len(response)), torch.tensor(response)].sum()
    assert found.item() == pytest.approx(expected.item(), abs=1e-3)


def test_gradients_reach_the_latent_through_the_frozen_backbone() -> None:
    lm = tiny.tiny_lm()
    z = torch.from_numpy(tiny.tiny_latents(2)).requires_grad_()
    made = adapter()
    response_log_likelihood(lm, prompt_caches(lm, [PROMPT]), [0, 0], [[5, 6], [7]], made(z)).sum().backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
    assert all(p.grad is None for p in lm.parameters())


def test_bag_of_words_is_untouched_by_order_and_starts_without_the_words_frequencies() -> None:
    bag = BagOfWords(tiny.tiny_lm(), latent_size=tiny.LATENT_SIZE)
    z = torch.from_numpy(tiny.tiny_latents(2))
    table = bag(z, [[5, 6, 7], [7, 5, 6]])
    assert table.shape == (2, 2)
    torch.testing.assert_close(table[0], table[1])
    torch.testing.assert_close(bag(torch.zeros(2, tiny.LATENT_SIZE), [[5]])[0, 0], bag(torch.zeros(1, 8), [[5]])[0, 0])
    names = {name for name, _ in bag.named_parameters()}
    assert names == {"project.weight", "project.bias", "unigram"}  # the word vectors are the backbone's


def test_a_skip_connection_that_says_nothing_leaves_the_backbones_own_likelihood() -> None:
    lm, responses = tiny.tiny_lm(), [[5, 6, 7], [8, 9]]
    skip = SkipConnection(lm, latent_size=tiny.LATENT_SIZE)
    z = torch.from_numpy(tiny.tiny_latents(2))
    assert skip(z, PROMPT, responses).shape == (2, 2)
    for parameter in skip.project[2].parameters():
        torch.nn.init.zeros_(parameter)
    table = skip(z, PROMPT, responses)
    for k, y in enumerate(responses):
        logits = lm(input_ids=torch.tensor([[*PROMPT, *y]])).logits[0, len(PROMPT) - 1 : -1]
        own = torch.log_softmax(logits, -1)[torch.arange(len(y)), torch.tensor(y)].sum()
        torch.testing.assert_close(table[k], own.expand(2), atol=1e-3, rtol=1e-4)
    assert not any(p.requires_grad for p in lm.parameters())

"""Held-out numbers of a CLaP: does z say which response it came from, and does a z from the prior still draft well?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from core.protocols import Decoder, Latent, Message, Sampling
from models import clap
from models.adapter import Adapter, LatentPlace, prompt_caches
from models.encoder import LatentEncoder, Posterior
from models.fluency import distinct2, perplexity, write_drafts
from models.sampling import PromptResponses

ACTIVE_VARIANCE = 0.01
"""A dimension is active when the posterior mean varies more than this over the data (arXiv 1509.00519, sec. 5.2)."""


@dataclass(frozen=True)
class ClapReport:
    """All on prompts and responses that were never trained on. Perplexities are under the untouched backbone."""

    prompts: int
    contrastive_accuracy_k4: float
    """Plain samples of one prompt, through the LM: the own latent makes the response more probable than 3 others do."""
    contrastive_loss_k4: float
    contrastive_accuracy_k4_styled: float
    """The same where two of the four were asked for in a style."""
    contrastive_loss_k4_styled: float
    contrastive_accuracy_k16: float
    contrastive_loss_k16: float
    nll_per_token: float
    nll_per_token_no_latent: float
    dg_kld: float
    active_dims: int
    posterior_mean_norm: float
    perplexity_own: float
    perplexity_z0: float
    perplexity_prior: float
    perplexity_posterior: float
    distinct_2_own: float
    distinct_2_prior: float


@torch.no_grad()
def evaluate_likelihoods(
    lm: LlamaForCausalLM,
    encoder: LatentEncoder,
    adapter: Adapter,
    rows: Sequence[PromptResponses],
    *,
    latent_place: LatentPlace = "after prompt",
) -> dict[str, float]:
    """The numbers that need the reference decoder's log-likelihoods."""
    torch.manual_seed(0)
    groups: dict[str, list[tuple[float, float]]] = {"k4": [], "k4_styled": []}
    own_nll = bare_nll = tokens = 0.0
    everything: list[Posterior] = []
    for row in rows:
        plain = [y for hint, y in zip(row.hints, row.responses, strict=True) if not hint]
        styled = [y for hint, y in zip(row.hints, row.responses, strict=True) if hint]
        for name, responses in (("k4", plain[:4]), ("k4_styled", plain[:2] + styled[:2])):
            if len(responses) < 4:
                continue
            table, posterior = contrasted(lm, encoder, adapter, row.prompt_ids, responses, latent_place)
            groups[name].append(summed_up(table))
            if name == "k4":
                everything.append(posterior)
                own_nll -= table.diag().sum().item()
                bare_nll -= without_latent(lm, row.prompt_ids, responses)
                tokens += sum(map(len, responses))
    aggregated = Posterior(*(torch.cat(parts) for parts in zip(*everything, strict=True)))
    result = {
        "nll_per_token": own_nll / tokens,
        "nll_per_token_no_latent": bare_nll / tokens,
        "dg_kld": clap.dg_kld(aggregated, None, torch.randn(16, *aggregated.mean.shape)).item(),
        "active_dims": int((aggregated.mean.var(0) > ACTIVE_VARIANCE).sum()),
        "posterior_mean_norm": aggregated.mean.norm(dim=1).mean().item(),
    }
    for name, pairs in groups.items():
        accuracy, loss = (sum(part) / len(part) for part in zip(*pairs, strict=True))
        result |= {f"contrastive_accuracy_{name}": accuracy, f"contrastive_loss_{name}": loss}
    return result


@torch.no_grad()
def accuracy_of_many(
    lm: LlamaForCausalLM, encoder: LatentEncoder, adapter: Adapter, rows: Sequence[PromptResponses]
) -> dict[str, float]:
    """Contrastive accuracy and loss at K = 16, chance 1/16."""
    torch.manual_seed(0)
    found = [
        summed_up(contrasted(lm, encoder, adapter, row.prompt_ids, row.responses[:16])[0])
        for row in rows
        if len(row.responses) >= 16
    ]
    accuracy, loss = (sum(part) / max(1, len(part)) for part in zip(*found, strict=True))
    return {"contrastive_accuracy_k16": accuracy, "contrastive_loss_k16": loss}


def contrasted(
    lm: LlamaForCausalLM,
    encoder: LatentEncoder,
    adapter: Adapter,
    prompt_ids: Sequence[int],
    responses: Sequence[Sequence[int]],
    latent_place: LatentPlace = "after prompt",
) -> tuple[Tensor, Posterior]:
    """[K, K]: log p(y_k | x, z_j), z_j drawn from the posterior of response j; and those posteriors."""
    k = len(responses)
    posterior = encoder([(prompt_ids, y) for y in responses])
    kv = adapter(posterior.sample())
    if latent_place == "after prompt":
        cache = prompt_caches(lm, [prompt_ids])
        rows = [clap.response_log_likelihood(lm, cache, [0] * k, [y] * k, kv) for y in responses]
    else:
        rows = [clap.latent_first_log_likelihood(lm, [prompt_ids] * k, [y] * k, kv) for y in responses]
    return torch.stack(rows), posterior


def summed_up(table: Tensor) -> tuple[float, float]:
    """Contrastive accuracy and loss of a table [K, K]."""
    hits = table.argmax(1).cpu() == torch.arange(len(table))
    return hits.float().mean().item(), clap.contrastive_loss(table).item()


def without_latent(lm: LlamaForCausalLM, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]]) -> float:
    """Summed log-likelihood of the responses under the untouched backbone, in nats."""
    total = 0.0
    for y in responses:
        logits = lm(input_ids=torch.tensor([[*prompt_ids, *y]])).logits[0, len(prompt_ids) - 1 : -1].float()
        total += torch.log_softmax(logits, -1)[torch.arange(len(y)), torch.tensor(y)].sum().item()
    return total


def evaluate_drafts(
    decoder: Decoder,
    prompts: Sequence[Sequence[Message]],
    latent_size: int,
    posteriors: Sequence[Latent],
    *,
    sampling: Sampling,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, float]:
    """Drafts of the backbone alone, with z = 0, z from N(0, I) and from real posteriors, all read by the backbone."""
    random = np.random.default_rng(0)
    sources: dict[str, Callable[[int], Latent | None]] = {
        "own": lambda i: None,
        "z0": lambda i: np.zeros(latent_size, np.float32),
        "prior": lambda i: random.standard_normal(latent_size, dtype=np.float32),
        "posterior": lambda i: posteriors[i % len(posteriors)],
    }
    result: dict[str, float] = {}
    for n, (name, latent) in enumerate(sources.items()):
        drafts = [write_drafts(decoder, p, [latent(i)], sampling, i)[0] for i, p in enumerate(prompts)]
        result[f"perplexity_{name}"] = perplexity(decoder, drafts)
        if name in ("own", "prior"):
            result[f"distinct_2_{name}"] = distinct2([draft.text for draft in drafts])
        progress((n + 1) / len(sources))
    return result

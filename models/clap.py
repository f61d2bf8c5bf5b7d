"""The losses of CLaP: reconstruction, DG-KLD, contrastive, and the bag-of-words warm start.

Contrastive Language-Latent Pretraining, arXiv 2412.20834, section 3. Pure functions of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from models.adapter import LATENT_POSITIONS, latent_cache
from models.encoder import Posterior

PAD = 0


def response_log_likelihood(
    lm: LlamaForCausalLM,
    prompt_ids: Sequence[int],
    prompt: Sequence[tuple[Tensor, Tensor]],
    responses: Sequence[Sequence[int]],
    kv: Tensor,
) -> Tensor:
    """[B]: log p(y_b | x, z_b) in nats, summed over tokens, for responses [B] and latent entries [B, L, 2, G, P, d].

    `prompt` is the cache of `prompt_ids[:-1]`; the last prompt token is read again after the latent. The output head
    sees real tokens only, no padding.
    """
    length = max(map(len, responses))
    ids = torch.full((len(responses), length), PAD)
    real = torch.zeros(len(responses), length, dtype=torch.bool)
    for i, y in enumerate(responses):
        ids[i, : len(y)] = torch.tensor(y)
        real[i, : len(y)] = True
    ids, real = ids.to(lm.device), real.to(lm.device)
    start = len(prompt_ids) - 1
    cache = latent_cache(lm, prompt, kv, start)
    first = torch.full((len(responses), 1), prompt_ids[-1], device=lm.device)
    positions = torch.arange(start + LATENT_POSITIONS, start + LATENT_POSITIONS + length, device=lm.device)
    hidden = lm.model(
        input_ids=torch.cat([first, ids[:, :-1]], 1),
        past_key_values=cache,
        position_ids=positions[None].expand(len(responses), -1),
        use_cache=True,
    ).last_hidden_state
    token_nll = F.cross_entropy(lm.lm_head(hidden[real]).float(), ids[real], reduction="none")
    return torch.zeros(ids.shape, device=lm.device).masked_scatter(real, -token_nll).sum(1)


def contrastive_loss(table: Tensor, *, own_first: bool = False) -> Tensor:
    """Mean of -log( p(y_k|x,z_k) / sum_j p(y_k|x,z_j) ); `table` [K, J] holds log p(y_k | x, z_j).

    The own latent stands in column k, or, where only some negatives were computed (`own_first`), in column 0.
    """
    log_share = F.log_softmax(table, 1)
    return -(log_share[:, 0] if own_first else log_share.diag()).mean()


def dg_kld(posterior: Posterior, others: Posterior | None, *, samples: int = 16) -> Tensor:
    """KL of the aggregated posterior to N(0, I), per dimension and summed (arXiv 2412.20834, eq. 7), by Monte Carlo.

    The aggregate is the mixture of these K posteriors and `others` (those of recent prompts, detached): over one
    prompt's few responses alone it cannot become N(0, I), and z from the prior then drafts badly.
    """
    mean, log_variance = posterior
    if others is not None:
        mean, log_variance = torch.cat([mean, others.mean]), torch.cat([log_variance, others.log_variance])
    z = (
        posterior.mean
        + torch.randn(samples, *posterior.mean.shape, device=mean.device) * (posterior.log_variance / 2).exp()
    )
    log_q = -0.5 * ((z[:, :, None] - mean) ** 2 / log_variance.exp() + log_variance + math.log(2 * math.pi))
    log_aggregate = torch.logsumexp(log_q, 2) - math.log(len(mean))
    log_prior = -0.5 * (z**2 + math.log(2 * math.pi))
    return (log_aggregate - log_prior).mean((0, 1)).sum()


class BagOfWords(nn.Module):
    """z alone must say which of the K responses it came from: logits (W z) . E^T + b over the vocabulary.

    Our warm start: it needs no language model and kills posterior collapse (0.88 of 4 after 70 s).
    """

    def __init__(self, lm: LlamaForCausalLM, *, latent_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(latent_size, lm.config.hidden_size)
        self.unigram = nn.Parameter(torch.zeros(lm.config.vocab_size))
        self._words = (lm.model.embed_tokens.weight.float(),)

    def forward(self, z: Tensor, responses: Sequence[Sequence[int]]) -> Tensor:
        """[K, K]: summed log-probability of the words of response k under latent j."""
        log_p = F.log_softmax(self.project(z) @ self._words[0].T + self.unigram, -1)
        return torch.stack([log_p[:, torch.tensor(y, device=z.device)].sum(1) for y in responses])

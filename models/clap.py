"""The losses of CLaP: reconstruction, DG-KLD, contrastive, and the bag-of-words warm start.

Contrastive Language-Latent Pretraining, arXiv 2412.20834, section 3. Pure functions of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, LlamaForCausalLM

from models.adapter import LATENT_POSITIONS, PromptCaches, latent_cache, left_padded
from models.encoder import Posterior

PAD = 0


def response_log_likelihood(
    lm: LlamaForCausalLM, prompts: PromptCaches, of: Sequence[int], responses: Sequence[Sequence[int]], kv: Tensor
) -> Tensor:
    """[B]: log p(y_b | x_b, z_b) in nats, summed over tokens, for responses [B] and latent entries [B, L, 2, G, P, d].

    `of` [B] says whose response each is. The latent follows the prompt, whose last token is read again after it. The
    output head sees real tokens only, no padding.
    """
    rows = torch.tensor(of, device=lm.device)
    layers, is_text = prompts.of(rows)
    start = is_text.sum(1)
    last = torch.tensor([[prompts.prompts[i][-1]] for i in of])
    return _continued(lm, latent_cache(lm, layers, kv, start), is_text, start, last, responses)


def latent_first_log_likelihood(
    lm: LlamaForCausalLM, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], kv: Tensor
) -> Tensor:
    """[B]: the same with the latent before the prompt, as in the paper; every prompt [B] is read under its latent."""
    before, is_text = left_padded(prompts)
    start = torch.zeros(len(prompts), dtype=torch.long, device=lm.device)
    nothing = torch.zeros(len(prompts), 0, dtype=torch.bool, device=lm.device)
    return _continued(lm, latent_cache(lm, [], kv, start), nothing, start, before, responses, is_text)


def _continued(
    lm: LlamaForCausalLM,
    cache: DynamicCache,
    cached: Tensor,
    start: Tensor,
    before: Tensor,
    responses: Sequence[Sequence[int]],
    is_text: Tensor | None = None,
) -> Tensor:
    """[B]: log-likelihood of responses after a cache that ends with latents at `start` [B], and then tokens [B, X].

    `cached` [B, C]: which cached positions before the latents are text; `is_text` [B, X]: which tokens are.
    """
    count, length = len(responses), max(map(len, responses))
    ids = torch.full((count, length), PAD)
    real = torch.zeros(count, length, dtype=torch.bool)
    for i, y in enumerate(responses):
        ids[i, : len(y)] = torch.tensor(y)
        real[i, : len(y)] = True
    device = lm.device
    ids, real, before = ids.to(device), real.to(device), before.to(device)
    is_text = torch.ones_like(before, dtype=torch.bool) if is_text is None else is_text.to(device)
    new = torch.cat([is_text, torch.ones(count, length - 1, dtype=torch.bool, device=device)], 1)
    latent = torch.ones(count, LATENT_POSITIONS, dtype=torch.bool, device=device)
    hidden = lm.model(
        input_ids=torch.cat([before, ids[:, :-1]], 1),
        past_key_values=cache,
        attention_mask=torch.cat([cached, latent, new], 1),
        position_ids=start[:, None] + LATENT_POSITIONS + (new.cumsum(1) - 1).clamp(min=0),
        use_cache=True,
    ).last_hidden_state[:, -length:]
    token_nll: Tensor = _TokenNll.apply(hidden[real], lm.lm_head.weight, ids[real])  # type: ignore[no-untyped-call]
    return torch.zeros(ids.shape, device=device).masked_scatter(real, -token_nll).sum(1)


class _TokenNll(torch.autograd.Function):
    """Cross-entropy after a frozen output head: hidden states [N, H] and targets [N] to nats [N].

    The gradient by the hidden states is (softmax - target) W, so it is made at once, block by block: the logits
    [N, V] are never kept, and nothing of their size is done twice.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        nll = torch.empty(len(hidden), device=hidden.device)
        by_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), TOKENS_AT_ONCE):
            block = slice(start, start + TOKENS_AT_ONCE)
            share = torch.softmax((hidden[block] @ weight.T).float(), -1)
            target = targets[block, None]
            own = share.gather(1, target)
            nll[block] = -own.clamp_min(torch.finfo(torch.float32).tiny).log()[:, 0]
            if by_hidden is not None:
                by_hidden[block] = share.scatter_(1, target, own - 1).to(weight.dtype) @ weight
        ctx.save_for_backward(by_hidden)
        return nll

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (by_hidden,) = ctx.saved_tensors
        return by_hidden * gradients[0][:, None].to(by_hidden.dtype), None, None


TOKENS_AT_ONCE = 256


def contrastive_loss(table: Tensor, *, own_first: bool = False) -> Tensor:
    """Mean of -log( p(y_k|x,z_k) / sum_j p(y_k|x,z_j) ); `table` [K, J] holds log p(y_k | x, z_j).

    The own latent stands in column k, or, where only some negatives were computed (`own_first`), in column 0.
    """
    log_share = F.log_softmax(table, 1)
    return -(log_share[:, 0] if own_first else log_share.diag()).mean()


def dg_kld(posterior: Posterior, others: Posterior | None, noise: Tensor) -> Tensor:
    """KL of the aggregated posterior to N(0, I), per dimension and summed (arXiv 2412.20834, eq. 7), by Monte Carlo.

    The aggregate is the mixture of these K posteriors and `others` (those of recent prompts, detached): over one
    prompt's few responses alone it cannot become N(0, I), and z from the prior then drafts badly. `noise` [S, K, D] is
    standard normal: S samples of each posterior.
    """
    mean, log_variance = posterior
    if others is not None:
        mean, log_variance = torch.cat([mean, others.mean]), torch.cat([log_variance, others.log_variance])
    z = posterior.mean + noise * (posterior.log_variance / 2).exp()
    log_q = -0.5 * ((z[:, :, None] - mean) ** 2 / log_variance.exp() + log_variance + math.log(2 * math.pi))
    log_aggregate = torch.logsumexp(log_q, 2) - math.log(len(mean))
    log_prior = -0.5 * (z**2 + math.log(2 * math.pi))
    return (log_aggregate - log_prior).mean((0, 1)).sum()


def standard_kl(posterior: Posterior) -> Tensor:
    """Mean KL of each posterior to N(0, I), summed over dimensions (arXiv 1312.6114, appendix B).

    The ablation: it punishes what z says about y, which `dg_kld` does not.
    """
    mean, log_variance = posterior
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean()


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


class SkipConnection(nn.Module):
    """z added to the backbone's last hidden states: the reference implementation's first stage, without its copies.

    Another warm start than `BagOfWords`: the backbone's own knowledge of the text is there, so z has less to say.
    """

    def __init__(self, lm: LlamaForCausalLM, *, latent_size: int) -> None:
        super().__init__()
        hidden = lm.config.hidden_size
        self.project = nn.Sequential(nn.Linear(latent_size, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        self._lm = (lm,)

    def forward(self, z: Tensor, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]]) -> Tensor:
        """[K, K]: log-probability of response k, summed over tokens, under latent j."""
        (lm,) = self._lm
        table = []
        shift = self.project(z).to(lm.dtype)
        for y in responses:
            ids = torch.tensor([[*prompt_ids, *y]], device=lm.device)
            with torch.no_grad():
                hidden = lm.model(input_ids=ids).last_hidden_state[0, len(prompt_ids) - 1 : -1]
            logits = lm.lm_head(hidden + shift[:, None]).float()  # [K, T, V]
            target = ids[0, len(prompt_ids) :].expand(len(z), -1)
            table.append(-F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view(len(z), -1))
        return torch.stack([row.sum(1) for row in table])

"""Latent DPO: preference learning on the latent alone, without the language model. Pure functions of tensors.

arXiv 2412.20834, section 4, in two variants over the DPO loss (arXiv 2305.18290, eq. 7) with reference N(0, I):

- *sampled*, the paper's: candidates are ranked by what they say about which response they came from,
  r(x, z) = q(z|x,y_w) / (q(z|x,y_w) + q(z|x,y_l)); only the order matters, so the log-odds are used.
- *expected*, our default: the chosen and the rejected posterior themselves are compared, in closed form. No noise from
  candidates: 67% instead of 65% of held-out choices at 60 pairs (docs/experiments.md).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.encoder import Posterior


def log_density(z: Tensor, gaussian: Posterior) -> Tensor:
    """[..., D] -> [...]: log of a diagonal Gaussian, summed over the latent's dimensions."""
    mean, log_variance = gaussian
    return -0.5 * ((z - mean) ** 2 / log_variance.exp() + log_variance + math.log(2 * math.pi)).sum(-1)


def standard_normal(latent_size: int) -> Posterior:
    """The prior and the reference: N(0, I)."""
    return Posterior(torch.zeros(latent_size), torch.zeros(latent_size))


def latent_reward(z: Tensor, chosen: Posterior, rejected: Posterior) -> Tensor:
    """[N, S]: log q(z|x,y_w) - log q(z|x,y_l) for candidates z [N, S, D] and posteriors [N, D]."""
    each = [Posterior(p.mean[:, None], p.log_variance[:, None]) for p in (chosen, rejected)]
    return log_density(z, each[0]) - log_density(z, each[1])


def draw_candidates(chosen: Posterior, rejected: Posterior, *, per_source: int) -> Tensor:
    """[N, 3 * per_source, D]: latents from the prior and from both posteriors of each pair."""
    n, d = chosen.mean.shape
    noise = torch.randn(3, per_source, n, d)
    sources = [noise[0]]
    sources += [p.mean + noise[i] * (p.log_variance / 2).exp() for i, p in ((1, chosen), (2, rejected))]
    return torch.cat(sources).transpose(0, 1)


def selected(reward: Tensor, *, evidence_ratio: float) -> Tensor:
    """[N, S, S] bool: candidate pairs (better, worse) whose reward gap is in the top share of all ordered pairs.

    `evidence_ratio` counts one direction only, as in the reference code: 0.5 keeps a quarter of S x S.
    """
    gap = reward[:, :, None] - reward[:, None, :]
    threshold = gap.flatten(1).quantile(1 - evidence_ratio / 2, dim=1)
    return (gap >= threshold[:, None, None]) & (gap > 0)


def expected_log_ratio(q: Posterior, person: Posterior) -> Tensor:
    """[N]: E over z from q of log p_u(z) - log p_0(z), for posteriors q [N, D] and one person [D]."""
    mean, variance = q.mean, q.log_variance.exp()
    under_person = ((mean - person.mean) ** 2 + variance) / person.log_variance.exp() + person.log_variance
    under_prior = mean**2 + variance
    return 0.5 * (under_prior - under_person).sum(-1)


def expected_dpo_loss(chosen: Posterior, rejected: Posterior, person: Posterior, *, beta: float) -> Tensor:
    """[N]: DPO between the chosen and the rejected posterior of each pair."""
    return -F.logsigmoid(beta * (expected_log_ratio(chosen, person) - expected_log_ratio(rejected, person)))


def sampled_dpo_loss(log_ratio: Tensor, keep: Tensor, *, beta: float) -> Tensor:
    """[N]: DPO over the kept candidate pairs of each preference pair, averaged.

    `log_ratio` [N, S] is log p_u(z|x) - log p_0(z); `keep` [N, S, S] marks (better, worse).
    """
    margin = beta * (log_ratio[:, :, None] - log_ratio[:, None, :])
    kept = keep.float()
    return (-F.logsigmoid(margin) * kept).sum((1, 2)) / kept.sum((1, 2)).clamp(min=1)


def kl_to_prior(p: Posterior) -> Tensor:
    """KL of diagonal Gaussians [..., D] to N(0, I), in nats."""
    return 0.5 * (p.mean**2 + p.log_variance.exp() - p.log_variance - 1).sum(-1)

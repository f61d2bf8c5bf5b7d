"""Latent DPO: preference learning on the latent alone, without the language model. Pure functions of arrays.

arXiv 2412.20834, section 4, over the DPO loss with the reference N(0, I). A personal encoder p_u(z|x) = N(mu(x), I)
prefers one text to another by the margin of their expected log-ratios, which is linear in mu(x):

    E over q_w of log p_u/p_0 - E over q_l of log p_u/p_0 = mu(x) . (m_w - m_l),    m: means of the posteriors q(z|x,y)

so every loss below is a function of a margin, and learning is a small convex problem. Variants of what is compared:

- *expected*, our default: the chosen and the rejected posterior, in closed form;
- *sampled*, the paper's: candidates from the prior and both posteriors, ranked by
  r(x, z) = q(z|x,y_w) / (q(z|x,y_w) + q(z|x,y_l)); only the order matters, so the log-odds are used;
- *marginal*: each dimension of the latent on its own, as DG-KLD treats them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]


class Posteriors(NamedTuple):
    """Diagonal Gaussians over the latent, one a row."""

    mean: NDArray[np.float32]
    """[B, D]"""
    log_variance: NDArray[np.float32]
    """[B, D]"""


class LossTerms(NamedTuple):
    """A loss at each margin, with its derivatives by the margin: what Newton's method needs."""

    value: Floats
    slope: Floats
    curvature: Floats
    """Never below 0: where a loss is not convex, its convex part."""


MarginLoss = Callable[[Floats], LossTerms]
"""Margins of any shape, in nats of log-ratio."""


def dpo(margin: Floats, *, beta: float) -> LossTerms:
    """-log sigmoid(beta h). Rafailov et al. 2023 (arXiv 2305.18290), eq. 7."""
    right = sigmoid(beta * margin)
    return LossTerms(np.logaddexp(0, -beta * margin), -beta * (1 - right), beta**2 * right * (1 - right))


def ipo(margin: Floats, *, beta: float) -> LossTerms:
    """(h - 1/(2 beta))^2, times beta^2 to be of DPO's size. Azar et al. 2023 (arXiv 2310.12036), eq. 17."""
    away = beta * margin - 0.5
    return LossTerms(away**2, 2 * beta * away, np.full_like(margin, 2 * beta**2))


def hinge(margin: Floats, *, beta: float) -> LossTerms:
    """max(0, 1 - beta h), bent smoothly from beta h = 0 on. Zhao et al. 2023 (SLiC-HF, arXiv 2305.10425), eq. 2."""
    short = 1 - beta * margin
    inside = np.clip(short, 0, 1)
    value = np.where(short > 1, short - 0.5, 0.5 * inside**2)
    return LossTerms(value, -beta * inside, beta**2 * ((short > 0) & (short < 1)).astype(float))


SIMPO_TARGET = 0.5
"""gamma: the margin that SimPO asks for, in units of beta h."""


def simpo(margin: Floats, *, beta: float) -> LossTerms:
    """-log sigmoid(beta h - gamma), h without a reference. Meng et al. 2024 (arXiv 2405.14734), eq. 6.

    The caller leaves the reference out of h; texts' lengths need no correction, every latent has D dimensions.
    """
    return dpo(margin - SIMPO_TARGET / beta, beta=beta)


def kto(margin: Floats, *, beta: float) -> LossTerms:
    """1 - sigmoid(beta h) for single marks. Ethayarajh et al. 2024 (arXiv 2402.01306), eq. 8, lambda = 1.

    h is the log-ratio of the marked text less the reference point (its sign turned for a bad mark).
    """
    right = sigmoid(beta * margin)
    bend = right * (1 - right)
    return LossTerms(1 - right, -beta * bend, beta**2 * np.maximum(bend * (2 * right - 1), 0.0))


LOSSES: dict[str, Callable[..., LossTerms]] = {"dpo": dpo, "ipo": ipo, "hinge": hinge, "simpo": simpo, "kto": kto}


def conservative(loss: MarginLoss, flip_rate: float) -> MarginLoss:
    """The loss expected when labels are flipped with this rate: (1 - e) l(h) + e l(-h). Mitchell 2023 (cDPO), eq. 3.

    With e = 1/2 it pulls both texts together, which is what a tie says.
    """

    def mixed(margin: Floats) -> LossTerms:
        right, wrong = loss(margin), loss(-margin)
        return LossTerms(
            (1 - flip_rate) * right.value + flip_rate * wrong.value,
            (1 - flip_rate) * right.slope - flip_rate * wrong.slope,
            (1 - flip_rate) * right.curvature + flip_rate * wrong.curvature,
        )

    return mixed


def robust(loss: MarginLoss, flip_rate: float) -> MarginLoss:
    """Unbiased under flips: ((1 - e) l(h) - e l(-h)) / (1 - 2e). Chowdhury et al. 2024 (arXiv 2403.00409), eq. 12."""

    def corrected(margin: Floats) -> LossTerms:
        right, wrong = loss(margin), loss(-margin)
        scale = 1 / (1 - 2 * flip_rate)
        return LossTerms(
            scale * ((1 - flip_rate) * right.value - flip_rate * wrong.value),
            scale * ((1 - flip_rate) * right.slope + flip_rate * wrong.slope),
            np.maximum(scale * ((1 - flip_rate) * right.curvature - flip_rate * wrong.curvature), 0.0),
        )

    return corrected


NOISE_MODELS: dict[str, Callable[[MarginLoss, float], MarginLoss]] = {
    "none": lambda loss, flip_rate: loss,
    "conservative": conservative,
    "robust": robust,
}


def sigmoid(x: Floats) -> Floats:
    """Without overflow on either side."""
    return np.exp(-np.logaddexp(0, -x))


# --- the paper's candidates -----------------------------------------------------------------------------------


def log_density(z: Floats, mean: Floats, log_variance: Floats) -> Floats:
    """[..., D] -> [...]: log of a diagonal Gaussian, summed over the latent's dimensions."""
    density = (z - mean) ** 2 / np.exp(log_variance) + log_variance + math.log(2 * math.pi)
    summed: Floats = -0.5 * density.sum(-1)
    return summed


def draw_candidates(
    chosen: Posteriors, rejected: Posteriors, *, per_source: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """[N, 3 * per_source, D]: latents from the prior and from both posteriors of each pair."""
    n, d = chosen.mean.shape
    noise = rng.standard_normal((3, n, per_source, d), dtype=np.float32)
    drawn = [noise[0]]
    drawn += [p.mean[:, None] + noise[i] * np.exp(p.log_variance / 2)[:, None] for i, p in ((1, chosen), (2, rejected))]
    return np.concatenate(drawn, axis=1)


def latent_reward(z: Floats, chosen: Posteriors, rejected: Posteriors) -> Floats:
    """[N, S]: log q(z|x,y_w) - log q(z|x,y_l) for candidates z [N, S, D]."""
    under = [log_density(z, p.mean[:, None], p.log_variance[:, None]) for p in (chosen, rejected)]
    return under[0] - under[1]


ROWS_AT_ONCE = 1000
"""Pairs whose candidates are compared at once: 48 x 48 gaps of each, and their order, take 40 MB."""


def candidate_differences(
    chosen: Posteriors,
    rejected: Posteriors,
    *,
    per_source: int,
    evidence_ratio: float,
    keep: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """[N, keep, D]: better minus worse candidate, of pairs whose reward gap is among the largest of all.

    `evidence_ratio` counts one direction only, as in the reference code: 0.5 takes the top quarter of S x S; `keep` of
    those are drawn, so that memory grows with N alone.
    """
    kept = []
    for at in range(0, len(chosen.mean), ROWS_AT_ONCE):
        sides = [Posteriors(*(q[at : at + ROWS_AT_ONCE] for q in side)) for side in (chosen, rejected)]
        z = draw_candidates(*sides, per_source=per_source, rng=rng)
        reward = latent_reward(z, *sides)
        gap = (reward[:, :, None] - reward[:, None, :]).reshape(len(z), -1)
        top = max(1, int(gap.shape[1] * evidence_ratio / 2))
        largest = np.argpartition(-gap, top - 1, axis=1)[:, :top]
        taken = np.take_along_axis(largest, rng.integers(0, top, (len(z), keep)), axis=1)
        better, worse = np.divmod(taken, reward.shape[1])
        rows = np.arange(len(z))[:, None]
        kept.append(z[rows, better] - z[rows, worse])
    return np.concatenate(kept)

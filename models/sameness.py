"""The direction of the latent space along which drafts become alike, so that a personal voice need not take it.

Drafts for different prompts are alike when they are made of common word pairs. That share grows along one direction of
z, whatever else changes, and learning from choices runs into it by accident: without it drafts stay as varied as
generic ones at nearly the same win rate (docs/experiments.md). Measured once per CLaP, beside which it is kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from core.protocols import Decoder, Message, Sampling
from models.checkpoint import read_cache, write_arrays
from models.fluency import write_drafts
from models.learner import Array

LATENTS_PER_PROMPT = 4
RIDGE = 10.0


def word_pairs(text: str) -> list[tuple[str, str]]:
    """Neighbouring words."""
    return list(pairwise(text.split()))


def commonness(texts: Sequence[str]) -> Array:
    """[N]: mean log of how often each text's word pairs occur in all texts; 0 for a text without any."""
    counts = Counter(pair for text in texts for pair in word_pairs(text))
    each = [[math.log(counts[pair]) for pair in word_pairs(text)] for text in texts]
    return np.array([sum(logs) / max(1, len(logs)) for logs in each])


def sameness_direction(latents: Array, texts: Sequence[str]) -> Array:
    """[D], of length 1: the ridge regression of commonness [N] on the latents [N, D] that made the texts."""
    centered = latents - latents.mean(0)
    common = commonness(texts)
    gradient = centered.T @ (common - common.mean()) / max(float(common.std()), 1e-9)
    direction: Array = np.linalg.solve(centered.T @ centered + RIDGE * np.eye(latents.shape[1]), gradient)
    return direction / max(float(np.linalg.norm(direction)), 1e-9)


def measure(
    decoder: Decoder,
    prompts: Sequence[str],
    latent_size: int,
    sampling: Sampling,
    progress: Callable[[float], None] = lambda share: None,
) -> Array:
    """The direction [D] of this decoder, from drafts with latents of the prior."""
    rng = np.random.default_rng(0)
    latents, texts = [], []
    for i, prompt in enumerate(prompts):
        drawn = rng.standard_normal((LATENTS_PER_PROMPT, latent_size), dtype=np.float32)
        written = write_drafts(decoder, (Message("user", prompt),), list(drawn), sampling, i)
        latents.append(drawn)
        texts += [draft.text for draft in written]
        progress((i + 1) / len(prompts))
    return sameness_direction(np.concatenate(latents).astype(np.float64), texts)


def beside(clap: Path) -> Path:
    """The file that belongs to this CLaP."""
    return clap.with_name(clap.name.removesuffix(".safetensors") + ".sameness.safetensors")


def save(direction: Array, path: Path, clap_id: str) -> None:
    """Writes the direction and which CLaP it belongs to."""
    write_arrays(path, {"direction": direction.astype(np.float32)}, {"clap": clap_id})


def load(clap: Path, clap_id: str, latent_size: int) -> Array | None:
    """None where it was never measured for this CLaP."""
    found = read_cache(beside(clap))
    if found is None or found[1].get("clap") != clap_id:
        return None
    direction = found[0].get("direction")
    # Compared this way round, a length that is no number is refused too.
    if direction is None or direction.shape != (latent_size,) or not np.linalg.norm(direction) < 1.001:
        return None
    return direction.astype(np.float64)

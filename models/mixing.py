"""Several people's voices as one: a weighted mean of what each of them says about a text.

The margin by which a Gaussian prefers one text to another is linear in its natural parameters (`latent_dpo`), precision
tau and tau mu(x). So their weighted mean prefers by exactly the weighted mean of all margins: every voice votes with
its weight. (The logarithmic opinion pool, Genest and Zidek 1986, "Combining probability distributions".) That is:

- mean and log variance: tau = sum w tau_i, mu = sum w tau_i mu_i / tau. A precise voice says more in its dimensions.
- contexts: the union; a voice that does not know a kind of writing says there what it says of all others.
- head: likewise; heads with different centres become one around the mean of the centres, and what that moves goes into
  the mean, so that mu(x) of every prompt is as it would be with a head for each voice.
- layers: their weighted mean, a voice without layers having the CLaP's own, from which all others are small steps
  ("Model soups", arXiv 2203.05482). Only this is an approximation: to first order in those steps each head reads what
  it read before.

Knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.errors import UsageError
from models.checkpoint import Arrays
from models.learner import Array, Parts, combined
from models.personal_encoder import MAX_CONTEXTS, GaussianEncoder

LEAST, MOST = 2, 16
"""Voices in a mix."""


def normalised(weights: Sequence[float], count: int) -> list[float]:
    """Weights that sum to 1. Raises UsageError unless there is one for each of 2 to 16 voices, and none is negative."""
    if not LEAST <= count <= MOST:
        raise UsageError(f"A mix has {LEAST} to {MOST} voices, not {count}.")
    if len(weights) != count:
        raise UsageError(f"There are {count} voices and {len(weights)} weights: give one for each, such as .7,.3.")
    total = math.fsum(weights)
    if not all(0 <= weight < math.inf for weight in weights) or total <= 0:
        raise UsageError("Weights are 0 or more, and not all of them 0.")
    return [weight / total for weight in weights]


def mixed(encoders: Sequence[GaussianEncoder], weights: Sequence[float], base: Arrays) -> GaussianEncoder:
    """The mix of encoders of one latent space; weights sum to 1, and one of 1 alone gives that encoder as it is.

    `base`: the CLaP's own layers. Raises UsageError when they know too many kinds of writing together.
    """
    used = [(encoder, weight) for encoder, weight in zip(encoders, weights, strict=True) if weight > 0]
    if len(used) == 1:
        return used[0][0]
    return GaussianEncoder(_parts([(e.parts, w) for e, w in used]), layers=_layers(used, base))


def _parts(voices: Sequence[tuple[Parts, float]]) -> Parts:
    known = len({name for parts, _ in voices for name in parts.contexts})
    if known > MAX_CONTEXTS:
        raise UsageError(f"Together they know {known} kinds of writing, a voice can have {MAX_CONTEXTS}.")
    precise = [(parts, weight * np.exp(-parts.log_variance)) for parts, weight in voices]
    total: Array = np.sum([precision for _, precision in precise], axis=0)
    return combined([(parts, precision / total) for parts, precision in precise], -np.log(total))


def _layers(voices: Sequence[tuple[GaussianEncoder, float]], base: Arrays) -> Arrays | None:
    """float16; None when nobody has any."""
    if not any(encoder.layers for encoder, _ in voices):
        return None
    own = [(encoder.layers or base, weight) for encoder, weight in voices]
    names = next(encoder.layers for encoder, _ in voices if encoder.layers)
    found = {name: sum(weight * layers[name].astype(np.float32) for layers, weight in own) for name in names}
    return {name: np.asarray(array).astype(np.float16) for name, array in found.items()}

"""Do torch and llama.cpp write the same drafts? KL between them on the same latents, and between different latents.

A CLaP carries reference log-probabilities made by torch when it was published, so that the check after an upgrade of
llama-cpp-python takes a second and no torch; `penpal doctor` repeats it against torch itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import LatentStateError
from core.protocols import Decoder, Latent, Message
from models.checkpoint import Arrays

MAX_KL = 0.02
"""Nats per token. Quantization to Q4_1 alone costs 0.005; two different latents are 0.2 apart."""
MIN_CONTRAST = 10.0
"""Different latents must differ at least so many times more than the two decoders do."""

MESSAGES = (Message("user", "Say something nice to a friend who moved to another city."),)
RESPONSE = "I hope your new home feels warm. I miss our walks!"


class Parity(NamedTuple):
    """Nats per token."""

    same: float
    """KL(torch || llama.cpp) on the same latent, the worse of two."""
    other: float
    """KL between different latents, the smaller of two."""

    @property
    def passed(self) -> bool:
        return self.same < MAX_KL and self.other > MIN_CONTRAST * self.same


def parity_latents(latent_size: int) -> tuple[Latent, Latent]:
    """A fixed point at the prior's typical radius and its opposite: random pairs may lie close together."""
    z = np.random.default_rng(20241230).standard_normal(latent_size).astype(np.float32)
    z *= np.sqrt(latent_size) / np.linalg.norm(z)
    return z, -z


def kl(p: NDArray[np.float32], q: NDArray[np.float32]) -> float:
    """Mean over tokens of KL(p || q) for log-probabilities [T, V]."""
    exact = p.astype(np.float64)
    return float((np.exp(exact) * (exact - q)).sum(-1).mean())


def reference_log_probs(decoder: Decoder, latent_size: int) -> NDArray[np.float32]:
    """[2, T, V]: log-probabilities of `RESPONSE` under the two fixed latents."""
    return np.stack([decoder.log_probs(MESSAGES, RESPONSE, z) for z in parity_latents(latent_size)])


def compare(reference: NDArray[np.float32], found: NDArray[np.float32]) -> Parity:
    """Both [2, T, V], one row per latent. Other shapes mean another tokenizer: no parity at all."""
    if reference.shape != found.shape:
        return Parity(np.inf, 0.0)
    same = max(kl(reference[i], found[i]) for i in (0, 1))
    other = min(kl(reference[i], found[1 - i]) for i in (0, 1))
    return Parity(same, other)


def parity_with_reference(decoder: Decoder, clap: Arrays) -> Parity:
    """The decoder against the log-probabilities that were published with the CLaP.

    Raises LatentStateError when there are none: whether the decoder does what it should cannot be told then.
    """
    if "parity.log_probs" not in clap:
        raise LatentStateError(
            "These CLaP weights lack the reference that drafts are checked by: 'penpal backbone publish' adds it."
        )
    reference = clap["parity.log_probs"].astype(np.float32)
    return compare(reference, reference_log_probs(decoder, clap["adapter.inp.weight"].shape[1]))


def parity_between(reference: Decoder, decoder: Decoder, latent_size: int) -> Parity:
    """Two decoders on the same latents."""
    return compare(reference_log_probs(reference, latent_size), reference_log_probs(decoder, latent_size))

"""Exported ONNX graphs beside what PenPal itself computes: the largest difference, and on which device. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.protocols import Decoder, Message
from models.latent_kv import LatentAdapter
from models.onnx_encoder import OnnxEncoders
from models.parity import kl
from models.personal_encoder import GaussianEncoder
from models.text_encoder import TextEncoder

TEXTS = (
    ([Message("user", "Hello")], "Thank you!"),
    ([Message("user", "Write a short note to the neighbours about the garden.")], "The garden is yours. " * 8),
    ([Message("system", "Be kind."), Message("user", "What's up? 🙂")], "Not much."),
)
"""Some conversations and responses, of different lengths."""


class Difference(NamedTuple):
    """Between ONNX Runtime and PenPal."""

    largest: float
    """Of any number of any output."""
    provider: str
    """What ONNX Runtime computed with."""


def largest_difference(folder: Path, reader: TextEncoder, voice: GaussianEncoder, adapter: LatentAdapter) -> Difference:
    """`voice` reads prompts by itself if it has a head."""
    exported = OnnxEncoders(folder)
    prompts = [reader.prompt_ids(messages) for messages, _ in TEXTS]
    pairs = [reader.token_pair(messages, text) for messages, text in TEXTS]
    found = [*exported.posteriors(pairs)]
    expected = [*reader.posteriors(TEXTS)]
    contexts = [*voice.parts.contexts, "another"]
    for context in contexts:
        found.append(exported.means(prompts, [context] * len(TEXTS)))
        expected.append(np.stack([voice.mean(messages, context) for messages, _ in TEXTS]))
    z = expected[0][0]
    for start in (0, len(prompts[0])):
        found += exported.entries(z, start)
        expected += adapter.entries(z, start)
    return Difference(
        float(max(np.abs(ours - theirs).max() for ours, theirs in zip(expected, found, strict=True))), exported.provider
    )


def effect_of_int8(folder: Path, reader: TextEncoder, decoder: Decoder) -> float:
    """Nats per token between drafts at the latents that the exact encoder and the smaller one give the same texts."""
    pairs = [reader.token_pair(messages, text) for messages, text in TEXTS]
    exact, smaller = (OnnxEncoders(folder, int8=int8).posteriors(pairs).mean for int8 in (False, True))
    apart = [
        kl(decoder.log_probs(messages, text, z), decoder.log_probs(messages, text, other))
        for (messages, text), z, other in zip(TEXTS, exact, smaller, strict=True)
    ]
    return float(np.mean(apart))

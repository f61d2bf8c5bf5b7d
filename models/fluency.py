"""How fluent drafts are: their perplexity under the untouched backbone, and how far a voice may lean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.protocols import Decoder, DraftRequest, Latent, Message, Sampling


@dataclass(frozen=True)
class WrittenDraft:
    """A text that was written for a conversation."""

    messages: tuple[Message, ...]
    text: str


def write_draft(
    decoder: Decoder, messages: Sequence[Message], z: Latent | None, sampling: Sampling, seed: int
) -> WrittenDraft:
    """One draft, to its end."""
    chunks = decoder.generate(messages, [DraftRequest(seed, z)], sampling)
    return WrittenDraft(tuple(messages), "".join(chunk.text for chunk in chunks))


def perplexity(decoder: Decoder, drafts: Sequence[WrittenDraft]) -> float:
    """exp of the mean negative log-likelihood per token, without any latent; empty drafts do not count."""
    scores = [decoder.likelihood(draft.messages, draft.text) for draft in drafts if draft.text.strip()]
    return math.exp(sum(s.nll for s in scores) / max(1, sum(s.tokens for s in scores)))


@dataclass(frozen=True)
class Fluency:
    """Perplexity of a few drafts of both voices, and the strength at which the personal one was found fluent."""

    generic: float
    personal: float
    strength: float
    """1: the encoder as trained; 0: nothing of it stayed fluent."""


MAX_RISE = 1.5
"""Points of perplexity that a personal voice may cost; generic drafts of the embedded backbone are at about 4."""
STRENGTHS = (1.0, 0.8, 0.6, 0.4)
PROBE_TOKENS = 48


def fluent_strength(
    decoder: Decoder, prompts: Sequence[Sequence[Message]], mean: Latent, sampling: Sampling
) -> Fluency:
    """The largest strength at which drafts from the encoder's mean stay within `MAX_RISE` of generic ones."""
    short = replace(sampling, max_tokens=PROBE_TOKENS)

    def probe(strength: float) -> float:
        drafts = [write_draft(decoder, x, (strength * mean).astype("float32"), short, i) for i, x in enumerate(prompts)]
        return perplexity(decoder, drafts)

    generic = personal = probe(0.0)
    for strength in STRENGTHS:
        personal = probe(strength)
        if personal <= generic + MAX_RISE:
            return Fluency(generic, personal, strength)
    return Fluency(generic, personal, 0.0)

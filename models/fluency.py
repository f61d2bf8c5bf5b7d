"""How fluent drafts are: their perplexity under the untouched backbone, their variety, and how far a voice may lean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core.protocols import Decoder, DraftRequest, Latent, Message, Sampling
from models.personal_encoder import GaussianEncoder


@dataclass(frozen=True)
class WrittenDraft:
    """A text that was written for a conversation."""

    messages: tuple[Message, ...]
    text: str


def write_drafts(
    decoder: Decoder, messages: Sequence[Message], latents: Sequence[Latent | None], sampling: Sampling, seed: int
) -> list[WrittenDraft]:
    """One draft of each latent with the same dice, in one batch after one prefill."""
    texts = ["" for _ in latents]
    for chunk in decoder.generate(messages, [DraftRequest(seed, z) for z in latents], sampling):
        texts[chunk.draft] += chunk.text
    return [WrittenDraft(tuple(messages), text) for text in texts]


def perplexity(decoder: Decoder, drafts: Sequence[WrittenDraft]) -> float:
    """exp of the mean negative log-likelihood per token, without any latent; empty drafts do not count."""
    scores = [decoder.likelihood(draft.messages, draft.text) for draft in drafts if draft.text.strip()]
    return math.exp(sum(s.nll for s in scores) / max(1, sum(s.tokens for s in scores)))


def distinct2(texts: Sequence[str]) -> float:
    """Different pairs of neighbouring words, as a share of all (Li et al. 2016, arXiv 1510.03055); 1 is most varied."""
    pairs = [pair for text in texts for words in [text.split()] for pair in pairwise(words)]
    return len(set(pairs)) / max(1, len(pairs))


@dataclass(frozen=True)
class Fluency:
    """A few drafts of both voices, and the strength at which the personal one was found fluent."""

    generic: float
    """Perplexity."""
    personal: float
    generic_distinct2: float
    personal_distinct2: float
    strength: float
    """1: the encoder as trained; 0: nothing of it stayed fluent."""

    @property
    def fault(self) -> str:
        """What was found wrong with the personal voice."""
        return (
            f"perplexity {self.personal:.1f} against {self.generic:.1f}, "
            f"variety {self.personal_distinct2:.2f} against {self.generic_distinct2:.2f}"
        )


MAX_RISE = 1.5
"""Points of perplexity that a personal voice may cost; generic drafts of the embedded backbone are at about 4."""
MAX_SAMENESS = 0.08
"""Share of distinct-2 that it may cost in so few drafts; over many drafts it then costs less."""
STRENGTHS = (1.0, 0.75, 0.5, 0.3)
PROBE_TOKENS = 48


def fluent_strength(
    decoder: Decoder,
    prompts: Sequence[tuple[Sequence[Message], str]],
    encoder: GaussianEncoder,
    sampling: Sampling,
    progress: Callable[[float], None] = lambda share: None,
) -> Fluency:
    """The largest strength at which drafts from the encoder's mean stay as fluent and as varied as generic ones.

    `prompts` are conversations with their kinds of writing.
    """
    short = replace(sampling, max_tokens=PROBE_TOKENS)

    def probe(*strengths: float) -> list[tuple[float, float]]:
        """Perplexity and distinct-2 of the voice at each strength, all of them in one batch per prompt."""
        voices = [encoder.scaled(strength) for strength in strengths]
        written: list[list[WrittenDraft]] = [[] for _ in voices]
        for i, (messages, context) in enumerate(prompts):
            progress((i / len(prompts) + (len(strengths) > 2)) / 2)
            latents = [voice.mean(messages, context) for voice in voices]
            for drafts, draft in zip(written, write_drafts(decoder, messages, latents, short, i), strict=True):
                drafts.append(draft)
        return [(perplexity(decoder, drafts), distinct2([draft.text for draft in drafts])) for drafts in written]

    (generic, variety), *tried = probe(0.0, STRENGTHS[0])
    for i, strength in enumerate(STRENGTHS):
        if i == 1:
            tried += probe(*STRENGTHS[1:])
        personal, distinct = tried[i]
        if personal <= generic + MAX_RISE and distinct >= (1 - MAX_SAMENESS) * variety:
            return Fluency(generic, personal, variety, distinct, strength)
    return Fluency(generic, personal, variety, distinct, 0.0)

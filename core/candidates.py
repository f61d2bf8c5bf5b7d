"""Several texts for one prompt of which a person is shown two. Only what is shown is stored."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.contexts import clean_tag, context_of
from core.feedback import Draft
from core.protocols import DraftRequest, Finish, Latent, Message, PersonalEncoder, Sampling
from core.session import SEED_STRIDE, Writer


@dataclass(frozen=True)
class CandidateText:
    """A text that may be shown, and how it came about."""

    text: str
    z: Latent | None = None
    """None: not made from a latent."""
    encoder_id: str | None = None
    seed: int = 0
    tokens: int = 0
    finish: Finish = "stop"
    duration_ms: int = 0


@dataclass(frozen=True)
class Candidates:
    """Texts for one prompt."""

    prompt: str
    messages: tuple[Message, ...]
    tag: str | None
    """The kind of writing as the person tagged it."""
    texts: tuple[CandidateText, ...]
    sampling: Sampling

    @property
    def context(self) -> str:
        """The kind of writing."""
        return self.tag or context_of(self.prompt)


@dataclass(frozen=True)
class KeptPair:
    """Two candidates as the store has them."""

    turn_id: int
    drafts: tuple[Draft, Draft]


def write_candidates(
    writer: Writer,
    prompt: str,
    count: int,
    *,
    sampling: Sampling,
    context: str | None = None,
    seed: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_prefill: Callable[[int, int], None] = lambda done, total: None,
    on_token: Callable[[], None] = lambda: None,
) -> Candidates | None:
    """So many drafts from p_u in one batch, from latents that are mirrored two by two; None when cancelled."""
    tag, voice = clean_tag(context), writer.voice
    messages = writer.fitting(prompt, sampling)
    first = secrets.randbelow(2**31) if seed is None else seed
    seeds = [(first + i * SEED_STRIDE) % 2**31 for i in range(count)]
    latents: Sequence[Latent | None] = [None] * count
    if voice.encoder is not None:
        latents = mirrored(voice.encoder, messages, tag or context_of(messages[-1].content), seeds)
    texts, tokens = [""] * count, [0] * count
    finishes: list[Finish] = [""] * count
    durations_ms, started = [0] * count, time.monotonic()
    requests = [DraftRequest(seed, z) for seed, z in zip(seeds, latents, strict=True)]
    for chunk in writer.decoder.generate(messages, requests, sampling, cancelled=cancelled, on_prefill=on_prefill):
        texts[chunk.draft] += chunk.text
        tokens[chunk.draft], finishes[chunk.draft] = chunk.tokens, chunk.finish
        durations_ms[chunk.draft] = int(1000 * (time.monotonic() - started))
        on_token()
    if any(finish in ("", "cancelled") for finish in finishes):
        return None
    made = [
        CandidateText(*parts)
        for parts in zip(texts, latents, [voice.encoder_id] * count, seeds, tokens, finishes, durations_ms, strict=True)
    ]
    return Candidates(messages[-1].content, tuple(messages), tag, tuple(made), sampling)


def mirrored(encoder: PersonalEncoder, messages: Sequence[Message], context: str, seeds: Sequence[int]) -> list[Latent]:
    """A draw of p_u for each seed; every second one is the one before it, mirrored at the mean.

    A mirrored draw is a draw as well, and lies twice as far (squared) from its twin as from any other, so that the two
    drafts differ in style and not only by the dice.
    """
    mean = encoder.mean(messages, context)
    drawn = [encoder.sample(messages, context, seed) for seed in seeds[::2]]
    both = [z for draw in drawn for z in (draw, 2 * mean - draw)]
    return both[: len(seeds)]


def keep_pair(writer: Writer, candidates: Candidates, shown: tuple[int, int]) -> KeptPair:
    """Stores the two candidates that are shown, as the drafts of a turn of their own."""
    store = writer.store
    conversation_id = writer.conversation(candidates.prompt, origin="rate")
    turn_id = store.add_turn(conversation_id, candidates.prompt, candidates.messages, context=candidates.tag)
    ids = []
    for side, made in enumerate(candidates.texts[number] for number in shown):
        draft_id = store.add_draft(
            turn_id, side=side, z=None if made.z is None else [float(v) for v in made.z], encoder_id=made.encoder_id,
            backbone_id=writer.decoder.backbone_id, sampling=candidates.sampling, seed=made.seed,
        )  # fmt: skip
        store.finish_draft(draft_id, made.text, tokens=made.tokens, finish=made.finish, duration_ms=made.duration_ms)
        ids.append(draft_id)
    left, right = (store.draft(draft_id) for draft_id in ids)
    return KeptPair(turn_id, (left, right))

"""A new voice against the one before it, blind: the drafts of a question, what an answer prefers, and who wins."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Literal

from core.comparison_rows import Comparison
from core.contexts import context_of
from core.feedback import Act, Draft, in_force
from core.protocols import Decoder, DraftRequest, Sampling
from core.session import Proposal, Voice, title_of
from core.store import Store, Turn

QUESTIONS = 3
TO_ROLL_BACK = 2
"""So many of the answers must prefer the old voice before PenPal goes back to it."""
Preference = Literal["new", "old", "neither"]
Verdict = Literal["confirmed", "rolled back"]


def propose_comparison(
    store: Store,
    decoder: Decoder,
    asked: Turn,
    *,
    new: Voice,
    old: Voice,
    sampling: Sampling,
    seed: int,
    chance: random.Random,
) -> Proposal:
    """A turn's prompt once more, with a typical draft of each voice from the same dice; `chance` draws the sides.

    Typical: from the voice's mean. Three answers should be about the voices, not about how their latents fell.
    """
    conversation_id = store.add_conversation(title_of(asked.prompt), origin="rate")
    turn_id = store.add_turn(conversation_id, asked.prompt, asked.messages, context=asked.context)
    context = asked.context or context_of(asked.prompt)
    voices = [new, old]
    chance.shuffle(voices)
    requests = [
        DraftRequest(seed, voice.encoder.mean(asked.messages, context) if voice.encoder else None) for voice in voices
    ]
    draft_ids = [
        store.add_draft(
            turn_id,
            side=side,
            z=None if request.z is None else [float(value) for value in request.z],
            encoder_id=voice.encoder_id,
            backbone_id=decoder.backbone_id,
            sampling=sampling,
            seed=seed,
        )
        for side, (voice, request) in enumerate(zip(voices, requests, strict=True))
    ]
    return Proposal(
        store, decoder, turn_id=turn_id, messages=asked.messages, draft_ids=draft_ids, requests=requests,
        sampling=sampling,
    )  # fmt: skip


def preference(comparison: Comparison, drafts: Sequence[Draft], acts: Iterable[Act]) -> Preference | None:
    """Which voice the person preferred; None while the question is open."""
    answer = next((act for act in reversed(in_force(acts)) if act.is_answer), None)
    if answer is None:
        return None
    if answer.kind != "pick":
        return "neither"
    chosen = next((draft for draft in drafts if draft.id == answer.draft_id), None)
    if chosen is None:
        return "neither"
    return "new" if chosen.encoder_id == comparison.new_encoder_id else "old"


def verdict(preferences: Iterable[Preference]) -> Verdict:
    """What all the answers together say about the new voice."""
    return "rolled back" if list(preferences).count("old") >= TO_ROLL_BACK else "confirmed"

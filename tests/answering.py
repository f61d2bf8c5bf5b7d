"""What a person leaves in the store: two drafts for a prompt, and what was said about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from core.evidence import Evidence
from core.protocols import Message, Sampling
from core.store import Store

BACKBONE_ID = "b" * 64
Answer = Literal["pick", "tie", "both_bad", "skip"]


def drafts(store: Store, prompt: str, texts: Sequence[str], *, z: Sequence[Sequence[float]] | None = None) -> list[int]:
    """The ids of finished drafts beside each other, for a new turn."""
    turn_id = store.add_turn(store.add_conversation(prompt, origin="chat"), prompt, [Message("user", prompt)])
    written = []
    for side, text in enumerate(texts):
        latent = z[side] if z is not None else None
        draft_id = store.add_draft(
            turn_id, side=side, z=latent, encoder_id=None, backbone_id=BACKBONE_ID, sampling=Sampling(), seed=side
        )
        store.finish_draft(draft_id, text, tokens=3, finish="stop", duration_ms=1)
        written.append(draft_id)
    return written


def answer(
    store: Store,
    prompt: str,
    chosen: str,
    rejected: str,
    *,
    kind: Answer = "pick",
    z: Sequence[Sequence[float]] | None = None,
) -> int:
    """The turn about which the person said that they like the first text better, or whatever `kind` says."""
    first, second = drafts(store, prompt, [chosen, rejected], z=z)
    turn_id = store.draft(first).turn_id
    if kind == "pick":
        store.add_act("pick", turn_id, draft_id=first, other_draft_id=second)
    else:
        store.add_act(kind, turn_id)
    return turn_id


def said(store: Store, turn_id: int | None = None) -> list[Evidence]:
    """The evidence of one turn, or of all."""
    if turn_id is not None:
        return store.evidence_of_turn(turn_id, backbone_id=BACKBONE_ID)
    return store.evidence(backbone_id=BACKBONE_ID)


def undo(store: Store, turn_id: int) -> None:
    """Takes the last act about a turn back."""
    store.add_act("undo", turn_id, undoes_id=store.acts(turn_id)[-1].id)

"""What a person did with drafts: acts, which of them are in force, and how far an edit went. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Levenshtein

ActKind = Literal["pick", "tie", "both_bad", "skip", "edit", "redo", "accept", "star", "undo"]
Strength = Literal["slight", "clear"]

WRONG_FACT = "wrong fact"
"""The note that keeps an act out of what is learned about style."""


@dataclass(frozen=True)
class Draft:
    """One generated response as the store keeps it. The text is what the model wrote and never changes afterwards."""

    id: int
    turn_id: int
    side: int
    text: str
    status: str
    z: tuple[float, ...] | None
    encoder_id: str | None
    backbone_id: str
    seed: int
    tokens: int = 0

    @property
    def is_done(self) -> bool:
        """Written to its end: neither stopped by the person nor by an error."""
        return self.status == "done"


@dataclass(frozen=True)
class Act:
    """One thing a person did. Acts are appended and never changed; an undo is an act of its own."""

    id: int
    kind: ActKind
    turn_id: int
    draft_id: int | None = None
    other_draft_id: int | None = None
    text: str | None = None
    undoes_id: int | None = None
    note: str | None = None
    """Why, in the person's words: `WRONG_FACT`, 'shorter', ..."""
    again: bool = False
    """The pair had been answered before and was asked once more."""
    left_draft_id: int | None = None
    """Which draft stood on the left when it was answered."""
    strength: Strength | None = None
    """How much better the picked draft was; None where it was not asked."""
    created_utc: str = ""

    @property
    def is_answer(self) -> bool:
        """It says something about the drafts beside each other as a whole."""
        return self.kind in ("pick", "tie", "both_bad", "skip")

    @property
    def is_merge(self) -> bool:
        """Its text was put together out of two drafts."""
        return self.kind == "edit" and self.other_draft_id is not None

    @property
    def is_wrong_fact(self) -> bool:
        """The person gave a reason that has nothing to do with style."""
        return self.note is not None and " ".join(self.note.lower().split()) == WRONG_FACT


def words(text: str) -> list[str]:
    """What an edit is counted in."""
    return text.split()


def edit_distance(before: str, after: str) -> float:
    """Levenshtein distance in words, as a share of the longer text: 0 the same, 1 nothing left."""
    return float(Levenshtein.normalized_distance(words(before), words(after)))


def changed_words(before: str, after: str) -> tuple[int, int]:
    """How many words an edit added and how many it took away; a word put for another counts in both."""
    changes = Levenshtein.editops(words(before), words(after))
    added = sum(change.tag in ("insert", "replace") for change in changes)
    return added, sum(change.tag in ("delete", "replace") for change in changes)


def beside_each_other(drafts: Sequence[Draft], acts: Iterable[Act]) -> list[Draft]:
    """The drafts a person now chooses between: of each side the one that the last redo in force asked for."""
    ordered = sorted(acts, key=lambda act: act.id)
    redone = {act.id: act.draft_id for act in in_force(ordered) if act.kind == "redo"}
    shown: list[Draft] = []
    for side in sorted({draft.side for draft in drafts}):
        written = [draft for draft in drafts if draft.side == side]
        asked = [act.id for act in ordered if act.kind == "redo" and act.draft_id in {draft.id for draft in written}]
        # Each redo, undone or not, had one more draft written for its side.
        last = max((i for i, act_id in enumerate(asked, 1) if act_id in redone), default=0)
        shown.append(written[min(last, len(written) - 1)])
    return [draft for draft in shown if draft.id not in redone.values()] or shown


def in_force(acts: Iterable[Act]) -> list[Act]:
    """The acts that no later act undoes. An undo may itself be undone."""
    ordered = sorted(acts, key=lambda act: act.id)
    undone: set[int] = set()
    for act in reversed(ordered):
        if act.kind == "undo" and act.id not in undone and act.undoes_id is not None:
            undone.add(act.undoes_id)
    return [act for act in ordered if act.id not in undone and act.kind != "undo"]


def hints(acts: Iterable[Act]) -> list[str]:
    """What the person asked to be different when they had drafts written again: 'shorter', ... Each once, in order."""
    notes = (act.note for act in in_force(acts) if act.kind == "redo" and act.note and not act.is_wrong_fact)
    return list(dict.fromkeys(notes))


def kept_text(drafts: Sequence[Draft], acts: Iterable[Act]) -> str | None:
    """What the person kept of a turn: the accepted text, else the last edit, else the picked draft."""
    by_id = {draft.id: draft.text for draft in drafts}
    found: dict[str, str] = {}
    for act in in_force(acts):
        if act.kind in ("accept", "edit") and act.text is not None:
            found[act.kind] = act.text
        elif act.kind == "pick" and act.draft_id is not None and not act.again:
            found["pick"] = by_id.get(act.draft_id, "")
    return found.get("accept", found.get("edit", found.get("pick")))

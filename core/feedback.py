"""What a person did with drafts, and the preference pairs that follow from it. Pure values, no storage, no models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rapidfuzz.distance import Levenshtein

from core.protocols import Message

ActKind = Literal["pick", "tie", "both_bad", "skip", "edit", "redo", "accept", "star", "undo"]
PairSource = Literal["pick", "edit", "redo", "star"]

MIN_EDIT_DISTANCE = 0.02
"""Edits below this share of changed words are typos: no evidence of taste."""


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


@dataclass(frozen=True)
class Side:
    """One side of a pair: a text, and the latent that made it when PenPal did."""

    text: str
    z: tuple[float, ...] | None


@dataclass(frozen=True)
class Pair:
    """For this conversation the person prefers `chosen` to `rejected`."""

    messages: tuple[Message, ...]
    chosen: Side
    rejected: Side
    source: PairSource
    weight: float
    act_id: int


@dataclass
class _TurnActs:
    pick: Act | None = None
    edits: dict[int, Act] = field(default_factory=dict)
    stars: list[Act] = field(default_factory=list)
    redo: list[Act] = field(default_factory=list)


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
    """The drafts a person now chooses between: of each side the first that no redo in force has replaced."""
    replaced = {act.draft_id for act in in_force(acts) if act.kind == "redo"}
    shown: dict[int, Draft] = {}
    for draft in [d for d in drafts if d.id not in replaced] or reversed(drafts):
        shown.setdefault(draft.side, draft)
    return [shown[side] for side in sorted(shown)]


def in_force(acts: Iterable[Act]) -> list[Act]:
    """The acts that no later act undoes. An undo may itself be undone."""
    ordered = sorted(acts, key=lambda act: act.id)
    undone: set[int] = set()
    for act in reversed(ordered):
        if act.kind == "undo" and act.id not in undone and act.undoes_id is not None:
            undone.add(act.undoes_id)
    return [act for act in ordered if act.id not in undone and act.kind != "undo"]


def pairs_of_turn(messages: Sequence[Message], drafts: Sequence[Draft], acts: Sequence[Act]) -> list[Pair]:
    """The pairs that one turn's acts yield; the latest answer counts where the person changed their mind."""
    by_id = {draft.id: draft for draft in drafts}
    turn = _TurnActs()
    for act in in_force(acts):
        if act.kind in ("pick", "tie", "both_bad", "skip"):
            turn.pick = act
        elif act.kind == "edit" and act.draft_id is not None:
            turn.edits[act.draft_id] = act
        elif act.kind == "star":
            turn.stars.append(act)
        elif act.kind == "redo":
            turn.redo.append(act)
    pairs: list[Pair] = []

    def add(act: Act, chosen: Side, rejected: Side, source: PairSource, weight: float) -> None:
        if chosen.text.strip() and rejected.text.strip() and chosen.text != rejected.text:
            pairs.append(Pair(tuple(messages), chosen, rejected, source, weight, act.id))

    picked: Draft | None = None
    if turn.pick is not None and turn.pick.kind == "pick" and turn.pick.draft_id is not None:
        picked = by_id[turn.pick.draft_id]
        if turn.pick.other_draft_id is not None:
            add(turn.pick, _side(picked), _side(by_id[turn.pick.other_draft_id]), "pick", 1.0)
    for draft_id, act in turn.edits.items():
        draft = by_id[draft_id]
        distance = edit_distance(draft.text, act.text or "")
        if distance >= MIN_EDIT_DISTANCE:
            add(act, Side(act.text or "", None), _side(draft), "edit", min(1.0, 2 * distance))
    for act in turn.stars:
        if act.draft_id is not None and picked is None:
            for other in drafts:
                if other.id != act.draft_id and other.status == "done":
                    add(act, _side(by_id[act.draft_id]), _side(other), "star", 0.5)
    if picked is not None:
        for act in turn.redo:
            if act.draft_id is not None and act.draft_id != picked.id:
                add(act, _side(picked), _side(by_id[act.draft_id]), "redo", 0.5)
    return pairs


def _side(draft: Draft) -> Side:
    return Side(draft.text, draft.z)

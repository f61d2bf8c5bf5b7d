"""What acts say about taste: pairs, ties and single marks, each with a weight and a reason that a person can read.

Pure values: the same acts always give the same evidence, so what was learned can be listed, struck out and repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Literal

from core.contexts import context_of
from core.feedback import Act, Draft, beside_each_other, edit_distance, in_force, kept_text
from core.protocols import Message
from core.sentences import sentences, takes_over

Source = Literal["pick", "repeat", "edit", "merge", "redo", "star", "tie", "both bad"]

TYPO_DISTANCE = 0.02
"""Edits below this share of changed words are typos: no evidence of taste."""
INDIRECT_WEIGHT = 0.5
"""Of a redo, a star, a tie, a mark, a part left out: the person did not compare two texts and choose one."""
PICKED = {
    None: (1.0, "you picked it"),
    "clear": (1.0, "you found it clearly better"),
    "slight": (0.5, "you found it a little better"),
}
"""What a pick weighs, by its strength. Simulated people who call the smaller half of their differences slight are
foreseen half a point better with 0.5 than with 1, from 10 to 160 picks (docs/benchmarks/rate.md)."""


@dataclass(frozen=True)
class Side:
    """One text, and the latent that made it when PenPal did."""

    text: str
    z: tuple[float, ...] | None


@dataclass(frozen=True)
class Evidence:
    """One thing that a person's acts say about texts for one conversation."""

    messages: tuple[Message, ...]
    chosen: Side | None
    """None: a single bad mark for `rejected`."""
    rejected: Side | None
    """None: a single good mark for `chosen`."""
    source: Source
    weight: float
    """0: listed with its reason, but nothing is learned from it."""
    reason: str
    context: str
    turn_id: int
    act_id: int
    created_utc: str = ""
    tie: bool = False
    """Both texts are as good as each other; which one is called chosen means nothing."""

    @property
    def is_pair(self) -> bool:
        """One text is preferred to another one."""
        return self.chosen is not None and self.rejected is not None and not self.tie


@dataclass(frozen=True)
class Repeats:
    """How a person answered pairs that were asked a second time."""

    same: int = 0
    different: int = 0

    def flip_rate(self, *, doubt: float = 0.05, doubt_count: int = 10) -> float:
        """The estimated chance that one answer is the wrong way round, in [0, 0.45].

        Two answers with flip rate e agree with probability (1 - e)^2 + e^2. `doubt` is assumed before any repeat, as
        firmly as `doubt_count` repeats.
        """
        prior = doubt_count * ((1 - doubt) ** 2 + doubt**2)
        agree = (self.same + prior) / (self.same + self.different + doubt_count)
        return min(0.45, (1 - math.sqrt(max(0.0, 2 * agree - 1))) / 2)


def evidence_of_turn(
    messages: Sequence[Message], drafts: Sequence[Draft], acts: Sequence[Act], *, context: str | None = None
) -> list[Evidence]:
    """What one turn's acts say, in their order; the latest answer counts where the person changed their mind."""
    context = context or context_of(messages[-1].content if messages else "")
    return _TurnReader(messages, drafts, acts, context).read()


def repeats_of_turn(acts: Sequence[Act]) -> Repeats:
    """How the repeated picks of one turn compare with the first one in force."""
    answers = [act for act in in_force(acts) if act.is_answer]
    first = next((act for act in reversed(answers) if not act.again), None)
    if first is None or first.kind != "pick":
        return Repeats()
    again = [act.draft_id for act in answers if act.again and act.kind == "pick"]
    same = again.count(first.draft_id)
    return Repeats(same, len(again) - same)


def without_weight(evidence: Iterable[Evidence], reason: str) -> list[Evidence]:
    """The same, listed with a reason and not learned from."""
    return [replace(one, weight=0.0, reason=reason) for one in evidence]


def lessons(evidence: Iterable[Evidence]) -> int:
    """How many there are to learn from, as people are told."""
    return sum(one.weight > 0 for one in evidence)


class _TurnReader:
    """Reads the acts of one turn kind by kind, and notes what each says."""

    def __init__(self, messages: Sequence[Message], drafts: Sequence[Draft], acts: Sequence[Act], context: str) -> None:
        self._messages, self._context = tuple(messages), context
        self._drafts = {draft.id: draft for draft in drafts}
        self._acts = sorted(acts, key=lambda act: act.id)
        self._found: list[Evidence] = []

    def read(self) -> list[Evidence]:
        current = [act for act in in_force(self._acts) if act.is_answer or act.draft_id in self._drafts]
        answers: dict[frozenset[int], list[Act]] = {}
        for act in current:
            if act.is_answer:
                answers.setdefault(self._about(act), []).append(act)
        for about, given in answers.items():
            self._read_answers(about, given)
        for edit in {(act.draft_id, act.other_draft_id): act for act in current if act.kind == "edit"}.values():
            self._read_edit(edit)
        stars = {act.draft_id or 0: act for act in current if act.kind == "star"}
        for star in stars.values():
            about = self._about(star)
            answered = any(act.kind != "skip" for act in answers.get(about, ()))
            self._read_star(star, frozenset() if answered else about - stars.keys())
        for redo in [act for act in current if act.kind == "redo"]:
            self._read_redo(redo)
        return sorted(self._found, key=lambda one: one.act_id)

    def _about(self, act: Act) -> frozenset[int]:
        """The drafts that stood beside each other when it was done; those that it names if other ones did."""
        named = {number for number in (act.draft_id, act.other_draft_id) if number in self._drafts}
        before = [earlier for earlier in self._acts if earlier.id < act.id]
        beside = {draft.id for draft in beside_each_other(list(self._drafts.values()), before)}
        return frozenset(beside if named <= beside else named)

    def _read_answers(self, about: frozenset[int], given: Sequence[Act]) -> None:
        """The last answer about some drafts, and what was said when it was asked again."""
        first = next((act for act in reversed(given) if not act.again), None)
        drafts = [self._drafts[number] for number in sorted(about)]
        if first is not None and first.kind == "both_bad":
            for draft in drafts:
                self._add(first, "both bad", INDIRECT_WEIGHT, "both were bad", None, draft)
        elif first is not None and first.kind in ("pick", "tie"):
            if first.kind == "tie":
                pairs = list(combinations(drafts, 2))
            else:
                others = [draft for draft in drafts if draft.id != first.draft_id]
                pairs = list(product([draft for draft in drafts if draft.id == first.draft_id], others))
            again = [act for act in given if act.again and act.kind in ("pick", "tie")]
            self._read_comparison(first, again, [pair for pair in pairs if _differ(*pair)])

    def _read_comparison(self, first: Act, again: Sequence[Act], pairs: Sequence[tuple[Draft, Draft]]) -> None:
        """Confirmed answers count for more, contested ones for nothing."""
        tie = first.kind == "tie"
        contested = any(a.kind != first.kind or (not tie and a.draft_id != first.draft_id) for a in again)
        for chosen, rejected in pairs:
            weight, reason = (INDIRECT_WEIGHT, "as good as each other") if tie else PICKED[first.strength]
            weight /= len(pairs)
            if contested:
                weight, reason = 0.0, "asked again, you answered otherwise"
            self._add(first, "tie" if tie else "pick", weight, reason, chosen, rejected)
            for act in again if weight and not first.is_wrong_fact else ():
                self._add(act, "repeat", weight / 2, "asked again, you said the same", chosen, rejected, tie=tie)

    def _read_edit(self, act: Act) -> None:
        draft, text = self._drafts[act.draft_id or 0], act.text or ""
        if act.other_draft_id in self._drafts:
            self._read_merge(act, text, [draft, self._drafts[act.other_draft_id]])
            return
        distance = edit_distance(draft.text, text)
        weight, reason = min(1.0, 2 * distance), f"you changed {distance:.0%} of the words"
        if distance < TYPO_DISTANCE:
            weight, reason = 0.0, "a typo fix: hardly a word changed"
        self._add(act, "edit", weight, reason, Side(text, None), draft)

    def _read_merge(self, act: Act, merged: str, drafts: Sequence[Draft]) -> None:
        """Of each draft, the sentences that came over against those that were left out."""
        for draft in drafts:
            parts = sentences(draft.text)
            taken = " ".join(part for part in parts if takes_over(merged, part))
            left = " ".join(part for part in parts if not takes_over(merged, part))
            chosen, rejected = Side(taken or merged, None), Side(left, None)
            self._add(act, "merge", INDIRECT_WEIGHT, "you left these parts out", chosen, rejected)

    def _read_star(self, act: Act, others: frozenset[int]) -> None:
        """Over the drafts that stood beside it without a star, unless an answer says more; else a mark by itself."""
        starred = self._drafts[act.draft_id or 0]
        beside = [self._drafts[number] for number in sorted(others - {starred.id})]
        beside = [draft for draft in beside if draft.is_done and _differ(starred, draft)]
        for other in beside:
            self._add(act, "star", INDIRECT_WEIGHT / len(beside), "you starred it, not the other", starred, other)
        if not beside:
            self._add(act, "star", INDIRECT_WEIGHT, "you starred it", starred, None)

    def _read_redo(self, act: Act) -> None:
        """What the person had written anew loses to what they kept afterwards."""
        drafts = list(self._drafts.values())
        kept = kept_text(drafts, [later for later in self._acts if later.id > act.id])
        rejected = self._drafts[act.draft_id or 0]
        if kept is None:
            return
        chosen = next((draft for draft in reversed(drafts) if draft.text == kept), Side(kept, None))
        weight, reason = INDIRECT_WEIGHT, f"you asked for another one{f': {act.note}' if act.note else ''}"
        if not rejected.is_done:
            weight, reason = 0.0, "it was not finished when you asked for another one"
        self._add(act, "redo", weight, reason, chosen, rejected)

    def _add(
        self, act: Act, source: Source, weight: float, reason: str,
        chosen: Draft | Side | None, rejected: Draft | Side | None, *, tie: bool = False,
    ) -> None:  # fmt: skip
        if not _differ(chosen, rejected):
            return
        if act.is_wrong_fact:
            weight, reason = 0.0, "a wrong fact, not a question of style"
        better, worse = (None if side is None else Side(side.text, side.z) for side in (chosen, rejected))
        self._found.append(
            Evidence(
                self._messages, better, worse, source, weight, reason, self._context,
                turn_id=act.turn_id, act_id=act.id, created_utc=act.created_utc, tie=tie or source == "tie",
            )
        )  # fmt: skip


def _differ(*sides: Draft | Side | None) -> bool:
    """Whether there is something to compare: no text is empty, and no two are the same."""
    texts = [side.text for side in sides if side is not None]
    return all(text.strip() for text in texts) and len(set(texts)) == len(texts)

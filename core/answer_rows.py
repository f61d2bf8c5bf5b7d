"""What the person did, and what it says: `feedback`, which only ever grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from core.conversation_rows import ConversationRows, Turn, draft_of, turn_of
from core.evidence import Evidence, Repeats, evidence_of_turn, repeats_of_turn, without_weight
from core.feedback import Act, ActKind, Draft, Strength, kept_text

LEARNING_OFF = "learning was off in this conversation, or it was deleted"


class AnswerRows(ConversationRows):
    """Acts on drafts, and the evidence in them."""

    def add_act(
        self,
        kind: ActKind,
        turn_id: int,
        *,
        draft_id: int | None = None,
        other_draft_id: int | None = None,
        text: str | None = None,
        undoes_id: int | None = None,
        note: str | None = None,
        again: bool = False,
        left_draft_id: int | None = None,
        strength: Strength | None = None,
    ) -> int:
        return self._insert(
            "feedback",
            {
                "kind": kind,
                "turn_id": turn_id,
                "draft_id": draft_id,
                "other_draft_id": other_draft_id,
                "text": text,
                "undoes_id": undoes_id,
                "note": note,
                "again": again,
                "left_draft_id": left_draft_id,
                "strength": strength,
            },
        )

    def acts(self, turn_id: int) -> list[Act]:
        """All acts of a turn in order, undone ones and undos included."""
        return [_act(row) for row in self._rows("SELECT * FROM feedback WHERE turn_id = ? ORDER BY id", [turn_id])]

    def accepted_text(self, turn_id: int) -> str | None:
        """What the person kept: the accepted text, else the last edit, else the picked draft."""
        return kept_text(self.drafts(turn_id), self.acts(turn_id))

    def evidence(self, *, backbone_id: str | None, since_act: int = 0) -> list[Evidence]:
        """What acts on drafts of one backbone (None: any) say, oldest first: of turns acted on after `since_act`."""
        found: list[Evidence] = []
        off = self.conversations_not_learned_from()
        for turn, drafts, acts in self._answered_turns(since_act):
            if all(backbone_id in (None, draft.backbone_id) for draft in drafts):
                said = evidence_of_turn(turn.messages, drafts, acts, context=turn.context)
                found += without_weight(said, LEARNING_OFF) if turn.conversation_id in off else said
        return sorted(found, key=lambda evidence: evidence.act_id)

    def evidence_of_turn(self, turn_id: int, *, backbone_id: str) -> list[Evidence]:
        """What the acts about one turn say now."""
        turn, drafts = self.turn(turn_id), self.drafts(turn_id)
        if not all(draft.backbone_id == backbone_id for draft in drafts):
            return []
        said = evidence_of_turn(turn.messages, drafts, self.acts(turn_id), context=turn.context)
        return said if self.is_learned_from(turn.conversation_id) else without_weight(said, LEARNING_OFF)

    def repeats(self) -> Repeats:
        """How pairs that were asked twice were answered, over all turns."""
        each = [repeats_of_turn(acts) for acts in self._acts_by_turn("again = 1", []).values()]
        return Repeats(sum(r.same for r in each), sum(r.different for r in each))

    def last_act_id(self) -> int:
        """0 when nothing was done yet."""
        return int(self._rows("SELECT coalesce(max(id), 0) AS n FROM feedback", [])[0]["n"])

    def _answered_turns(
        self, since_act: int, *, until_act: int = 2**62
    ) -> Iterator[tuple[Turn, list[Draft], list[Act]]]:
        """Turns with their drafts and acts: three queries however many there are."""
        span = [since_act, until_act]
        # Acts before drafts and turns: what an act names is there already, however many programs write meanwhile.
        acts = self._acts_by_turn("id > ? AND id <= ?", span)
        answered = "(SELECT turn_id FROM feedback WHERE id > ? AND id <= ?)"
        drafts: dict[int, list[Draft]] = {}
        for row in self._rows(f"SELECT * FROM drafts WHERE turn_id IN {answered} ORDER BY id", span):
            drafts.setdefault(row["turn_id"], []).append(draft_of(row))
        for row in self._rows(f"SELECT * FROM turns WHERE id IN {answered} ORDER BY id", span):
            yield turn_of(row), drafts.get(row["id"], []), acts.get(row["id"], [])

    def _acts_by_turn(self, of_turns_with: str, values: Sequence[Any]) -> dict[int, list[Act]]:
        """All acts of the turns that have such an act."""
        turns = f"SELECT turn_id FROM feedback WHERE {of_turns_with}"
        acts: dict[int, list[Act]] = {}
        for row in self._rows(f"SELECT * FROM feedback WHERE turn_id IN ({turns}) ORDER BY id", values):
            acts.setdefault(row["turn_id"], []).append(_act(row))
        return acts


def _act(row: dict[str, Any]) -> Act:
    return Act(**{**{name: row[name] for name in Act.__dataclass_fields__}, "again": bool(row["again"])})

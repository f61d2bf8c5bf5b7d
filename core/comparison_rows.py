"""The questions of the morning after a run: which turn asks about which two voices, and what came of them, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.conversation_rows import NOT_LEARNED_FROM, ConversationRows, Turn, turn_of

EventKind = Literal["offered", "declined", "confirmed", "rolled back", "reopened"]


@dataclass(frozen=True)
class Comparison:
    """A turn whose two drafts are by a new voice and by the one before it."""

    turn_id: int
    asked_turn_id: int
    """The turn of the person's own whose prompt came back."""
    new_encoder_id: str
    old_encoder_id: str | None
    """None: the generic voice."""


class ComparisonRows(ConversationRows):
    """What happened to the questions is appended; answers are acts like any other."""

    def add_comparison(self, comparison: Comparison) -> None:
        self._insert("comparisons", vars(comparison))

    def comparisons(self, new_encoder_id: str) -> list[Comparison]:
        """Those about one new voice, in the order they were made."""
        sql = "SELECT * FROM comparisons WHERE new_encoder_id = ? ORDER BY turn_id"
        names = Comparison.__dataclass_fields__
        return [Comparison(**{name: row[name] for name in names}) for row in self._rows(sql, [new_encoder_id])]

    def add_comparison_event(self, new_encoder_id: str, kind: EventKind) -> None:
        self._insert("comparison_events", {"new_encoder_id": new_encoder_id, "kind": kind})

    def comparison_state(self, new_encoder_id: str) -> EventKind | None:
        """What happened last to the questions about this voice; None when they were never offered."""
        sql = "SELECT kind FROM comparison_events WHERE new_encoder_id = ? ORDER BY id DESC LIMIT 1"
        rows = self._rows(sql, [new_encoder_id])
        return rows[0]["kind"] if rows else None

    def answered_turns(self, *, until_act: int, limit: int) -> list[Turn]:
        """Turns that the person chose in until then, each prompt once: of their own writing first, then of rating.

        The newest of each come first; those of conversations that teach nothing are left out.
        """
        found: dict[str, Turn] = {}
        for origins in ("'chat', 'write'", "'rate'"):
            sql = f"""
                SELECT turns.* FROM turns JOIN conversations ON conversations.id = turns.conversation_id
                WHERE conversations.origin IN ({origins}) AND NOT {NOT_LEARNED_FROM}
                AND turns.id NOT IN (SELECT turn_id FROM comparisons)
                AND EXISTS (SELECT 1 FROM feedback WHERE feedback.turn_id = turns.id AND feedback.id <= ?
                    AND kind IN ('pick', 'edit', 'accept'))
                ORDER BY turns.id DESC LIMIT ?
            """
            for row in self._rows(sql, [until_act, 10 * limit]):
                found.setdefault(row["prompt"], turn_of(row))
        return list(found.values())[:limit]

"""What there is to forget: rows by conversation, by time, by what they hold, and those that hang on others."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from core.answer_rows import AnswerRows
from core.conversation_rows import Turn, draft_of, turn_of
from core.feedback import Act, Draft

IN = "IN (SELECT value FROM json_each(?))"
"""Takes one value, made by `as_list`."""


class ForgettableRows(AnswerRows):
    """Queries over everything, also what was deleted in chat, put aside, or is not learned from."""

    def turns_of(self, conversation_ids: Collection[int]) -> set[int]:
        return self._ids(f"SELECT id FROM turns WHERE conversation_id {IN}", [as_list(conversation_ids)])

    def turns_between(self, after: str, before: str) -> set[int]:
        """Those that were begun in this span, of times as `now_utc` gives them; the end is left out."""
        return self._ids("SELECT id FROM turns WHERE created_utc >= ? AND created_utc < ?", [after, before])

    def acts_between(self, after: str, before: str) -> set[int]:
        return self._ids("SELECT id FROM feedback WHERE created_utc >= ? AND created_utc < ?", [after, before])

    def conversations_between(self, after: str, before: str) -> set[int]:
        """Those that were begun in this span and in which nothing was sent."""
        sql = "SELECT id FROM conversations WHERE created_utc >= ? AND created_utc < ?"
        unsent = "NOT EXISTS (SELECT 1 FROM turns WHERE conversation_id = conversations.id)"
        return self._ids(f"{sql} AND {unsent}", [after, before])

    def deletion_times(self) -> dict[int, str]:
        """By conversation that was deleted in chat, where that can be undone: when."""
        sql = "SELECT id, deleted_utc FROM conversations WHERE deleted_utc IS NOT NULL"
        return {row["id"]: row["deleted_utc"] for row in self._rows(sql, [])}

    def unsaved_texts(self) -> list[dict[str, str]]:
        """Place, text and time of everything that was typed and not sent."""
        return self._rows("SELECT place, text, updated_utc FROM unsaved_texts ORDER BY place", [])

    def turns_holding(self, holds: Callable[[str], bool]) -> set[int]:
        """Turns with such a prompt, kind of writing, draft, own version or note."""
        self._define("holds", holds)
        sql = """
            SELECT id FROM turns WHERE holds(prompt) OR holds(context)
            UNION SELECT turn_id FROM drafts WHERE holds(text)
            UNION SELECT turn_id FROM feedback WHERE holds(text) OR holds(note)
        """
        return self._ids(sql, [])

    def conversations_titled(self, holds: Callable[[str], bool]) -> set[int]:
        self._define("holds", holds)
        return self._ids("SELECT id FROM conversations WHERE holds(title)", [])

    def copies_of(self, turn_ids: Collection[int]) -> set[int]:
        """Turns that PenPal made with the prompts of these: the questions of a morning, and pairs to be rated."""
        chosen = as_list(turn_ids)
        sql = f"""
            SELECT turn_id AS id FROM comparisons WHERE asked_turn_id {IN}
            UNION SELECT copy.id FROM turns AS copy JOIN conversations ON conversations.id = copy.conversation_id
            WHERE conversations.origin = 'rate' AND copy.prompt IN (
                SELECT turns.prompt FROM turns JOIN conversations AS own ON own.id = turns.conversation_id
                WHERE turns.id {IN} AND own.origin != 'rate')
        """
        return self._ids(sql, [chosen, chosen])

    def conversations_left_empty(self, turn_ids: Collection[int]) -> set[int]:
        """Those in which nothing is left once these turns are gone."""
        chosen = as_list(turn_ids)
        sql = f"""
            SELECT DISTINCT conversation_id AS id FROM turns WHERE id {IN} AND NOT EXISTS (
                SELECT 1 FROM turns AS other WHERE other.conversation_id = turns.conversation_id AND NOT other.id {IN})
        """
        return self._ids(sql, [chosen, chosen])

    def drafts_of(self, turn_ids: Collection[int]) -> set[int]:
        return self._ids(f"SELECT id FROM drafts WHERE turn_id {IN}", [as_list(turn_ids)])

    def acts_of(self, turn_ids: Collection[int]) -> set[int]:
        return self._ids(f"SELECT id FROM feedback WHERE turn_id {IN}", [as_list(turn_ids)])

    def acts_undoing(self, act_ids: Collection[int]) -> set[int]:
        """These acts, those that undo them, those that undo the undoing, and so on."""
        sql = f"""
            WITH RECURSIVE gone(id) AS (
                SELECT id FROM feedback WHERE id {IN}
                UNION SELECT feedback.id FROM feedback JOIN gone ON feedback.undoes_id = gone.id)
            SELECT id FROM gone
        """
        return self._ids(sql, [as_list(act_ids)])

    def turns_written_for(self, draft_ids: Collection[int]) -> set[int]:
        return self._ids(f"SELECT DISTINCT turn_id AS id FROM drafts WHERE id {IN}", [as_list(draft_ids)])

    def turns_acted_on(self, act_ids: Collection[int]) -> set[int]:
        return self._ids(f"SELECT DISTINCT turn_id AS id FROM feedback WHERE id {IN}", [as_list(act_ids)])

    def whole_turns(self, turn_ids: Collection[int] | None = None) -> Iterator[tuple[Turn, list[Draft], list[Act]]]:
        """These turns (None: all) with their drafts and acts, oldest first, in three queries."""
        chosen, which = ([], "") if turn_ids is None else ([as_list(turn_ids)], f"WHERE turn_id {IN}")
        drafts: dict[int, list[Draft]] = {}
        for row in self._rows(f"SELECT * FROM drafts {which} ORDER BY id", chosen):
            drafts.setdefault(row["turn_id"], []).append(draft_of(row))
        # A condition that holds for every row: what is wanted here are the acts of all turns, whatever they are.
        acts = self._acts_by_turn(f"turn_id {IN}" if chosen else "1", chosen)
        for row in self._rows(f"SELECT * FROM turns {which.replace('turn_id', 'id')} ORDER BY id", chosen):
            yield turn_of(row), drafts.get(row["id"], []), acts.get(row["id"], [])

    def titles(self) -> dict[int, str]:
        """Of all conversations, deleted ones too."""
        return {row["id"]: row["title"] for row in self._rows("SELECT id, title FROM conversations", [])}

    def branch_points(self) -> dict[int, int]:
        """By conversation: the turn before which it branched off."""
        sql = "SELECT id, branched_before_turn_id AS turn FROM conversations WHERE branched_before_turn_id IS NOT NULL"
        return {row["id"]: row["turn"] for row in self._rows(sql, [])}

    def _ids(self, sql: str, values: Sequence[Any]) -> set[int]:
        return {int(next(iter(row.values()))) for row in self._rows(sql, values)}

    def _define(self, name: str, holds: Callable[[str], bool]) -> None:
        with self._lock:
            self._db.conn.create_function(name, 1, lambda text: bool(text) and holds(text), deterministic=True)


def as_list(values: Iterable[object]) -> str:
    """For `IN`, however many there are."""
    return json.dumps(list(values))

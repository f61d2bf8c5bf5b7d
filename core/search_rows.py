"""Full-text search over everything that was asked, written and edited. Knows no query language but words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.answer_rows import AnswerRows
from core.feedback import in_force

MARK_START, MARK_END = "\x02", "\x03"
"""Around each found word of a snippet."""
SNIPPET_WORDS = 16
ONE_LETTER = len('"a"*')
"""Characters of a query's last word while that has one letter."""

FoundIn = Literal["prompt", "own version", "draft", "title"]

_SOURCES: dict[FoundIn, str] = {
    "prompt": "turns_fts JOIN turns ON turns.id = turns_fts.rowid",
    "own version": "feedback_fts JOIN feedback ON feedback.id = feedback_fts.rowid "
    "JOIN turns ON turns.id = feedback.turn_id",
    "draft": "drafts_fts JOIN drafts ON drafts.id = drafts_fts.rowid JOIN turns ON turns.id = drafts.turn_id",
    "title": "conversations_fts JOIN (SELECT NULL AS id, NULL AS created_utc) AS turns",
}
"""By what tells the person most: where a turn is found several times, the first one is shown."""


@dataclass(frozen=True)
class Found:
    """A turn in which all words were found, or a conversation with them in its title."""

    conversation_id: int
    turn_id: int | None
    """None: in the title."""
    title: str
    where: FoundIn
    snippet: str
    created_utc: str


class SearchRows(AnswerRows):
    """Search in what was not deleted. Texts that were put aside with their turn are not shown either."""

    def search(self, typed: str, *, limit: int = 50) -> list[Found]:
        """What holds all the words, the last one perhaps half typed; newest first.

        While the last word is a single letter, drafts are looked through only if prompts and own versions have too few.
        """
        words = quoted_words(typed)
        if not words:
            return []
        found: dict[tuple[int, int | None], Found] = {}
        for where, source in _SOURCES.items():
            # Nearly every draft has such a word: a tenth of a second for 200,000 of them, at the first key of a search.
            if where == "draft" and len(found) >= limit and len(words.split()[-1]) == ONE_LETTER:
                continue
            for row in self._rows(_search_in(source), [words, limit]):
                hit = Found(where=where, **row)
                found.setdefault((hit.conversation_id, hit.turn_id), hit)
        in_turns = {hit.conversation_id for hit in found.values() if hit.turn_id is not None}
        put_aside = self._put_aside([turn_id for _, turn_id in found if turn_id is not None])
        kept = [
            hit
            for hit in found.values()
            if hit.turn_id not in put_aside and not (hit.turn_id is None and hit.conversation_id in in_turns)
        ]
        return sorted(kept, key=lambda hit: (hit.created_utc, hit.turn_id or 0), reverse=True)[:limit]

    def _put_aside(self, turn_ids: list[int]) -> set[int]:
        """Those whose answer in force is a skip."""
        marks = ", ".join("?" * len(turn_ids))
        answers = {
            turn_id: [act.kind for act in in_force(acts) if act.is_answer]
            for turn_id, acts in self._acts_by_turn(f"turn_id IN ({marks})", turn_ids).items()
        }
        return {turn_id for turn_id, kinds in answers.items() if kinds[-1:] == ["skip"]}


def quoted_words(typed: str) -> str:
    """Typed words as an FTS5 query that matches texts with all of them; empty when there is nothing to look for.

    Everything is quoted, so that no character has a meaning there, and the last word may go on.
    """
    clean = typed.replace("\x00", " ").encode("utf-8", "ignore").decode("utf-8")
    words = [word.replace('"', '""') for word in clean.split() if any(letter.isalnum() for letter in word)]
    return " ".join(f'"{word}"' for word in words) + "*" if words else ""


def _search_in(source: str) -> str:
    table = source.partition(" ")[0]
    is_title = table == "conversations_fts"
    conversation = f"{table}.rowid" if is_title else "turns.conversation_id"
    return f"""
        SELECT conversations.id AS conversation_id, turns.id AS turn_id, conversations.title AS title,
            snippet({table}, 0, '{MARK_START}', '{MARK_END}', '…', {SNIPPET_WORDS}) AS snippet,
            coalesce(turns.created_utc, conversations.created_utc) AS created_utc
        FROM {source} JOIN conversations ON conversations.id = {conversation}
        WHERE {table} MATCH ? AND conversations.deleted_utc IS NULL AND conversations.origin != 'demo'
        ORDER BY {table}.rowid DESC LIMIT ?
    """

"""What each turn taught and what was kept of it, so that neither is read out of all acts again and again.

A digest follows from the messages, drafts and acts of its turn alone. Before one is asked for, those of the turns that
were acted on since are made anew: one turn after an answer, whatever else the store holds.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date
from typing import Any

from core.answer_rows import AnswerRows
from core.conversation_rows import NOT_LEARNED_FROM, Turn
from core.evidence import evidence_of_turn, lessons
from core.feedback import Act, Draft, edit_distance, in_force

RULES = 1
"""Raised whenever `core.evidence` counts otherwise or `changed` is measured otherwise: all digests are made anew."""
ACTS_AT_ONCE = 1000
"""So many are digested in one transaction: a tenth of a second, for which other programs may have to wait."""
ONE_AT_A_TIME = threading.Lock()
PATIENCE_S = 0.5
"""Nobody waits longer for another thread's digests: all of a large store take seconds, once, and then some will do."""
COUNTED = f"""turn_id NOT IN (
    SELECT turns.id FROM conversations JOIN turns ON turns.conversation_id = conversations.id WHERE {NOT_LEARNED_FROM}
)"""


@dataclass(frozen=True)
class EditWeek:
    """How much of PenPal's drafts the person changed before keeping them, in one week."""

    monday: date
    personal: bool
    """Drafts of a voice of their own; else of the generic one."""
    kept: int
    changed: float
    """Mean share of words: 0 kept as it was, 1 nothing left."""


class DigestRows(AnswerRows):
    """Counts and curves over all turns, in SQL over digests."""

    def count_lessons(self, *, backbone_id: str | None = None) -> int:
        """What `lessons(self.evidence(...))` is, without reading everything again."""
        self._digest_news()
        rows = self._rows(
            f"SELECT coalesce(sum(lessons), 0) AS n FROM digests WHERE backbone_id = coalesce(?, backbone_id) "
            f"AND {COUNTED}",
            [backbone_id],
        )
        return int(rows[0]["n"])

    def edit_weeks(self, *, since: date) -> list[EditWeek]:
        """Of the weeks from `since` on, oldest first; personal and generic drafts apart."""
        self._digest_news()
        rows = self._rows(
            f"""
            SELECT date(kept_utc, 'localtime', 'weekday 0', '-6 days') AS monday,
                kept_encoder_id IS NOT NULL AS personal, count(*) AS kept, avg(changed) AS changed
            FROM digests WHERE changed IS NOT NULL AND kept_utc >= ? AND {COUNTED} GROUP BY 1, 2 ORDER BY 1, 2
            """,
            [since.isoformat()],
        )
        return [
            EditWeek(date.fromisoformat(row["monday"]), bool(row["personal"]), row["kept"], row["changed"])
            for row in rows
        ]

    def kept_texts(self, *, limit: int) -> list[str]:
        """What the person kept, in their own version, newest first."""
        self._digest_news()
        rows = self._rows(
            f"SELECT text FROM digests JOIN feedback ON feedback.id = kept_act WHERE kept_act IS NOT NULL "
            f"AND digests.{COUNTED} ORDER BY kept_act DESC LIMIT ?",
            [limit],
        )
        return [str(row["text"]) for row in rows]

    def drafts_of_voice(self, encoder_id: str | None, *, limit: int) -> list[str]:
        """The newest finished drafts that this voice (None: the generic one) wrote."""
        rows = self._rows(
            "SELECT text FROM drafts WHERE encoder_id IS ? AND status = 'done' AND text != '' ORDER BY id DESC LIMIT ?",
            [encoder_id, limit],
        )
        return [str(row["text"]) for row in rows]

    def _digest_news(self) -> None:
        """Makes the digests of all turns that were acted on since the last time."""
        if ONE_AT_A_TIME.acquire(timeout=PATIENCE_S):
            try:
                self._digest_all_news()
            finally:
                ONE_AT_A_TIME.release()

    def _digest_all_news(self) -> None:
        newest = self.last_act_id()
        rows = self._rows("SELECT max(seen_act) AS seen FROM digests WHERE rules = ?", [RULES])
        seen = int(rows[0]["seen"] or 0)
        while seen < newest:
            until = min(seen + ACTS_AT_ONCE, newest)
            made = [_digest(*answered, until) for answered in self._answered_turns(seen, until_act=until)]
            names = ", ".join(made[0]) if made else ""
            with self._transaction() as db:
                for digest in made:
                    marks = ", ".join("?" * len(digest))
                    db.execute(f"INSERT OR REPLACE INTO digests ({names}) VALUES ({marks})", list(digest.values()))
            seen = until


def _digest(turn: Turn, drafts: list[Draft], acts: list[Act], seen_act: int) -> dict[str, Any]:
    by_id = {draft.id: draft for draft in drafts}
    backbones = {draft.backbone_id for draft in drafts}
    kept = next((act for act in reversed(in_force(acts)) if act.kind == "accept" and act.draft_id in by_id), None)
    source = by_id[kept.draft_id or 0] if kept else None
    measured = kept is not None and source is not None and source.is_done
    return {
        "turn_id": turn.id,
        "rules": RULES,
        "seen_act": seen_act,
        "backbone_id": backbones.pop() if len(backbones) == 1 else None,
        "lessons": lessons(evidence_of_turn(turn.messages, drafts, acts, context=turn.context)),
        "kept_act": kept.id if kept else None,
        "kept_utc": kept.created_utc if kept else None,
        "kept_encoder_id": source.encoder_id if source else None,
        "changed": edit_distance(source.text, kept.text or "") if measured and source and kept else None,
    }

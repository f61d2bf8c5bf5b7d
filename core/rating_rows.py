"""What the person answered in `rate` over all sessions: sides, days, and texts they have seen."""

from __future__ import annotations

from datetime import date, datetime

from core.answer_rows import AnswerRows
from core.feedback import in_force


class RatingRows(AnswerRows):
    """Queries about blind answers: those that know which draft stood on the left."""

    def sides(self) -> tuple[int, int]:
        """How often the left and how often the right draft was chosen, picks taken back left out."""
        left = right = 0
        for acts in self._acts_by_turn("left_draft_id IS NOT NULL", []).values():
            for act in in_force(acts):
                if act.kind == "pick" and act.left_draft_id is not None:
                    left += act.draft_id == act.left_draft_id
                    right += act.draft_id != act.left_draft_id
        return left, right

    def rating_days(self) -> set[date]:
        """The days, in local time, on which something was answered blind."""
        hours = self._rows(
            "SELECT DISTINCT substr(created_utc, 1, 13) AS hour FROM feedback WHERE left_draft_id IS NOT NULL", []
        )
        # An hour is as fine as a time zone needs; but for the few that are off by half of one.
        return {datetime.fromisoformat(f"{row['hour']}:30:00+00:00").astimezone().date() for row in hours}

    def rated_texts(self) -> set[frozenset[str]]:
        """The two texts of each pair that was brought along and answered; answers taken back count as none."""
        rated = "SELECT t.id FROM turns t JOIN conversations c ON c.id = t.conversation_id WHERE c.origin = 'rate'"
        acts = self._acts_by_turn(f"turn_id IN ({rated})", [])
        answered = [turn_id for turn_id, said in acts.items() if in_force(said)]
        texts: dict[int, set[str]] = {}
        for row in self._rows("SELECT turn_id, text FROM drafts WHERE z IS NULL AND tokens = 0", []):
            texts.setdefault(row["turn_id"], set()).add(row["text"])
        return {frozenset(texts[turn_id]) for turn_id in answered if turn_id in texts}

"""One sitting of `rate`: the answers given so far, and what they come to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from app.tui.pair_maker import RatedPair
from core.feedback import ActKind, Strength
from core.rating import NONE, Share, Tally, active_seconds, days_in_a_row
from core.session import Writer
from core.store import Store

AnswerKind = Literal["left", "right", "tie", "both_bad", "skip", "edit"]
AGAIN_AFTER_ANSWERS, AGAIN_AFTER_PAIRS = 8, 6
"""A pair is asked again once so many are answered, and so many after it: nobody should remember it."""
PACE_OF = 5
"""Answers before a pace is told."""


@dataclass(frozen=True)
class Reply:
    """What the person says about a pair."""

    kind: AnswerKind
    strength: Strength | None = None
    note: str | None = None
    edited: tuple[int, str] | None = None
    """The draft they wrote anew, and their version."""

    def record(self, writer: Writer, pair: RatedPair) -> int | None:
        """Stores it and returns the act; None for an edit that changes nothing."""
        recorder, left, again = writer.recorder, pair.shown[0].id, pair.again
        if self.edited is not None:
            return recorder.edit(*self.edited, note=self.note)
        if self.kind in ("left", "right"):
            chosen = pair.shown[self.kind == "right"].id
            return recorder.pick(
                chosen, left_draft_id=left, again=again, note=self.note, strength=self.strength or "slight"
            )
        judged: ActKind = "tie" if self.kind == "tie" else "both_bad" if self.kind == "both_bad" else "skip"
        return recorder.judge(pair.turn_id, judged, left_draft_id=left, again=again, note=self.note)


@dataclass(frozen=True)
class Answer:
    """A pair that was answered, with the act that says so."""

    pair: RatedPair
    reply: Reply
    act_id: int
    at: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> AnswerKind:
        return self.reply.kind

    @property
    def chosen(self) -> int | None:
        """The side that was chosen, 0 or 1, if one was."""
        return int(self.kind == "right") if self.kind in ("left", "right") else None

    @property
    def chosen_id(self) -> int | None:
        """The draft that was chosen, if one was."""
        return None if self.chosen is None else self.pair.shown[self.chosen].id


class RatingSession:
    """Grows by answers; the last one can be taken off again."""

    def __init__(self, goal: int) -> None:
        self.goal = goal
        self.answers: list[Answer] = []
        self.started: float | None = None
        """When the first pair was shown."""

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def to_ask_again(self) -> list[RatedPair]:
        """Old pairs of which one side was chosen."""
        if len(self.answers) < AGAIN_AFTER_ANSWERS:
            return []
        return [a.pair for a in self.answers[:-AGAIN_AFTER_PAIRS] if a.chosen is not None and not a.pair.again]

    @property
    def seconds(self) -> float:
        """Time spent on pairs."""
        if self.started is None:
            return 0.0
        return active_seconds([self.started, *(answer.at for answer in self.answers)], now=time.monotonic())

    @property
    def per_minute(self) -> float | None:
        """Answers a minute; None while there are too few to tell."""
        if self.started is None or len(self.answers) < PACE_OF:
            return None
        spent = active_seconds([self.started, *(answer.at for answer in self.answers)], now=self.answers[-1].at)
        return 60 * len(self.answers) / max(spent, 1.0)

    def tally(self) -> Tally:
        """What the answers come to."""
        chosen = [answer for answer in self.answers if answer.chosen is not None]
        first = {answer.pair.turn_id: answer.chosen_id for answer in chosen if not answer.pair.again}
        again = [answer for answer in chosen if answer.pair.again and answer.pair.turn_id in first]
        guessed = [answer for answer in chosen if answer.pair.expected is not None and not answer.pair.again]
        return Tally(
            choices=Share(len(chosen), len(self.answers)),
            left=Share(sum(answer.chosen == 0 for answer in chosen), len(chosen)),
            same=Share(sum(answer.chosen_id == first[answer.pair.turn_id] for answer in again), len(again)),
            foreseen=Share(sum(answer.chosen == answer.pair.expected for answer in guessed), len(guessed)),
        )


@dataclass(frozen=True)
class History:
    """What earlier sessions came to."""

    left: Share = NONE
    same: Share = NONE
    days_in_a_row: int = 0


def history_of(store: Store) -> History:
    """Everything that was answered blind so far."""
    left, right = store.sides()
    repeats = store.repeats()
    streak = days_in_a_row(store.rating_days(), today=datetime.now().astimezone().date())
    return History(Share(left, left + right), Share(repeats.same, repeats.same + repeats.different), streak)

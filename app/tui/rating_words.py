"""How PenPal speaks about a rating session: what is done, what is still to do, how consistent it was."""

from __future__ import annotations

from collections import Counter

from app.tui.rating_session import Answer, History, RatingSession
from app.tui.wording import counted
from core.rating import Tally

SAID = {"left": "left", "right": "right", "tie": "a tie", "both_bad": "both bad", "skip": "skipped", "edit": "edited"}
BAR = 10
A_LEANING = 0.15
"""So far from half of all choices, one side is favoured; with fewer than `MIN_SIDES` it could be chance."""
MIN_SIDES = 20


def said(answer: Answer) -> str:
    """An answer in a few words."""
    words = SAID[answer.kind]
    if answer.reply.strength == "clear":
        words = f"clearly {words}"
    return f"{words}, {answer.reply.note}" if answer.reply.note else words


def goal_words(session: RatingSession) -> str:
    """How far the session is: a bar, the count and the time."""
    done = min(BAR, BAR * len(session) // session.goal) if session.goal else BAR
    time = f" · {duration(session.seconds)}" if session.seconds >= 60 else ""
    return f"{'▰' * done}{'▱' * (BAR - done)} {len(session)} of {session.goal}{time}"


def duration(seconds: float) -> str:
    """'under a minute', '3 min', '1 h 5 min'."""
    minutes = int(seconds // 60)
    if minutes == 0:
        return "under a minute"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def until_it_matters(lessons: int, more: int | None) -> str:
    """'14 pairs, about 10 more until it matters'."""
    pairs = counted(lessons, "pair")
    if more is None:
        return pairs
    return f"{pairs}, about {more} more until it matters" if more else f"{pairs}, enough to learn from tonight"


def foresight(tally: Tally) -> str:
    """How often PenPal had expected the answer; empty before it expected anything."""
    foreseen = tally.foreseen
    return f"PenPal foresaw {foreseen.count} of {foreseen.of}" if foreseen.of else ""


def details(session: RatingSession, history: History, matters: str) -> list[tuple[str, str]]:
    """The panel's lines: what is counted, and what it comes to."""
    tally = session.tally()
    same, left, ceiling = tally.same + history.same, tally.left + history.left, tally.ceiling
    pace = session.per_minute
    lines = [
        ("this session", f"{counted(len(session), 'answer')} in {duration(session.seconds)}"),
        ("pace", f"{pace:.0f} a minute" if pace else "told after a few answers"),
        ("in all", matters),
        ("foreseen", f"{tally.foreseen.count} of {counted(tally.foreseen.of, 'choice')}" if tally.foreseen.of else "-"),
        (
            "you agree with yourself",
            f"{same.count} of {counted(same.of, 'time')}" if same.of else "told once a pair was asked again",
        ),
        ("left or right", _sides(left.count, left.of)),
    ]
    if ceiling is not None:
        lines.insert(5, ("so at most", f"about {ceiling:.0%} can be foreseen"))
    if history.days_in_a_row > 1:
        lines.append(("days in a row", str(history.days_in_a_row)))
    return lines


def summary(session: RatingSession, days_in_a_row: int = 0) -> str:
    """The closing lines."""
    answers = session.answers
    if not answers:
        return "Nothing answered this time."
    kinds = Counter("choice" if a.chosen is not None else a.kind for a in answers)
    names = {"both_bad": "both bad", "skip": "skipped"}
    parts = ", ".join(f"{n} {names[kind]}" if kind in names else counted(n, kind) for kind, n in kinds.items())
    tally = session.tally()
    lines = [f"{len(answers)} answered in {duration(session.seconds)} ({parts})."]
    told = []
    if tally.foreseen.of:
        told.append(f"PenPal foresaw {tally.foreseen.count} of {counted(tally.foreseen.of, 'choice')}")
    if tally.same.of:
        told.append(f"asked again, you chose the same {tally.same.count} of {counted(tally.same.of, 'time')}")
    if told:
        ceiling = f", so about {tally.ceiling:.0%} is the most it can foresee" if tally.ceiling is not None else ""
        lines.append(f"{'; '.join(told)}{ceiling}.".replace("asked", "Asked", 0 if tally.foreseen.of else 1))
    if tally.left.of >= MIN_SIDES:
        lines.append(f"Sides: {_sides(tally.left.count, tally.left.of)}.")
    if days_in_a_row > 1:
        lines.append(f"{days_in_a_row} days in a row.")
    lines.append("'penpal personalize' learns from them.")
    return "\n".join(lines)


def _sides(left: int, choices: int) -> str:
    if not choices:
        return "told once you have chosen"
    share = left / choices
    told = f"you chose the left one {share:.0%} of the time"
    if choices < MIN_SIDES:
        return told
    return f"{told}, {'which is even' if abs(share - 0.5) < A_LEANING else 'look at both before you choose'}"

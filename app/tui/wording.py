"""How PenPal says small things: counts, edits, errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.newest_run import headline
from core.errors import PenPalError
from core.feedback import ActKind, changed_words, words
from core.store import EncoderRecord

TAKEN_BACK: dict[ActKind, str] = {
    "accept": "that you kept it", "pick": "that you picked it", "edit": "your version", "redo": "the new drafts",
    "star": "the star", "tie": "as good as each other", "both_bad": "both bad", "skip": "that you put it aside",
}  # fmt: skip
"""What an undo takes back, by the kind of act."""
WHERE_FOUND = {"prompt": "you asked", "own version": "you wrote", "draft": "a draft", "title": "the name"}


def counted(count: int, noun: str) -> str:
    """'1 word', '2 words'."""
    return f"{count} {noun}{'s' * (count != 1)}"


def count_words(text: str) -> str:
    """'42 words'."""
    return counted(len(words(text)), "word")


def diff_words(before: str, after: str) -> str:
    """An edit in a few words: '+3 −2 words'."""
    added, removed = changed_words(before, after)
    return f"+{added} −{removed} words" if added or removed else "unchanged"


def since_when(created_utc: str, *, now: datetime | None = None) -> str:
    """A past moment as people say it: 'last night', 'today', 'yesterday', 'on 20 Nov 2026'."""
    when = datetime.fromisoformat(created_utc).astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    night = when.date() if when.hour < 7 else when.date() + timedelta(days=1) if when.hour >= 20 else None
    if night == today:
        return "last night"
    days = {today: "today", today - timedelta(days=1): "yesterday"}
    return days.get(when.date(), f"on {when:%d %b %Y}")


def day_of(created_utc: str) -> str:
    """The local day, or the time when it is today."""
    when = datetime.fromisoformat(created_utc).astimezone()
    return f"today {when:%H:%M}" if when.date() == datetime.now().astimezone().date() else f"{when:%d %b %Y}"


def as_news(run: EncoderRecord) -> str:
    """A run that is new to the person, in one line; `with_keys` names the key in it."""
    return f"{headline(run, since_when(run.created_utc))} {{app.learning}} shows more."


def in_words(error: Exception) -> str:
    """An error as one line. What is not meant for the person is PenPal's own mistake, and says so."""
    if isinstance(error, PenPalError):
        return str(error)
    return f"PenPal made a mistake ({type(error).__name__}: {error}). What was stored is safe; please report it."

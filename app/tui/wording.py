"""How PenPal says small things: counts, edits, errors."""

from __future__ import annotations

from core.errors import PenPalError
from core.feedback import changed_words, words


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


def in_words(error: Exception) -> str:
    """An error as one line. What is not meant for the person is PenPal's own mistake, and says so."""
    if isinstance(error, PenPalError):
        return str(error)
    return f"PenPal made a mistake ({type(error).__name__}: {error}). What was stored is safe; please report it."

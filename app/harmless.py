"""Text that a terminal shows and never obeys: whatever was pasted, imported or written by a model."""

from __future__ import annotations

import re

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, those of 8 bits too; a tab and a line break may stay
    "\u202a-\u202e\u2066-\u2069]"  # turn the direction of all that follows on the line; letters turn by themselves
)
_NOT_TEXT = re.compile("[\ud800-\udfff]")
"""Halves of characters, which can be neither stored nor drawn."""


def harmless(text: str) -> str:
    """The text without what moves a cursor, colours a line, sounds a bell or turns the direction of writing.

    Of an escape sequence its letters stay, where they can be seen. The result takes as many columns as before.
    """
    if text.isascii() and text.isprintable():
        return text
    return whole(_OBEYED.sub("", text))


def whole(text: str) -> str:
    """The text to the letter, where it is text: a half of a character, as JSON may have it, becomes a sign for it."""
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def escaped(json: str) -> str:
    """The same for JSON, which stays the value that it was."""
    return _NOT_TEXT.sub(_as_number, _OBEYED.sub(_as_number, json))


def _as_number(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def pasted(text: str) -> str:
    """The same for a paste, whose lines may end as on any system."""
    return harmless(text.replace("\r\n", "\n").replace("\r", "\n"))

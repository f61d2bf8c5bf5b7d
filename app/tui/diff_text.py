"""Changes as text to look at: what is not in the result is struck through and dim, what is new bold and underlined.

So it can be read without colour, and on terminals that cannot strike through.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from textual.content import Content

from core.word_diff import Piece

GONE = "$error dim strike"
NEW = "$accent bold underline"
HERE = "$accent reverse"
CONTEXT_WORDS = 4
"""Unchanged words shown on either side of a change, where there is not room for all."""
Part = tuple[str, str]
"""A text and its style."""
BREAK = "¶"
BREAKS = re.compile(r"\n\s*")


def excerpt(pieces: Sequence[Piece], cursor: int) -> tuple[Content, int]:
    """The changes and a few words around each, in one paragraph, and where in it the change before the cursor begins.

    `cursor`: an offset in the text after the changes.
    """
    parts: list[Part] = []
    read = begins = 0
    for i, piece in enumerate(pieces):
        if not piece.changed:
            parts.append((_shortened(piece.after, first=i == 0, last=i == len(pieces) - 1), ""))
        else:
            begins = len(parts) if read <= cursor else begins
            parts += _both(_with_breaks_in_line(piece.before), _with_breaks_in_line(piece.after))
        read += len(piece.after)
    return _joined(parts, begins)


def review(pieces: Sequence[Piece], accepted: Collection[int], here: int) -> tuple[Content, int]:
    """The whole text with a mark before each change, and where the change `here` begins."""
    parts: list[Part] = []
    begins = 0
    for i, piece in enumerate(pieces):
        if not piece.changed:
            parts.append((piece.after, ""))
            continue
        if i == here:
            begins = len(parts)
        mark = "✓" if i in accepted else "✗"
        parts.append((f"▸{mark}", HERE) if i == here else (mark, "$dim"))
        gone, there, style = (piece.before, piece.after, NEW) if i in accepted else (piece.after, piece.before, "")
        parts += _both(_with_breaks_in_line(gone), _with_marked_breaks(there), new=style)
    return _joined(parts, begins)


def line_of(text: Content, offset: int, width: int) -> int:
    """On which line an offset stands when the text is wrapped."""
    return max(0, len(Content(text.plain[:offset]).wrap(max(1, width))) - 1)


def _joined(parts: Sequence[Part], begins: int) -> tuple[Content, int]:
    """All parts as one text, and the offset of one of them."""
    return Content.assemble(*parts), sum(len(text) for text, _ in parts[:begins])


def _both(gone: str, there: str, *, new: str = NEW) -> list[Part]:
    """Styles end before the white space that follows: a line under a gap reads as a blank to fill in."""
    parts: list[Part] = []
    for text, style in ((gone, GONE), (there, new)):
        words = text.rstrip()
        if words:
            parts += [(words, style), (text[len(words) :] or " ", "")]
    return parts


def _with_breaks_in_line(text: str) -> str:
    return " ".join(BREAKS.sub(f" {BREAK} ", text).split()) + " " * bool(text)


def _with_marked_breaks(text: str) -> str:
    """A line break that comes or goes must be seen."""
    return BREAKS.sub(lambda found: f"{BREAK}{found[0]}", text)


def _shortened(text: str, *, first: bool, last: bool) -> str:
    words = text.split()
    before = [] if first else words[:CONTEXT_WORDS]
    after = [] if last else words[max(len(before), len(words) - CONTEXT_WORDS) :]
    shown = [*before, *["…"] * (len(before) + len(after) < len(words)), *after]
    return " ".join(shown) + " "

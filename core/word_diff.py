"""What changed between two texts, word by word, and a text made of some of the changes. Pure values."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

TOKEN = re.compile(r"\n\s*|\S+[^\S\n]*|[^\S\n]+")
"""A line break with all white space after it, or a word with the spaces after it."""
LINKING_CHARACTERS = 3
"""A single unchanged word this short between two changes ('the', 'to') is read as part of one change."""


@dataclass(frozen=True)
class Piece:
    """A stretch of both texts: a change from one to the other, or words that are the same in both."""

    before: str
    after: str
    changed: bool


def word_diff(before: str, after: str) -> tuple[Piece, ...]:
    """Both texts in pieces, in their order. Spaces between words and at the end are no change; line breaks are."""
    old, new = TOKEN.findall(before.rstrip()), TOKEN.findall(after.rstrip())
    spans: list[tuple[bool, int, int, int, int]] = []
    for code in Levenshtein.opcodes([_key(token) for token in old], [_key(token) for token in new]):
        changed = code.tag != "equal"
        start = (code.src_start, code.dest_start)
        if changed and spans and spans[-1][0]:
            start = (spans[-1][1], spans[-1][3])
            spans.pop()
        elif changed and len(spans) > 1 and _links(old[spans[-1][1] : spans[-1][2]]):
            start = (spans[-2][1], spans[-2][3])
            del spans[-2:]
        spans.append((changed, start[0], code.src_end, start[1], code.dest_end))
    return tuple(Piece("".join(old[a:b]), "".join(new[c:d]), changed) for changed, a, b, c, d in spans)


def changes(pieces: Sequence[Piece]) -> list[int]:
    """Where the changes are among the pieces."""
    return [i for i, piece in enumerate(pieces) if piece.changed]


def put_together(pieces: Sequence[Piece], accepted: Collection[int]) -> str:
    """The text with only those changes whose places are given."""
    text = ""
    for i, piece in enumerate(pieces):
        # The space after an unchanged word belongs to what comes next: rejecting that must not glue or part words.
        decides = i if piece.changed else min(i + 1, len(pieces) - 1)
        rejected = pieces[decides].changed and decides not in accepted
        text += piece.before if rejected else piece.after
    return text.rstrip()


def _key(token: str) -> str:
    """What two tokens are compared by."""
    breaks = token.count("\n")
    return "\n" * min(breaks, 2) if breaks else token.rstrip() or " "


def _links(words: Sequence[str]) -> bool:
    """Too little between two changes to set them apart."""
    return len(words) == 1 and len(words[0].strip()) <= LINKING_CHARACTERS and "\n" not in words[0]

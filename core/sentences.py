"""A text as sentences that can be taken over into another one and out of it again. Pure values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

SENTENCE = re.compile(r"\S[^\n]*?(?:[.!?…]+[\"'”’»)\]]*(?=\s|\Z)|(?=\n|\Z))")
"""Up to a full stop before white space, or to the end of the line: '3.5' and 'penpal.toml' are no ends."""


@dataclass(frozen=True)
class Sentence:
    """One sentence, on one line, and what parts it from its neighbours."""

    text: str
    before: str = ""
    """A space, a line break, or an empty line; nothing before the first one."""
    after: str = ""


def sentences(text: str) -> list[str]:
    """The sentences of a text in their order, each on one line."""
    return [_on_one_line(found) for found in SENTENCE.findall(text)]


def with_breaks(text: str) -> list[Sentence]:
    """The sentences of a text, with what stands between them."""
    found = list(SENTENCE.finditer(text))
    gaps = ["", *(_gap(text[one.end() : other.start()]) for one, other in pairwise(found)), ""]
    return [Sentence(_on_one_line(one[0]), gaps[i], gaps[i + 1]) for i, one in enumerate(found)]


def takes_over(text: str, sentence: str) -> bool:
    """Whether a sentence stands in a text word for word."""
    return f" {_on_one_line(sentence)} " in f" {_on_one_line(text)} "


def take_in(text: str, at: int, sentence: Sentence, *, after: str = "") -> tuple[str, int]:
    """The text with a sentence put in at an offset, and the offset behind it.

    `after`: what stood behind the sentence before it, where that came from.
    """
    left, right = text[:at].rstrip(), text[at:].lstrip()
    parted = max(" ", sentence.before, after, key=_breaks) if left else ""
    rest = _gap(text[len(left) : len(text) - len(right)]) if right else ""
    start = f"{left}{parted}{sentence.text}"
    return f"{start}{rest}{right}", len(start)


def take_out(text: str, sentence: str) -> str:
    """The text without a sentence that stands in it."""
    words = r"\s+".join(map(re.escape, sentence.split()))
    found = re.search(rf"(?P<before>\s*)(?<!\S){words}(?!\S)(?P<after>\s*)", text)
    if found is None:
        return text
    left, right = text[: found.start()], text[found.end() :]
    gap = max(_gap(found["before"]), _gap(found["after"]), key=_breaks) if left and right else ""
    return f"{left}{gap}{right}"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _gap(space: str) -> str:
    """White space as a space, a line break or an empty line."""
    return ("\n" * min(2, _breaks(space))) or " "


def _breaks(space: str) -> int:
    return space.count("\n")

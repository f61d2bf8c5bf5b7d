"""A file of pairs that a person brings along: a prompt and two texts on each line."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from app.cli.prompts import json_lines
from app.pair_sources import FoundPair
from core.errors import UsageError

LONGEST_TEXT = 8_000
"""Characters: nobody compares longer ones at a glance, and PenPal reads only the first thousand or so."""
SIDES = (("a", "b"), ("chosen", "rejected"))


def read_pairs(path: Path) -> list[FoundPair]:
    """The pairs of a .jsonl file, each once. Pairs of the same text twice are left out.

    Fields: `prompt` with `a` and `b`, or with `chosen` and `rejected` as TRL has them, which are shown as blindly.
    Each may be a text or a list of chat messages, of which the last one counts. Raises UsageError, naming the line.
    """
    pairs = dict.fromkeys(_pair(value, where) for where, value in json_lines(path))
    different = [pair for pair in pairs if pair.texts[0].split() != pair.texts[1].split()]
    if not different:
        empty = "holds no pair" if not pairs else "holds no pair of two different texts"
        raise UsageError(f'{path} {empty}: put {{"prompt": ..., "a": ..., "b": ...}} on each line.')
    return different


def _pair(value: Any, where: str) -> FoundPair:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not an object with fields: it needs 'prompt', 'a' and 'b'.")
    named = next((sides for sides in SIDES if any(side in value for side in sides)), None)
    if named is None:
        raise UsageError(f"{where} has no two texts: it needs 'a' and 'b', or 'chosen' and 'rejected'.")
    first, second = (_text(value, side, where) for side in named)
    return FoundPair(_text(value, "prompt", where), (first, second))


def _text(value: dict[str, object], field: str, where: str) -> str:
    """The field's text; of chat messages the last one's."""
    found = value.get(field)
    if isinstance(found, list) and found and isinstance(found[-1], dict):
        found = found[-1].get("content")
    if not isinstance(found, str) or not found.strip():
        raise UsageError(f"{where} has no text in the field '{field}'.")
    if len(found) > LONGEST_TEXT:
        raise UsageError(f"{where} has {len(found)} characters in '{field}': at most {LONGEST_TEXT} can be compared.")
    return "".join(c for c in found if unicodedata.category(c) not in ("Cc", "Cs") or c in "\n\t").strip()

"""What lies in a home as bytes: where words can still be read, whatever the database says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def files_with(home: Path, words: Iterable[str]) -> dict[str, list[str]]:
    """By file, those of the words that are in it, in UTF-8 or UTF-16, as they are or in small letters."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for word in words:
            written = {form.encode(code) for form in (word, word.lower()) for code in ("utf-8", "utf-16-le")}
            if any(each in data for each in written):
                found.setdefault(path.relative_to(home).as_posix(), []).append(word)
    return found


def bytes_of(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())

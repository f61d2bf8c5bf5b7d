"""Rows of a benchmark, each kept on disk as soon as it is measured, so that a run goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
KEY = ("task", "taste", "method", "pairs", "seed")
"""What a row is about; the rest was measured."""


class RowLog:
    """JSON lines; one that a killed run left half-written is dropped."""

    def __init__(self, path: Path, common: Mapping[str, Any] | None = None) -> None:
        """`common` is added to every new row: versions and the like."""
        self._path, self._common = path, dict(common or {})
        self._rows: dict[tuple[Any, ...], Row] = {}
        if path.exists():
            whole = path.read_text(encoding="utf-8")
            kept = whole[: whole.rfind("\n") + 1]
            if kept != whole:
                path.write_text(kept, encoding="utf-8")
            for line in kept.splitlines():
                row = json.loads(line)
                self._rows[_key(row)] = row

    @property
    def rows(self) -> Sequence[Row]:
        """All, in the order in which they were measured first."""
        return list(self._rows.values())

    def known(self, **key: Any) -> Row | None:
        """The row about this, when it was measured before."""
        return self._rows.get(_key(key))

    def keep(self, row: Row) -> Row:
        """Remembers a row, on disk too."""
        row = {**row, **self._common}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
        self._rows[_key(row)] = row
        return row


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)

"""Rows of a benchmark, each kept on disk as soon as it is measured, so that a run goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
KEY = ("task", "taste", "method", "pairs", "seed")
"""What a row is about; the rest was measured. A row may lack some of them."""


class RowLog:
    """JSON lines; one that a killed run left half-written is dropped."""

    def __init__(self, path: Path, common: Mapping[str, Any] | None = None, *, about: Sequence[str] = KEY) -> None:
        """`common` is added to every new row: versions and the like. `about`: the names that tell rows apart."""
        self._path, self._common, self._about = path, dict(common or {}), about
        self._rows: dict[tuple[Any, ...], Row] = {}
        if path.exists():
            whole = path.read_text(encoding="utf-8")
            kept = whole[: whole.rfind("\n") + 1]
            if kept != whole:
                path.write_text(kept, encoding="utf-8")
            for line in kept.splitlines():
                row = json.loads(line)
                self._rows[self._key(row)] = row

    @property
    def rows(self) -> Sequence[Row]:
        """All, in the order in which they were measured first."""
        return list(self._rows.values())

    def known(self, **key: Any) -> Row | None:
        """The row about this, when it was measured before."""
        return self._rows.get(self._key(key))

    def keep(self, row: Row) -> Row:
        """Remembers a row, on disk too."""
        row = {**row, **self._common}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
        self._rows[self._key(row)] = row
        return row

    def _key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in self._about)

"""Every row that a person made, as JSON knows it: for `penpal data export`. One moment, whoever writes meanwhile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from core.database import read_only, readable_errors

CACHES = ("vectors", "digests")
"""Tables in which everything follows from other tables."""
JSON_COLUMNS = {("turns", "messages"), ("drafts", "z"), ("drafts", "sampling"), ("encoders", "report")}
TIMES = ("created_utc", "updated_utc")


class ExportedRows:
    """The tables of a database at one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def tables(self) -> list[str]:
        """All but caches, the search index, and what SQLite and the migrations keep for themselves."""
        rows = self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' "
            "AND name NOT LIKE '!_%' ESCAPE '!' AND name NOT LIKE '%!_fts%' ESCAPE '!' ORDER BY name"
        )
        return [name for (name,) in rows if name not in CACHES]

    def rows(self, table: str, *, since: str = "") -> Iterator[dict[str, Any]]:
        """Rows by their own time, which is compared as text; a table without a time has all of them."""
        time = next((column for column in TIMES if column in self._columns(table)), None)
        where = f"WHERE {time} >= ?" if time and since else ""
        for row in self._connection.execute(f"SELECT * FROM {table} {where}", [since] if where else []):
            yield {column: _value(table, column, row[column]) for column in row.keys()}  # noqa: SIM118 (not a dict)

    def _columns(self, table: str) -> list[str]:
        return [row["name"] for row in self._connection.execute(f"PRAGMA table_info({table})")]


@contextmanager
def exported_rows(path: Path) -> Iterator[ExportedRows]:
    """Raises StoreError."""
    with readable_errors(path), closing(read_only(path)) as connection:
        connection.row_factory = sqlite3.Row
        connection.isolation_level = None
        connection.execute("BEGIN")  # all reads from here on see the same moment
        yield ExportedRows(connection)


def _value(table: str, column: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return json.loads(value) if value is not None and (table, column) in JSON_COLUMNS else value

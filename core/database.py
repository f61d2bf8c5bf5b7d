"""The SQLite file itself: opened, migrated, locked, and its errors in words. Knows no table.

Groups of queries (`conversation_rows`, `answer_rows`, `encoder_rows`) extend it; `core.store.Store` is all of them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from core.errors import StoreError
from core.migrations import migrations

BUSY_TIMEOUT_S = 10.0


class DatabaseFile:
    """An open database. Safe to call from several threads; each call is one transaction."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        """Opens or creates the file. Raises StoreError when it is locked, newer than this program, or no database."""
        self._lock, self._path = threading.RLock(), path
        with _readable_errors(path):
            if path != ":memory:":
                folder = Path(path).parent
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                Path(path).touch(mode=0o600)
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            connection.execute("PRAGMA foreign_keys = ON")
            self._db = Database(connection)
            self._refuse_newer(path)
            if path != ":memory:":
                self._enable_wal()
        if migrations.pending(self._db):
            with self._transaction() as db:
                migrations.apply(db)  # looks again at what is pending, now that no other program can migrate too

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _refuse_newer(self, path: Path | str) -> None:
        known = {migration.name for migration in migrations._migrations}
        unknown = sorted(applied.name for applied in migrations.applied(self._db) if applied.name not in known)
        if unknown:
            raise StoreError(
                f"{path} was written by a newer PenPal (it has '{unknown[-1]}'): update PenPal. Nothing was changed."
            )

    def _enable_wal(self) -> None:
        """Two programs that make the same new database at once collide here, and SQLite's timeout does not help."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self._db.enable_wal()
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    @contextmanager
    def _transaction(self) -> Iterator[Database]:
        with self._lock, _readable_errors(self._path), self._db.conn:
            # Immediate: a transaction that first reads and then writes fails at once, whatever the timeout, when
            # another connection wrote in between. sqlite-utils reads the schema before each insert.
            self._db.conn.execute("BEGIN IMMEDIATE")
            yield self._db

    def _insert(self, table: str, row: dict[str, Any]) -> int:
        """Appends a row, with the time, and returns its id."""
        with self._transaction() as db:
            return int(db[table].insert({**row, "created_utc": now_utc()}).last_pk)  # type: ignore[union-attr, arg-type]

    def _merge(self, table: str, row: dict[str, Any], key: str, known: str) -> None:
        """Inserts a row, or does `known` with the one that has its key.

        sqlite-utils' own upsert makes a table to learn what SQLite can do. Where that fails, as on a full disk, it
        falls back on INSERT OR IGNORE, which drops a row with a NOT NULL column without an error.
        """
        names = ", ".join(row)
        values = ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT ({key}) DO {known}"
        with self._transaction() as db:
            db.execute(sql, list(row.values()))

    def _rows(self, sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        with self._lock, _readable_errors(self._path):
            return list(self._db.query(sql, values))


def now_utc() -> str:
    """The time as every table stores it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def _readable_errors(path: Path | str) -> Iterator[None]:
    """SQLite's and the disk's errors as one line that says what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text:
            raise StoreError(f"{path} is locked by another program: close it and try again.") from error
        if "full" in text:
            raise StoreError(
                f"The disk is full: {path} could not be written. Free some space; nothing was lost."
            ) from error
        if "readonly" in text or "unable to open" in text:
            raise StoreError(
                f"{path} cannot be opened for writing: check its permissions, or set PENPAL_HOME."
            ) from error
        raise StoreError(f"{path}: {text}.") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise StoreError(f"{path} is not a PenPal database, or it is damaged ({error}).") from error
    except OSError as error:
        raise StoreError(f"{path}: {os.strerror(error.errno or 0)}. Set PENPAL_HOME elsewhere.") from error

"""The SQLite file itself: opened, upgraded, locked, copied, and its errors in words. Knows no table.

Groups of queries (`conversation_rows`, `answer_rows`, `encoder_rows`) extend it; `core.store.Store` is all of them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import BusyError, PenPalError, StoreError
from core.files import sync_folder
from core.lean_imports import hiding
from core.paths import Home

with hiding("pandas"):  # which sqlite-utils imports where it finds it: a second and 90 MB
    from sqlite_utils import Database

    from core.migrations import migrations

BUSY_TIMEOUT_S = 10.0
MAGIC = b"SQLite format 3\0"
"""How every database begins that is not empty."""
COPIES_KEPT = 3
"""Of the file as it was before an upgrade."""


class DatabaseFile:
    """An open database. Safe to call from several threads; each call is one transaction."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        """Opens or creates the file. Raises StoreError when it is locked, newer than this program, or no database."""
        self._lock, self._path = threading.RLock(), path
        self.before_upgrade: Path | None = None
        """Where the file was copied to before its schema was changed just now."""
        with readable_errors(path):
            if path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                if not Path(path).exists():
                    Path(path).touch(mode=0o600)
                _refuse_newer(Path(path))
                self._opened = os.stat(path)
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            connection.execute("PRAGMA foreign_keys = ON")
            self._db = Database(connection)
            if path != ":memory:":
                self._enable_wal()
        if migrations.pending(self._db):
            self._upgrade()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _upgrade(self) -> None:
        """All of what is pending or nothing. Raises StoreError, and leaves the file as it was, when that fails."""
        try:
            with self._transaction() as db:
                # Looks again, now that no other program can upgrade it too.
                if self._path != ":memory:" and migrations.applied(db) and migrations.pending(db):
                    self.before_upgrade = _keep_copy(Path(self._path))
                migrations.apply(db)
        except PenPalError:
            raise
        except Exception as error:
            raise StoreError(
                f"{self._path} could not be upgraded to this PenPal ({error}): nothing in it was changed. Go on with "
                "the PenPal that you had before."
            ) from error

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

    def _refuse_moved(self) -> None:
        """What is written to a file that was removed or replaced while it was open would be lost without a word."""
        try:
            moved = self._path != ":memory:" and not os.path.samestat(self._opened, os.stat(self._path))
        except FileNotFoundError:
            moved = True
        if moved:
            raise StoreError(f"{self._path} was removed or replaced while PenPal had it open: start PenPal again.")

    @contextmanager
    def _transaction(self) -> Iterator[Database]:
        with self._lock, readable_errors(self._path), self._db.conn:
            self._refuse_moved()
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
        with self._lock, readable_errors(self._path):
            return list(self._db.query(sql, values))


def now_utc() -> str:
    """The time as every table stores it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def readable_errors(path: Path | str) -> Iterator[None]:
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


def copy_database(source: Path, target: Path) -> None:
    """One moment of a database, whoever writes to it meanwhile, as one new file. Raises StoreError."""
    with readable_errors(source), closing(read_only(source)) as origin:
        _refuse_newer(source)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(target)) as copy:
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def held_alone(path: Path) -> Iterator[bool]:
    """Nobody else has the file open or opens it while the body runs, and all of it is in this one file.

    Raises BusyError while any program has it open. Yields False, and holds nothing, when the file is no database.
    """
    with readable_errors(path), path.open("rb") as file:
        is_database = file.read(len(MAGIC)) in (MAGIC, b"")
    if not is_database:  # SQLite would remove the log that lies beside it
        yield False
        return
    with readable_errors(path), closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            # SQLite leaves WAL mode, and folds the log in, only for the last program that has the file open.
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            connection.execute("BEGIN EXCLUSIVE")
            if connection.execute("PRAGMA journal_mode").fetchone() != ("delete",):
                raise sqlite3.OperationalError("locked by a program that opened it just now")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise BusyError(
                f"A program has {path} open (chat, rate, serve, a nightly run?): close it, then try again."
            ) from error
        except sqlite3.DatabaseError:
            yield False
            return
        yield True


def read_only(path: Path) -> sqlite3.Connection:
    """Reads a file without changing a byte of it, except that a change which a kill left half made is undone first."""
    _undo_half_a_change(path)
    uri = f"{path.absolute().as_uri()}?mode=ro"
    # SQLite reads no database in WAL mode from a folder that cannot be written, unless it is told that nobody writes.
    if not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        uri += "&immutable=1"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)


def _undo_half_a_change(path: Path) -> None:
    """`penpal forget` writes without a log. SQLite undoes half of it for whoever may write, and lets no other read."""
    journal = path.with_name(f"{path.name}-journal")
    with suppress(FileNotFoundError):
        if journal.stat().st_size and os.access(path.parent, os.W_OK):
            with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
                connection.execute("SELECT 1 FROM sqlite_master").fetchall()


def _refuse_newer(path: Path) -> None:
    if path.stat().st_size == 0:
        return
    known = {migration.name for migration in migrations._migrations}
    with closing(read_only(path)) as connection:
        unknown = sorted(a.name for a in migrations.applied(Database(connection)) if a.name not in known)
    if unknown:
        raise StoreError(
            f"{path} was written by a newer PenPal (it has '{unknown[-1]}'): update PenPal. Nothing was changed."
        )


def _keep_copy(path: Path) -> Path:
    """Copies the file as it is before an upgrade, and lets go of the oldest of such copies."""
    folder = Home(path.parent).backups
    folder.mkdir(exist_ok=True, mode=0o700)
    start = f"{path.name}.before-v"
    newest = max(migration.name for migration in migrations._migrations)
    copy = folder / f"{start}{int(newest[1:4])}.{datetime.now(UTC).astimezone():%Y%m%d-%H%M%S}"
    partial = folder / f".{copy.name}.partial"
    for left in folder.glob(f".{start}*.partial"):  # by an upgrade that was killed: no two are at it at once
        left.unlink()
    try:
        copy_database(path, partial)
        os.replace(partial, copy)
        sync_folder(folder)
    finally:
        partial.unlink(missing_ok=True)
    # Not this one, whatever its date: the clock may have been set back.
    others = [file for file in folder.iterdir() if file.name.startswith(start) and file != copy]
    for old in sorted(others, key=lambda file: file.suffix)[: 1 - COPIES_KEPT]:
        old.unlink()
    return copy

"""What a person wants forgotten, erased from every table and swept out of the file itself.

The one place where rows of `feedback` are deleted. What stays of a forgotten row is its number and when it went, so
that numbers which scripts and voices remember stay explainable and are never given to anything else.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlite_utils import Database

from core import database
from core.conversation_rows import Turn
from core.database import readable_errors
from core.errors import BusyError, UsageError
from core.feedback import Draft
from core.forgettable_rows import IN, ForgettableRows, as_list
from core.protocols import Message

Numbered = Literal["conversations", "turns", "drafts", "feedback"]
NUMBERED: tuple[Numbered, ...] = ("conversations", "turns", "drafts", "feedback")
NAMES: dict[Numbered, str] = {"conversations": "Conversation", "turns": "Turn", "drafts": "Draft", "feedback": "Act"}
WAIT_S = 10.0
"""For another PenPal that is just about to end."""
BETWEEN_TRIES_S = 0.05
EVERYTHING_GOES_FROM = (
    "comparison_events", "comparisons", "digests", "feedback", "drafts", "turns", "conversations", "unsaved_texts",
    "vectors", "encoder_activations", "encoder_forgets", "tombstones", "forgettings",
)  # fmt: skip
"""Those that refer to others first."""


@dataclass(frozen=True)
class Marked:
    """The rows that are to go."""

    conversations: frozenset[int] = frozenset()
    turns: frozenset[int] = frozenset()
    drafts: frozenset[int] = frozenset()
    acts: frozenset[int] = frozenset()
    places: frozenset[str] = frozenset()
    """Of texts that were typed and not sent."""

    def __bool__(self) -> bool:
        return any((self.conversations, self.turns, self.drafts, self.acts, self.places))

    def ids(self, table: Numbered) -> frozenset[int]:
        by_table: dict[Numbered, frozenset[int]] = {
            "conversations": self.conversations, "turns": self.turns, "drafts": self.drafts, "feedback": self.acts
        }  # fmt: skip
        return by_table[table]


@dataclass(frozen=True)
class Rewritten:
    """What stays, but says something else from now on."""

    messages: Mapping[int, Sequence[Message]]
    """By turn: the conversation that its drafts were written for."""
    titles: Mapping[int, str]
    """By conversation."""
    branches: Mapping[int, int | None]
    """By conversation: the turn before which it branched off."""


class ForgetRows(ForgettableRows):
    """Forgetting. Everything else that is written to the four numbered tables gets a number that was never used."""

    def _insert(self, table: str, row: dict[str, Any]) -> int:
        if table not in NUMBERED:
            return super()._insert(table, row)
        filled = {**row, "created_utc": database.now_utc()}
        sql = f"""
            INSERT INTO {table} (id, {", ".join(filled)}) VALUES (
                1 + max(coalesce((SELECT max(id) FROM {table}), 0),
                        coalesce((SELECT max(id) FROM tombstones WHERE of_table = '{table}'), 0)),
                {", ".join("?" * len(filled))})
        """
        with self._transaction() as db:
            return int(db.execute(sql, list(filled.values())).lastrowid or 0)

    def draft(self, draft_id: int) -> Draft:
        with self._told_when_forgotten("drafts", draft_id):
            return super().draft(draft_id)

    def turn(self, turn_id: int) -> Turn:
        with self._told_when_forgotten("turns", turn_id):
            return super().turn(turn_id)

    @contextmanager
    def _told_when_forgotten(self, table: Numbered, row_id: int) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            sql = (
                "SELECT created_utc FROM tombstones JOIN forgettings ON forgettings.id = forgetting_id "
                "WHERE of_table = ? AND tombstones.id = ?"
            )
            for row in self._rows(sql, [table, row_id]):
                day = datetime.fromisoformat(row["created_utc"]).astimezone()
                raise UsageError(f"{NAMES[table]} {row_id} was forgotten on {day:%d %b %Y}.") from error
            raise

    # --- erasing ----------------------------------------------------------------------------------------------

    @contextmanager
    def alone(self, *, wait_s: float = WAIT_S) -> Iterator[None]:
        """No other program has the file open while the body runs, or can open it. Raises BusyError after `wait_s`.

        SQLite folds the write-ahead log in, and lets go of it, only for a program that is alone. And one that was open
        would still show what was forgotten, and save it again.
        """
        with self._lock, readable_errors(self._path):
            self._db.conn.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            deadline = time.monotonic() + wait_s
            while not self._became_alone():
                if time.monotonic() > deadline:
                    self._let_go()
                    raise BusyError(
                        f"Another PenPal has {self._path} open (chat, rate, serve, a nightly run?): close it, then try "
                        "again. Nothing was forgotten yet."
                    )
                time.sleep(BETWEEN_TRIES_S)
            try:
                yield
            finally:
                self._let_go()
                self._db.conn.execute("PRAGMA journal_mode = DELETE").fetchall()  # removes the journal
                self._enable_wal()

    def _became_alone(self) -> bool:
        connection = self._db.conn
        try:
            # Not DELETE, which in this locking mode leaves the old pages in the journal.
            connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            return False
        return True

    def _let_go(self) -> None:
        self._db.conn.execute("PRAGMA locking_mode = NORMAL").fetchall()
        self._db.conn.execute("SELECT count(*) FROM forgettings").fetchall()  # the lock goes with the next access

    def erase(self, marked: Marked, rewritten: Rewritten, *, what: str, keys: Collection[str] | None,
              choices: Mapping[str, int]) -> int:  # fmt: skip
        """Deletes these rows, all or none, and returns the number of this forgetting.

        `keys`: of vectors that belong to texts which stay (None: there are no vectors). `choices`: how many each voice
        was trained on. The texts may still lie in pages of the file that are free now: `sweep` is what comes next.
        """
        with self._checked_at_the_end() as db:
            number = self._bury(marked, what)
            for turn_id, messages in rewritten.messages.items():
                content = json.dumps([asdict(message) for message in messages], ensure_ascii=False)
                db.execute("UPDATE turns SET messages = ? WHERE id = ?", [content, turn_id])
            for conversation_id, title in rewritten.titles.items():
                db.execute("UPDATE conversations SET title = ? WHERE id = ?", [title, conversation_id])
            for conversation_id, before in rewritten.branches.items():
                sql = "UPDATE conversations SET branched_before_turn_id = ? WHERE id = ?"
                db.execute(sql, [before, conversation_id])
            turns = as_list(marked.turns)
            db.execute(f"DELETE FROM comparisons WHERE turn_id {IN} OR asked_turn_id {IN}", [turns, turns])
            db.execute("DELETE FROM digests")  # made anew from what is left
            for table in reversed(NUMBERED):
                db.execute(f"DELETE FROM {table} WHERE id {IN}", [as_list(marked.ids(table))])
            db.execute(f"DELETE FROM unsaved_texts WHERE place {IN}", [as_list(marked.places)])
            if keys is not None:
                db.execute(f"DELETE FROM vectors WHERE key NOT {IN}", [as_list(keys)])
            for encoder_id, count in choices.items():
                row = {"encoder_id": encoder_id, "forgetting_id": number, "choices": count}
                db.table("encoder_forgets").insert(row)
        return number

    def erase_everything(self) -> None:
        """Deletes all that the person wrote and did, and all voices that were learned here; settings stay."""
        with self._checked_at_the_end() as db:
            counts = {table: db.table(table).count for table in NUMBERED}
            for table in EVERYTHING_GOES_FROM:
                db.execute(f"DELETE FROM {table}")
            db.execute("DELETE FROM encoders WHERE origin = 'personalized'")
            db.execute("UPDATE encoders SET parent_id = NULL")
            self._note("everything", counts)

    @contextmanager
    def _checked_at_the_end(self) -> Iterator[Database]:
        """A transaction after which no row points to a missing one.

        SQLite itself would look through all acts for each draft that is deleted: hours in a large home.
        """
        with self._lock:
            self._db.execute("PRAGMA foreign_keys = OFF")
            try:
                with self._transaction() as db:
                    yield db
                    dangling = db.execute("PRAGMA foreign_key_check").fetchall()
                    assert not dangling, dangling
            finally:
                self._db.execute("PRAGMA foreign_keys = ON")

    def _bury(self, marked: Marked, what: str) -> int:
        number = self._note(what, {table: len(marked.ids(table)) for table in NUMBERED})
        for table in NUMBERED:
            sql = "INSERT INTO tombstones (of_table, id, forgetting_id) SELECT ?, value, ? FROM json_each(?)"
            self._db.execute(sql, [table, number, as_list(marked.ids(table))])
        return number

    def _note(self, what: str, counts: Mapping[Numbered, int]) -> int:
        row: dict[str, object] = {"what": what, "created_utc": database.now_utc()}
        row |= {str(name): count for name, count in counts.items()}
        return int(self._db.table("forgettings").insert(row).last_pk)  # type: ignore[arg-type]

    def sweep(self) -> None:
        """Writes index and file anew from what is left, so that no trace of what was deleted is in them.

        To be called `alone`. As large as the file in memory for a moment, and once more on the disk.
        """
        with self._lock, readable_errors(self._path):
            connection = self._db.conn
            connection.execute("PRAGMA secure_delete = ON").fetchall()
            connection.execute("PRAGMA temp_store = MEMORY")  # else the texts that stay pass through a folder for all
            with connection:
                for table in NUMBERED:
                    # FTS5 only notes that a row is gone, and keeps its words until segments happen to be merged.
                    connection.execute(f"INSERT INTO {table}_fts ({table}_fts) VALUES ('rebuild')")
            connection.execute("VACUUM")
            with connection:
                connection.execute("UPDATE forgettings SET swept_utc = ? WHERE swept_utc IS NULL", [database.now_utc()])

    def is_swept(self) -> bool:
        """Whether every forgetting came to its end."""
        return not self._rows("SELECT 1 FROM forgettings WHERE swept_utc IS NULL", [])

    def forgotten_choices(self) -> dict[str, int]:
        """By voice: how many choices it was trained on that were forgotten since."""
        sql = "SELECT encoder_id, sum(choices) AS n FROM encoder_forgets GROUP BY encoder_id"
        return {row["encoder_id"]: row["n"] for row in self._rows(sql, [])}

    def has_vectors(self) -> bool:
        return bool(self._rows("SELECT 1 FROM vectors LIMIT 1", []))

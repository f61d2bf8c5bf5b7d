"""The one lasting state: a SQLite file behind this class, migrated when it is opened. SQL appears nowhere else.

Identity: a draft is its row; its text is final once its status is no longer 'writing'. What the person did is in
`feedback`, which only ever grows. Weights lie beside the database as files that it names.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sqlite_utils import Database

from core.errors import StoreError, UsageError
from core.evidence import Evidence, Repeats, evidence_of_turn, repeats_of_turn
from core.feedback import Act, ActKind, Draft, kept_text
from core.migrations import migrations
from core.protocols import Finish, Message, Sampling

BUSY_TIMEOUT_S = 10.0
DRAFTING = timedelta(minutes=3)
"""No draft takes longer to write."""
SQL_VARIABLES = 500
"""Keys asked for at once; SQLite allows 999 in its oldest versions still around."""
Origin = Literal["chat", "rate", "write", "demo"]


@dataclass(frozen=True)
class Conversation:
    """A thread of turns as the database lists it."""

    id: int
    title: str
    origin: str
    created_utc: str


@dataclass(frozen=True)
class Turn:
    """One prompt of a conversation, with the messages the decoder saw."""

    id: int
    conversation_id: int
    prompt: str
    messages: tuple[Message, ...]
    created_utc: str
    context: str | None = None
    """What kind of writing it is, as the person tagged it; None: to be inferred from the prompt."""


@dataclass(frozen=True)
class EncoderRecord:
    """A personal encoder as the database lists it."""

    id: str
    file: str
    origin: str
    parent_id: str | None
    backbone_id: str
    clap_id: str
    pairs: int
    status: str
    report: dict[str, Any]
    created_utc: str


@dataclass(frozen=True)
class Activation:
    """An encoder (None: the generic one) that became the active one, and why."""

    encoder_id: str | None
    reason: str
    created_utc: str


class Store:
    """All reads and writes. Safe to call from several threads; each call is one transaction."""

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

    # --- conversations, turns, drafts -------------------------------------------------------------------------

    def add_conversation(self, title: str, *, origin: Origin) -> int:
        return self._insert("conversations", {"title": title, "origin": origin, "created_utc": now_utc()})

    def conversations(self, *, origin: Origin = "chat", limit: int = 200) -> list[Conversation]:
        """Newest first."""
        rows = self._rows(
            "SELECT id, title, origin, created_utc FROM conversations WHERE origin = ? ORDER BY id DESC LIMIT ?",
            [origin, limit],
        )
        return [Conversation(**row) for row in rows]

    def add_turn(
        self, conversation_id: int, prompt: str, messages: Sequence[Message], *, context: str | None = None
    ) -> int:
        return self._insert(
            "turns",
            {
                "conversation_id": conversation_id,
                "prompt": prompt,
                "messages": json.dumps([asdict(m) for m in messages], ensure_ascii=False),
                "created_utc": now_utc(),
                "context": context,
            },
        )

    def turns(self, conversation_id: int) -> list[Turn]:
        """Oldest first."""
        return [_turn(row) for row in self._rows("SELECT * FROM turns WHERE conversation_id = ?", [conversation_id])]

    def own_prompts(self, *, limit: int = 200) -> list[str]:
        """What the person asked for in chat and write, each once, newest first."""
        rows = self._rows(
            "SELECT turns.prompt FROM turns JOIN conversations ON conversations.id = turns.conversation_id "
            "WHERE conversations.origin IN ('chat', 'write') GROUP BY turns.prompt ORDER BY max(turns.id) DESC LIMIT ?",
            [limit],
        )
        return [str(row["prompt"]) for row in rows]

    def turn(self, turn_id: int) -> Turn:
        rows = self._rows("SELECT * FROM turns WHERE id = ?", [turn_id])
        if not rows:
            raise UsageError(f"There is no turn {turn_id}.")
        return _turn(rows[0])

    def add_draft(
        self,
        turn_id: int,
        *,
        side: int,
        z: Sequence[float] | None,
        encoder_id: str | None,
        backbone_id: str,
        sampling: Sampling,
        seed: int,
    ) -> int:
        """A draft that is about to be written; its row exists before its first token."""
        return self._insert(
            "drafts",
            {
                "turn_id": turn_id,
                "side": side,
                "status": "writing",
                "z": None if z is None else json.dumps([round(float(v), 6) for v in z]),
                "encoder_id": encoder_id,
                "backbone_id": backbone_id,
                "sampling": json.dumps(asdict(sampling)),
                "seed": seed,
                "created_utc": now_utc(),
            },
        )

    def save_partial(self, draft_id: int, text: str, tokens: int) -> None:
        """Keeps what is written so far of a draft that is being written."""
        with self._transaction() as db:
            db.execute(
                "UPDATE drafts SET text = ?, tokens = ? WHERE id = ? AND status = 'writing'", [text, tokens, draft_id]
            )

    def finish_draft(self, draft_id: int, text: str, *, tokens: int, finish: Finish, duration_ms: int) -> None:
        """Makes a draft final. A cancelled one keeps its partial text."""
        status = {"cancelled": "cancelled", "": "failed"}.get(finish, "done")
        with self._transaction() as db:
            db.execute(
                "UPDATE drafts SET text = ?, tokens = ?, status = ?, finish = ?, duration_ms = ? "
                "WHERE id = ? AND status = 'writing'",
                [text, tokens, status, finish, duration_ms, draft_id],
            )

    def drafts(self, turn_id: int) -> list[Draft]:
        """Left before right; drafts of a redo after those they replace."""
        return [_draft(row) for row in self._rows("SELECT * FROM drafts WHERE turn_id = ? ORDER BY id", [turn_id])]

    def draft(self, draft_id: int) -> Draft:
        rows = self._rows("SELECT * FROM drafts WHERE id = ?", [draft_id])
        if not rows:
            raise UsageError(f"There is no draft {draft_id}: 'penpal write --json' prints the ids of its drafts.")
        return _draft(rows[0])

    def is_drafting(self) -> bool:
        """Whether some program writes a draft now. Rows that a killed one left behind count for three minutes."""
        now = datetime.now(UTC)
        span = [(now + sign * DRAFTING).isoformat(timespec="milliseconds") for sign in (-1, 1)]
        # What is being written is among the newest: a look at all drafts would cost as much as a step of a run.
        newest = "SELECT status, created_utc FROM drafts ORDER BY id DESC LIMIT 100"
        sql = f"SELECT 1 FROM ({newest}) WHERE status = 'writing' AND created_utc BETWEEN ? AND ?"
        return bool(self._rows(sql, span))

    # --- what the person did ----------------------------------------------------------------------------------

    def add_act(
        self,
        kind: ActKind,
        turn_id: int,
        *,
        draft_id: int | None = None,
        other_draft_id: int | None = None,
        text: str | None = None,
        undoes_id: int | None = None,
        note: str | None = None,
        again: bool = False,
        left_draft_id: int | None = None,
    ) -> int:
        return self._insert(
            "feedback",
            {
                "kind": kind,
                "turn_id": turn_id,
                "draft_id": draft_id,
                "other_draft_id": other_draft_id,
                "text": text,
                "undoes_id": undoes_id,
                "note": note,
                "again": again,
                "left_draft_id": left_draft_id,
                "created_utc": now_utc(),
            },
        )

    def acts(self, turn_id: int) -> list[Act]:
        """All acts of a turn in order, undone ones and undos included."""
        return [_act(row) for row in self._rows("SELECT * FROM feedback WHERE turn_id = ? ORDER BY id", [turn_id])]

    def accepted_text(self, turn_id: int) -> str | None:
        """What the person kept: the accepted text, else the last edit, else the picked draft."""
        return kept_text(self.drafts(turn_id), self.acts(turn_id))

    def evidence(self, *, backbone_id: str | None, since_act: int = 0) -> list[Evidence]:
        """What acts on drafts of one backbone (None: any) say, oldest first: of turns acted on after `since_act`."""
        found: list[Evidence] = []
        for turn, drafts, acts in self._answered_turns(since_act):
            if all(backbone_id in (None, draft.backbone_id) for draft in drafts):
                found += evidence_of_turn(turn.messages, drafts, acts, context=turn.context)
        return sorted(found, key=lambda evidence: evidence.act_id)

    def evidence_of_turn(self, turn_id: int, *, backbone_id: str) -> list[Evidence]:
        """What the acts about one turn say now."""
        turn, drafts = self.turn(turn_id), self.drafts(turn_id)
        if not all(draft.backbone_id == backbone_id for draft in drafts):
            return []
        return evidence_of_turn(turn.messages, drafts, self.acts(turn_id), context=turn.context)

    def repeats(self) -> Repeats:
        """How pairs that were asked twice were answered, over all turns."""
        each = [repeats_of_turn(acts) for acts in self._acts_by_turn("again = 1", []).values()]
        return Repeats(sum(r.same for r in each), sum(r.different for r in each))

    def last_act_id(self) -> int:
        """0 when nothing was done yet."""
        return int(self._rows("SELECT coalesce(max(id), 0) AS n FROM feedback", [])[0]["n"])

    def _answered_turns(self, since_act: int) -> Iterator[tuple[Turn, list[Draft], list[Act]]]:
        """Turns with their drafts and acts: three queries however many there are."""
        # Acts before drafts and turns: what an act names is there already, however many programs write meanwhile.
        acts = self._acts_by_turn("id > ?", [since_act])
        answered = "(SELECT turn_id FROM feedback WHERE id > ?)"
        drafts: dict[int, list[Draft]] = {}
        for row in self._rows(f"SELECT * FROM drafts WHERE turn_id IN {answered} ORDER BY id", [since_act]):
            drafts.setdefault(row["turn_id"], []).append(_draft(row))
        for row in self._rows(f"SELECT * FROM turns WHERE id IN {answered} ORDER BY id", [since_act]):
            yield _turn(row), drafts.get(row["id"], []), acts.get(row["id"], [])

    def _acts_by_turn(self, of_turns_with: str, values: Sequence[Any]) -> dict[int, list[Act]]:
        """All acts of the turns that have such an act."""
        turns = f"SELECT turn_id FROM feedback WHERE {of_turns_with}"
        acts: dict[int, list[Act]] = {}
        for row in self._rows(f"SELECT * FROM feedback WHERE turn_id IN ({turns}) ORDER BY id", values):
            acts.setdefault(row["turn_id"], []).append(_act(row))
        return acts

    # --- what the encoder read --------------------------------------------------------------------------------

    def vectors(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The cached vectors of these texts, where there are any."""
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), SQL_VARIABLES):
            part = keys[start : start + SQL_VARIABLES]
            marks = ", ".join("?" * len(part))
            rows = self._rows(f"SELECT key, value FROM vectors WHERE space = ? AND key IN ({marks})", [space, *part])
            found.update((row["key"], row["value"]) for row in rows)
        return found

    def add_vectors(self, space: str, vectors: Mapping[str, bytes]) -> None:
        """Caches vectors; those of a known key are replaced."""
        with self._transaction() as db:
            db.conn.executemany(
                "INSERT OR REPLACE INTO vectors (space, key, value) VALUES (?, ?, ?)",
                [(space, key, value) for key, value in vectors.items()],
            )

    # --- encoders ---------------------------------------------------------------------------------------------

    def add_encoder(self, record: EncoderRecord) -> None:
        """Lists an encoder whose file has been written. The same file twice is one encoder, with the newer report."""
        newer = "UPDATE SET status = excluded.status, report = excluded.report"
        self._merge("encoders", {**asdict(record), "report": json.dumps(record.report)}, "id", newer)

    def encoders(self) -> list[EncoderRecord]:
        """Oldest first."""
        return [_encoder(row) for row in self._rows("SELECT * FROM encoders ORDER BY created_utc, rowid", [])]

    def activate_encoder(self, encoder_id: str | None, reason: str) -> None:
        """Makes an encoder the active one; None is the generic one. Earlier activations stay on record."""
        self._insert("encoder_activations", {"encoder_id": encoder_id, "reason": reason, "created_utc": now_utc()})

    def active_encoder(self) -> EncoderRecord | None:
        """None while the generic one is active."""
        history = self.activation_history()
        return next((e for e in self.encoders() if history and e.id == history[-1].encoder_id), None)

    def activation_history(self) -> list[Activation]:
        """Oldest first."""
        rows = self._rows("SELECT encoder_id, reason, created_utc FROM encoder_activations ORDER BY id", [])
        return [Activation(**row) for row in rows]

    # --- small things -----------------------------------------------------------------------------------------

    def keep_unsaved(self, place: str, text: str) -> None:
        """Remembers text that the person is typing; empty text forgets the place."""
        if text:
            row = {"place": place, "text": text, "updated_utc": now_utc()}
            changed = "UPDATE SET text = excluded.text, updated_utc = excluded.updated_utc"
            self._merge("unsaved_texts", row, "place", changed)
        else:
            with self._transaction() as db:
                db.execute("DELETE FROM unsaved_texts WHERE place = ?", [place])

    def unsaved(self, place: str) -> str:
        rows = self._rows("SELECT text FROM unsaved_texts WHERE place = ?", [place])
        return str(rows[0]["text"]) if rows else ""

    def unsaved_places(self) -> list[str]:
        """Where unsaved text lies, the place typed at last first."""
        rows = self._rows("SELECT place FROM unsaved_texts ORDER BY updated_utc DESC", [])
        return [str(row["place"]) for row in rows]

    def add_backbone(self, backbone_id: str, path: Path) -> None:
        row = {"id": backbone_id, "path": str(path), "added_utc": now_utc()}
        self._merge("backbones", row, "id", "UPDATE SET path = excluded.path")

    def add_parity_check(self, runtime: str, backbone_id: str, clap_id: str, kl: float, passed: bool) -> None:
        row = {"runtime": runtime, "backbone_id": backbone_id, "clap_id": clap_id, "kl": kl, "passed": passed}
        self._insert("parity_checks", {**row, "created_utc": now_utc()})

    def parity_passed(self, runtime: str, backbone_id: str, clap_id: str) -> bool | None:
        """The last check of this runtime with these weights; None if there was none."""
        rows = self._rows(
            "SELECT passed FROM parity_checks WHERE runtime = ? AND backbone_id = ? AND clap_id = ? "
            "ORDER BY id DESC LIMIT 1",
            [runtime, backbone_id, clap_id],
        )
        return bool(rows[0]["passed"]) if rows else None

    def counts(self) -> dict[str, int]:
        """Rows per table, for `doctor`."""
        tables = ("conversations", "turns", "drafts", "feedback", "encoders")
        return {table: int(self._rows(f"SELECT count(*) AS n FROM {table}", [])[0]["n"]) for table in tables}

    def check(self) -> list[str]:
        """What is wrong with the file: damaged pages, rows that point to nothing. Empty when it is healthy."""
        found = [str(row["integrity_check"]) for row in self._rows("PRAGMA integrity_check", [])]
        dangling = self._rows("PRAGMA foreign_key_check", [])
        return [line for line in found if line != "ok"] + [
            f"row {row['rowid']} of {row['table']} points to a missing row of {row['parent']}" for row in dangling
        ]

    # --- inner ------------------------------------------------------------------------------------------------

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
        with self._transaction() as db:
            return int(db[table].insert(row).last_pk)  # type: ignore[union-attr, arg-type]

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


def _turn(row: dict[str, Any]) -> Turn:
    messages = tuple(Message(**m) for m in json.loads(row["messages"]))
    return Turn(row["id"], row["conversation_id"], row["prompt"], messages, row["created_utc"], row["context"])


def _draft(row: dict[str, Any]) -> Draft:
    z = tuple(json.loads(row["z"])) if row["z"] else None
    return Draft(
        id=row["id"], turn_id=row["turn_id"], side=row["side"], text=row["text"], status=row["status"], z=z,
        encoder_id=row["encoder_id"], backbone_id=row["backbone_id"], seed=row["seed"], tokens=row["tokens"],
    )  # fmt: skip


def _act(row: dict[str, Any]) -> Act:
    return Act(**{**{name: row[name] for name in Act.__dataclass_fields__}, "again": bool(row["again"])})


def _encoder(row: dict[str, Any]) -> EncoderRecord:
    return EncoderRecord(**{**row, "report": json.loads(row["report"])})

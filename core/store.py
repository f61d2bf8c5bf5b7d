"""The one lasting state: a SQLite file behind this class, migrated when it is opened.

Identity: a draft is its row; its text is final once its status is no longer 'writing'. What the person did is in
`feedback`, which only ever grows. Weights lie beside the database as files that it names. SQL appears in this module,
in those whose queries `Store` unites, and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

from core.comparison_rows import ComparisonRows
from core.conversation_rows import Conversation, Origin, Turn
from core.database import now_utc, readable_errors
from core.digest_rows import DigestRows
from core.encoder_rows import Activation, EncoderRecord, EncoderRows
from core.forget_rows import ForgetRows
from core.rating_rows import RatingRows
from core.search_rows import Found, SearchRows

__all__ = ["Activation", "Conversation", "EncoderRecord", "Found", "Origin", "Store", "Turn", "now_utc"]


class Store(ForgetRows, DigestRows, ComparisonRows, SearchRows, RatingRows, EncoderRows):
    """All reads and writes. Safe to call from several threads; each call is one transaction."""

    def keep_unsaved(self, place: str, text: str) -> None:
        """Remembers text that the person is typing; empty text forgets the place."""
        if text:
            row = {"place": place, "text": text, "updated_utc": now_utc()}
            changed = "UPDATE SET text = excluded.text, updated_utc = excluded.updated_utc"
            self._merge("unsaved_texts", row, "place", changed)
        else:
            with self._transaction() as db:
                db.execute("DELETE FROM unsaved_texts WHERE place = ?", [place])

    def keep_preference(self, name: str, value: str) -> None:
        """Remembers what the person chose once, such as a theme."""
        self._merge("preferences", {"name": name, "value": value}, "name", "UPDATE SET value = excluded.value")

    def preference(self, name: str) -> str | None:
        rows = self._rows("SELECT value FROM preferences WHERE name = ?", [name])
        return str(rows[0]["value"]) if rows else None

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

    def backbone_path(self, backbone_id: str) -> Path | None:
        """Where a backbone lay when it was used last; None for one that never was."""
        rows = self._rows("SELECT path FROM backbones WHERE id = ?", [backbone_id])
        return Path(str(rows[0]["path"])) if rows else None

    def add_parity_check(self, runtime: str, backbone_id: str, clap_id: str, kl: float, passed: bool) -> None:
        row = {"runtime": runtime, "backbone_id": backbone_id, "clap_id": clap_id, "kl": kl, "passed": passed}
        self._insert("parity_checks", {**row})

    def parity_passed(self, runtime: str, backbone_id: str, clap_id: str) -> bool | None:
        """The last check of this runtime with these weights; None if there was none."""
        rows = self._rows(
            "SELECT passed FROM parity_checks WHERE runtime = ? AND backbone_id = ? AND clap_id = ? "
            "ORDER BY id DESC LIMIT 1",
            [runtime, backbone_id, clap_id],
        )
        return bool(rows[0]["passed"]) if rows else None

    def forget_caches(self) -> None:
        """Empties the tables that can be made again from the others, and the file's free room."""
        with self._transaction() as db:
            for table in ("vectors", "digests"):
                db.execute(f"DELETE FROM {table}")
        with self._lock, readable_errors(self._path):
            self._db.vacuum()

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

"""Personal encoders, which one is active, and what the posterior encoder read, as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.database import DatabaseFile

MIGRATED = "migrated"
"""How a voice was made: learned anew, after the backbone or its latent space changed, from the answers before, too."""
MAPPED = "mapped"
"""Taken along to this latent space by texts that both read; its answers need not be here."""
PRIVATE = "private"
"""Learned with differential privacy."""
SQL_VARIABLES = 500
"""Keys asked for at once; SQLite allows 999 in its oldest versions still around."""


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

    @property
    def made(self) -> str:
        """How it came to be: one of those above, or its origin."""
        return str(self.report.get("made", self.origin))

    @property
    def saw_until(self) -> int | None:
        """The last answer of this home that it was trained on; None when it was trained on none of them."""
        until = self.report.get("answers_until", self.report.get("last_act"))
        return None if until is None else int(until)


@dataclass(frozen=True)
class Activation:
    """An encoder (None: the generic one) that became the active one, and why."""

    encoder_id: str | None
    reason: str
    created_utc: str


class EncoderRows(DatabaseFile):
    """Weights lie beside the database as files that it names."""

    def add_encoder(self, record: EncoderRecord) -> None:
        """Lists an encoder whose file has been written. The same file twice is one encoder, with the newer report."""
        newer = "UPDATE SET status = excluded.status, report = excluded.report"
        self._merge("encoders", {**asdict(record), "report": json.dumps(record.report)}, "id", newer)

    def encoders(self) -> list[EncoderRecord]:
        """Oldest first."""
        return [_encoder(row) for row in self._rows("SELECT * FROM encoders ORDER BY created_utc, rowid", [])]

    def activate_encoder(self, encoder_id: str | None, reason: str) -> None:
        """Makes an encoder the active one; None is the generic one. Earlier activations stay on record."""
        self._insert("encoder_activations", {"encoder_id": encoder_id, "reason": reason})

    def active_encoder(self) -> EncoderRecord | None:
        """None while the generic one is active."""
        history = self.activation_history()
        return next((e for e in self.encoders() if history and e.id == history[-1].encoder_id), None)

    def activation_history(self) -> list[Activation]:
        """Oldest first."""
        rows = self._rows("SELECT encoder_id, reason, created_utc FROM encoder_activations ORDER BY id", [])
        return [Activation(**row) for row in rows]

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


def _encoder(row: dict[str, Any]) -> EncoderRecord:
    return EncoderRecord(**{**row, "report": json.loads(row["report"])})

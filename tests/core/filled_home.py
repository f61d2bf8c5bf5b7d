"""A home with something in every place, written by SQL into a database of any earlier schema. Knows no model."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlite_utils import Database, Migrations

from core.migrations import migrations
from core.paths import Home

TIME = "2026-01-0{}T10:00:00.000+00:00"
BACKBONE, CLAP = "b" * 64, "c" * 64
WEIGHTS = b"weights of a voice"
VOICE = hashlib.sha256(WEIGHTS).hexdigest()
MIGRATIONS = [migration.name for migration in migrations._migrations]

SCHEMAS = [
    *(tuple(MIGRATIONS[:count]) for count in range(1, len(MIGRATIONS) + 1)),
    # Written side by side: there are homes that had the third before the fourth.
    tuple(name for name in MIGRATIONS if name < "m004"),
]
"""What databases there are among people: each a list of the migrations that made it."""


def database_with(file: Path, names: Iterable[str]) -> None:
    """A database that only these migrations made, with rows in each of its tables."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.write_bytes(_made_once(frozenset(names)))
    file.chmod(0o600)


@cache
def _made_once(names: frozenset[str]) -> bytes:
    some = Migrations(migrations.name)
    some._migrations = [migration for migration in migrations._migrations if migration.name in names]
    connection = sqlite3.connect(":memory:")
    some.apply(Database(connection))
    for table, rows in ROWS.items():
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for row in rows:
            held = {name: value for name, value in row.items() if name in columns}
            marks = ", ".join("?" * len(held))
            if held:
                connection.execute(f"INSERT INTO {table} ({', '.join(held)}) VALUES ({marks})", list(held.values()))
    connection.commit()
    with TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "made.db")) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = WAL")
        copy.close()
        return (Path(folder) / "made.db").read_bytes()


def filled_home(folder: Path) -> Home:
    """A home of this version with a voice, settings, a report, a latent space, a token and caches."""
    home = Home(folder)
    database_with(home.database, MIGRATIONS)
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
    return home


def all_rows(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that is not made by SQLite or by a migration's own book-keeping."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        names = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
            for name in names
            if "_fts" not in name and not name.startswith(("sqlite_", "_sqlite"))
        }


FILES = {
    f"encoders/{VOICE}.safetensors": WEIGHTS,
    "config.toml": b"[drafts]\ntemperature = 0.5\n",
    "runs/2026-01-05T1000-abc.md": b"# What was learned\n",
    "runs/personalize.lock": b"",
    "runs/layers.checkpoint.safetensors": b"half a run",
    "serve.token": b"penpal-secret\n",
    "windows/1.lock": b"",
    f"backbones/{BACKBONE}.projections.safetensors": b"can be made again",
    "backbones/0123456789abcdef/clap.safetensors": b"a latent space",
    "backbones/0123456789abcdef/model.gguf": b"GGUF",
}

MESSAGES = json.dumps([{"role": "user", "content": "Write to Zoë."}], ensure_ascii=False)

ROWS: dict[str, list[dict[str, Any]]] = {
    "backbones": [{"id": BACKBONE, "path": "/models/b.gguf", "added_utc": TIME.format(1)}],
    "encoders": [
        {
            "id": VOICE, "file": f"{VOICE}.safetensors", "origin": "personalized", "parent_id": None,
            "backbone_id": BACKBONE, "clap_id": CLAP, "pairs": 2, "status": "kept", "report": "{}",
            "created_utc": TIME.format(4),
        },
    ],
    "encoder_activations": [{"id": 1, "encoder_id": VOICE, "reason": "activated", "created_utc": TIME.format(4)}],
    "conversations": [
        {"id": 1, "title": "Zoë", "origin": "chat", "created_utc": TIME.format(1)},
        {"id": 2, "title": "Gone", "origin": "chat", "created_utc": TIME.format(2), "deleted_utc": TIME.format(3)},
    ],
    "turns": [
        {
            "id": turn, "conversation_id": 1 + turn // 3, "prompt": "Write to Zoë.", "messages": MESSAGES,
            "context": "mail", "created_utc": TIME.format(turn),
        }
        for turn in (1, 2, 3)
    ],
    "drafts": [
        {
            "id": 2 * turn + side - 1, "turn_id": turn, "side": side, "text": f"Dear Zoë, draft {turn} {side}.",
            "status": "done", "finish": "stop", "z": "[0.5, -1.0]", "encoder_id": VOICE if turn == 2 else None,
            "backbone_id": BACKBONE, "sampling": "{}", "seed": 7, "tokens": 5, "duration_ms": 12,
            "created_utc": TIME.format(turn),
        }
        for turn in (1, 2, 3)
        for side in (0, 1)
    ],
    "feedback": [
        {
            "id": 1, "kind": "pick", "turn_id": 1, "draft_id": 2, "other_draft_id": 1, "created_utc": TIME.format(4),
            "note": "shorter", "left_draft_id": 1, "strength": "clear",
        },
        {"id": 2, "kind": "tie", "turn_id": 2, "created_utc": TIME.format(5), "again": 1},
        {"id": 3, "kind": "edit", "turn_id": 2, "draft_id": 3, "text": "Zoë, mine.", "created_utc": TIME.format(6)},
        {"id": 4, "kind": "undo", "turn_id": 2, "undoes_id": 2, "created_utc": TIME.format(7)},
    ],
    "unsaved_texts": [{"place": "composer", "text": "half a thought", "updated_utc": TIME.format(8)}],
    "parity_checks": [
        {
            "id": 1, "runtime": "llama 1", "backbone_id": BACKBONE, "clap_id": CLAP, "kl": 0.01, "passed": 1,
            "created_utc": TIME.format(1),
        },
    ],
    "vectors": [{"space": CLAP, "key": "k", "value": b"\x00\x01"}],
    "preferences": [{"name": "theme", "value": "light"}],
    "comparisons": [
        {
            "turn_id": 3, "asked_turn_id": 1, "new_encoder_id": VOICE, "old_encoder_id": None,
            "created_utc": TIME.format(8),
        },
    ],
    "comparison_events": [{"id": 1, "new_encoder_id": VOICE, "kind": "offered", "created_utc": TIME.format(8)}],
}  # fmt: skip

"""`penpal forget` writes without a log, so that no trace is left in one: a kill in the middle loses nothing either."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.backup import write_backup
from core.errors import StoreError
from core.forgetting import Wanted, forget
from core.paths import Home
from core.store import Store
from models.text_vectors import text_key
from tests.core.filled_home import VOICE, all_rows, filled_home

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, signal, sys
from core.store import Store

store = Store(sys.argv[1])
with store.alone():
    db = store._db.conn
    db.execute("PRAGMA cache_size = 2")  # so that pages go to the file before the end of the transaction
    db.execute("BEGIN")
    db.execute("UPDATE drafts SET text = ''")
    db.executemany("INSERT INTO unsaved_texts VALUES (?, ?, '')", [(str(n), "x" * 3000) for n in range(100)])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed_home(penpal_home: Path) -> Home:
    """One whose program was killed when half of a change was in the file."""
    home = filled_home(penpal_home)
    done = subprocess.run([sys.executable, "-c", KILLED, str(home.database)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (home.folder / "penpal.db-journal").stat().st_size
    return home


def start_again(home: Home) -> None:
    Store(home.database).close()


def back_up(home: Home) -> None:
    write_backup(home, home.folder.parent / "backup.zip")


@pytest.mark.parametrize("first", [start_again, back_up])
def test_half_a_change_is_undone_by_whoever_comes_next(killed_home: Home, first: Callable[[Home], None]) -> None:
    first(killed_home)
    with closing(Store(killed_home.database)) as store:
        assert store.check() == []
    rows = all_rows(killed_home.database)
    assert rows["drafts"][0]["text"] == "Dear Zoë, draft 1 0."
    assert [row["place"] for row in rows["unsaved_texts"]] == ["composer"]


def test_no_voice_is_in_use_whose_file_is_gone(penpal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes between the end of the files and that of the rows, the next start writes on."""
    home = filled_home(penpal_home)
    store = Store(home.database)
    active = store.active_encoder()
    assert active is not None
    assert active.id == VOICE

    def full(self: Store) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(Store, "erase_everything", full)
    with pytest.raises(StoreError, match="full"):
        forget(store, home, Wanted("everything"), key_of=text_key)
    assert not (home.encoders / active.file).exists()
    assert store.active_encoder() is None
    store.close()

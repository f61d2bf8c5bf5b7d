"""Disks and folders that go wrong: each is one clear line, and what was there before is there afterwards.

The real program on real file systems: a full one, one that cannot be written, one that belongs to another user.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import time_machine

from core.errors import StoreError
from core.paths import Home
from core.protocols import Message, Sampling
from core.recorder import Recorder
from core.store import Store
from tests.app.pseudo_terminal import Terminal
from tests.core.filled_home import all_rows, filled_home

ROOT = Path(__file__).resolve().parents[2]
PENPAL = (sys.executable, "-c", "from app.cli import main; main()")
NAMESPACE = ("unshare", "--mount", "--map-root-user", "sh", "-c")
"""Runs a shell command line that may mount things which nobody else sees."""
SMALL_DISK = 'mount -t tmpfs -o size=600k,mode=700 t "$1" && cp -a "$2"/. "$1" && '


def can_mount() -> bool:
    tried = [*NAMESPACE, 'mount -t tmpfs t "$1"', "sh", tempfile.gettempdir()]
    return shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount a disk of their own")
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
"""Root may write anywhere; without its capabilities it may what others may."""


@pytest.fixture
def home(penpal_home: Path) -> Home:
    return filled_home(penpal_home)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL
    )


def only_line(found: subprocess.CompletedProcess[str]) -> str:
    """What a person is told."""
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (1, "", 1), found
    return found.stderr


@pytest.mark.slow
@needs_mounts
def test_a_full_disk_is_one_line_and_every_row_is_still_there(home: Home, tmp_path: Path) -> None:
    kept, after = tmp_path / "kept", tmp_path / "after"
    shutil.copytree(home.folder, kept)
    after.mkdir()
    (tmp_path / "long.txt").write_text("word " * 100_000)
    script = SMALL_DISK + '"$4" -c "$5" feedback edit 2 --file "$6"; code=$?; cp -a "$1"/. "$3"; exit $code'
    found = run(*NAMESPACE, script, "sh", home.folder, kept, after, PENPAL[0], PENPAL[2], tmp_path / "long.txt")
    told = f"penpal: The disk is full: {home.database} could not be written. Free some space; nothing was lost.\n"
    assert only_line(found) == told
    assert all_rows(after / "penpal.db") == all_rows(kept / "penpal.db")
    with closing(sqlite3.connect(after / "penpal.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.slow
@needs_mounts
def test_a_backup_onto_a_full_disk_is_one_line_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    stick, empty = tmp_path / "stick", tmp_path / "empty"
    for folder in (stick, empty):
        folder.mkdir()
    script = (
        SMALL_DISK
        + 'head -c 900000 /dev/zero >"$1"/other 2>"$2"/said; "$3" -c "$4" backup "$1"/b.zip; code=$?; ls -A "$1" >&2'
    )
    found = run(*NAMESPACE, f"{script}; exit $code", "sh", stick, empty, PENPAL[0], PENPAL[2])
    first, *left = found.stderr.splitlines()
    assert (found.returncode, left) == (1, ["other"]), found
    assert first == f"penpal: {stick / 'b.zip'} cannot be written: No space left on device. No backup was made."


@pytest.mark.slow
@needs_mounts
def test_a_home_that_cannot_be_written_is_one_line_and_can_still_be_backed_up(home: Home, tmp_path: Path) -> None:
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && "$2" -c "$3" '
    before = home.database.read_bytes()
    found = run(*NAMESPACE, script + "feedback star 2", "sh", home.folder, PENPAL[0], PENPAL[2])
    told = f"penpal: {home.database} cannot be opened for writing: check its permissions, or set PENPAL_HOME.\n"
    assert only_line(found) == told
    file = tmp_path / "b.zip"
    saved = run(*NAMESPACE, script + 'backup "$4"', "sh", home.folder, PENPAL[0], PENPAL[2], file)
    assert (saved.returncode, saved.stderr) == (0, "")
    assert home.database.read_bytes() == before
    assert file.is_file()


@pytest.mark.slow
def test_a_home_that_a_person_may_not_write_is_one_line(home: Home) -> None:
    before = home.database.read_bytes()
    for path in (*home.folder.rglob("*"), home.folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        told = only_line(run(*WITHOUT_RIGHTS, *PENPAL, "feedback", "star", "2"))
    finally:
        for path in (home.folder, *home.folder.rglob("*")):
            path.chmod(0o700)
    assert told.startswith(f"penpal: {home.database} cannot be opened for writing: check its permissions")
    assert home.database.read_bytes() == before


# --- while a program has it open --------------------------------------------------------------------------------


@pytest.fixture
def without_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typing needs none."""
    monkeypatch.setenv("PENPAL_BACKBONE", "/nowhere.gguf")


@pytest.mark.slow
@needs_mounts
@pytest.mark.usefixtures("without_model")
def test_what_is_typed_on_a_full_disk_is_stored_once_there_is_room(home: Home, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(home.folder, kept)
    script = SMALL_DISK + 'exec "$3" -c "$4" chat'
    with closing(Terminal(*NAMESPACE, script, "sh", home.folder, kept, *PENPAL[::2])) as chat:
        chat.wait_for("half a thought", within_s=120)
        disk = Path(f"/proc/{chat.process.pid}/root{home.folder}")
        filler = disk / "other"
        with suppress(OSError), filler.open("wb", buffering=0) as other:
            while other.write(bytes(4096)):
                pass
        chat.type(" and more")
        chat.wait_for("The disk is full", within_s=120)
        filler.unlink()
        chat.type("!")
        deadline, stored = time.monotonic() + 60, ""
        while "and more!" not in stored:
            assert time.monotonic() < deadline, f"stored is {stored!r}"
            chat.read(0.2)
            stored = typed_in_copy(disk, tmp_path / "after")


def typed_in_copy(home: Path, copy: Path) -> str:
    """What a chat that is open has stored; SQLite would follow the link to another process's files to our own."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(home, copy)
    with closing(Store(copy / "penpal.db")) as store:
        return store.unsaved("composer")


@pytest.mark.slow
@pytest.mark.usefixtures("without_model")
def test_chat_says_so_when_its_home_is_removed(home: Home, tmp_path: Path) -> None:
    with closing(Terminal(*PENPAL, "chat")) as chat:
        chat.wait_for("half a thought", within_s=120)
        home.folder.rename(tmp_path / "moved")
        chat.type(" and more")
        chat.wait_for("removed or replaced", within_s=120)
    assert not home.folder.exists()


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_nothing_is_written_into_a_database_that_is_no_longer_there(home: Home, tmp_path: Path, how: str) -> None:
    store = Store(home.database)
    store.keep_unsaved("composer", "typed before")
    home.folder.rename(tmp_path / "moved")
    if how == "replaced":
        filled_home(home.folder)
    with pytest.raises(StoreError, match="was removed or replaced while PenPal had it open: start PenPal again"):
        store.keep_unsaved("composer", "typed after")
    store.close()
    with closing(Store(tmp_path / "moved" / "penpal.db")) as moved:
        assert moved.unsaved("composer") == "typed before"


def test_a_clock_that_jumps_back_changes_no_order(penpal_home: Path) -> None:
    """A day forward, a year back: what came last is still last, in lists and in what is learned."""
    store = Store(Home(penpal_home).database)
    recorder = Recorder(store)
    conversations, acts = [], []
    for day in ("2026-05-05", "2026-05-06", "2025-01-01"):
        with time_machine.travel(f"{day}T12:00:00Z"):
            conversations.append(store.add_conversation(day, origin="chat"))
            turn = store.add_turn(conversations[-1], "Write.", [Message("user", "Write.")])
            for side in (0, 1):
                draft = store.add_draft(
                    turn, side=side, z=None, encoder_id=None, backbone_id="b", sampling=Sampling(), seed=side
                )
                store.finish_draft(draft, f"Text {side} of {day}.", tokens=4, finish="stop", duration_ms=1)
            acts.append(recorder.pick(draft))
    assert [found.id for found in store.conversations()] == conversations[::-1]
    assert [evidence.act_id for evidence in store.evidence(backbone_id="b")] == acts
    assert store.evidence(backbone_id="b", since_act=acts[1])[0].created_utc.startswith("2025-01-01")
    assert store.check() == []
    store.close()

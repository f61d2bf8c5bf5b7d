"""A backup holds what a person made, of one moment, whoever writes meanwhile; a restore puts it back and loses nothing.

Programs that write or look on are real processes here.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine

from core.backup import write_backup
from core.errors import BackupError, BusyError, StoreError, UsageError
from core.paths import Home
from core.restore import Restored, restore
from core.store import Store
from tests.core.filled_home import MIGRATIONS, SCHEMAS, VOICE, all_rows, database_with, filled_home

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys
from core.paths import penpal_home
from core.store import Store
store = Store(penpal_home().database)
conversation = store.add_conversation("t", origin="chat")
print("open", flush=True)
number = 0
while True:
    turn = store.add_turn(conversation, f"prompt {number}", [])
    store.add_act("tie", turn)
    print(turn, flush=True)
    number += 1
    if len(sys.argv) > 1:
        sys.stdin.readline()
"""
"""Each turn that it says was stored, with an answer about it. With an argument it waits for a line before the next."""


@pytest.fixture
def home(penpal_home: Path) -> Home:
    return filled_home(penpal_home)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick" / "penpal.zip"


@pytest.fixture
def writer(home: Home) -> Iterator[subprocess.Popen[str]]:
    """Another program that has the home open and writes to it without a pause."""
    yield from _started()


@pytest.fixture
def idler(home: Home) -> Iterator[subprocess.Popen[str]]:
    """Another program that has the home open and does nothing."""
    yield from _started("wait")


def _started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdin
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def never() -> str:
    raise AssertionError("nobody should be asked for a passphrase")


def back(file: Path, home: Home) -> Restored:
    return restore(file, home, never)


def names(file: Path) -> set[str]:
    with zipfile.ZipFile(file) as archive:
        return set(archive.namelist())


def database_in(file: Path, tmp_path: Path) -> Path:
    (tmp_path / "taken.db").write_bytes(zipfile.ZipFile(file).read("penpal.db"))
    return tmp_path / "taken.db"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that a person made, by name; SQLite's logs and PenPal's locks come and go."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith((".lock", "-wal", "-shm"))
    }


def names_in(home: Home) -> set[str]:
    return set(contents(home.folder))


def tampered(file: Path, changes: dict[str, bytes | None], about: dict[str, Any] | None = None) -> Path:
    """The same backup with other files in it (None: without it), and other words in its manifest."""
    with zipfile.ZipFile(file) as archive:
        held: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(held["manifest.json"] or b"")
    held |= {"manifest.json": json.dumps({**manifest, **(about or {})}).encode(), **changes}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in held.items():
            if data is not None:
                archive.writestr(name, data)
    return file


# --- what is in a backup ----------------------------------------------------------------------------------------


def test_a_backup_holds_what_a_person_made_and_nothing_that_can_be_made_again(home: Home, file: Path) -> None:
    made = write_backup(home, file)
    assert names(file) == {
        "manifest.json", "penpal.db", "config.toml", f"encoders/{VOICE}.safetensors", "runs/2026-01-05T1000-abc.md",
        "backbones/0123456789abcdef/clap.safetensors",
    }  # fmt: skip
    assert made.rows == {"conversations": 2, "turns": 3, "drafts": 6, "feedback": 4, "encoders": 1}
    assert (made.files, made.missing, made.size_bytes) == (5, (), file.stat().st_size)


def test_every_row_is_in_it_but_those_of_caches(home: Home, file: Path, tmp_path: Path) -> None:
    before = all_rows(home.database)
    write_backup(home, file)
    after = all_rows(database_in(file, tmp_path))
    assert {name: rows for name, rows in before.items() if name not in ("vectors", "digests")} == {
        name: rows for name, rows in after.items() if name not in ("vectors", "digests")
    }
    assert (after["vectors"], after["digests"]) == ([], [])
    assert before["vectors"] != []


def test_everything_means_everything_but_the_token(home: Home, file: Path, tmp_path: Path) -> None:
    write_backup(home, file, everything=True)
    assert {f"backbones/{'b' * 64}.projections.safetensors", "backbones/0123456789abcdef/model.gguf"} < names(file)
    assert all_rows(database_in(file, tmp_path))["vectors"] != []
    assert b"penpal-secret" not in file.read_bytes()


def test_a_voice_whose_file_is_gone_or_damaged_is_said_to_be_missing(home: Home, file: Path) -> None:
    weights = home.encoders / f"{VOICE}.safetensors"
    weights.write_bytes(b"damaged")
    assert write_backup(home, file).missing == (VOICE,)
    weights.unlink()
    assert write_backup(home, file).missing == (VOICE,)
    assert back(file, Home(home.folder.parent / "other")).missing == (VOICE,)


def test_a_damaged_database_is_not_backed_up(home: Home, file: Path) -> None:
    data = bytearray(home.database.read_bytes())
    data[4096 * 3 : 4096 * 9] = b"\xff" * 4096 * 6
    home.database.write_bytes(data)
    with pytest.raises(BackupError, match=r"The database is damaged .* an earlier one is the way back"):
        write_backup(home, file)
    assert not file.exists()


def test_rows_that_point_nowhere_are_not_backed_up(home: Home, file: Path) -> None:
    with sqlite3.connect(home.database) as db:
        db.execute("INSERT INTO turns (conversation_id, prompt, messages, created_utc) VALUES (77, '', '[]', '')")
    with pytest.raises(BackupError, match="points to a missing row of conversations"):
        write_backup(home, file)


def test_there_is_nothing_to_back_up_where_nobody_wrote(tmp_path: Path, file: Path) -> None:
    with pytest.raises(UsageError, match="no PenPal wrote in"):
        write_backup(Home(tmp_path / "empty"), file)
    assert not (tmp_path / "empty").exists()


def test_a_stick_that_is_not_there_is_not_made_up(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no folder .*/stick: choose another, or make it first"):
        write_backup(home, tmp_path / "stick" / "penpal.zip")
    assert not (tmp_path / "stick").exists()


def test_a_backup_that_fails_leaves_the_one_before(home: Home, file: Path) -> None:
    write_backup(home, file)
    before = file.read_bytes()
    home.config_file.unlink()
    os.mkfifo(home.config_file)  # no file that could be read; and is passed over
    with sqlite3.connect(home.database) as db:
        db.execute("INSERT INTO turns (conversation_id, prompt, messages, created_utc) VALUES (77, '', '[]', '')")
    with pytest.raises(BackupError):
        write_backup(home, file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_nothing_is_left_in_the_home_and_what_a_killed_one_left_is_removed(home: Home, file: Path) -> None:
    (home.folder / ".backup").mkdir()
    (home.folder / ".backup" / "penpal.db").write_text("half a copy")
    before = contents(home.folder)
    write_backup(home, file)
    del before[".backup/penpal.db"]
    assert contents(home.folder) == before


def test_a_home_that_cannot_be_written_is_backed_up_all_the_same(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: may(path, mode) and Path(path) != home.folder)
    write_backup(home, file)
    assert back(file, Home(home.folder.parent / "other")).rows["drafts"] == 6


# --- while others write -----------------------------------------------------------------------------------------


def test_backups_that_are_taken_while_a_program_writes_are_whole(
    home: Home, file: Path, tmp_path: Path, writer: subprocess.Popen[str]
) -> None:
    assert writer.stdout
    for _ in range(3):
        said = int(writer.stdout.readline())
        write_backup(home, file)
        taken = all_rows(database_in(file, tmp_path))
        stored = [row["id"] for row in taken["turns"]]
        assert stored == list(range(1, stored[-1] + 1))
        assert stored[-1] >= said  # what was said to be stored before the backup is in it
        answered = {row["turn_id"] for row in taken["feedback"]}
        assert set(stored[3:-1]) <= answered  # only the very last may wait for its answer


def test_only_one_backup_at_a_time(home: Home, file: Path) -> None:
    from core.backup import alone_at_it

    with alone_at_it(home), pytest.raises(BusyError, match="Another backup or restore of this home is at work"):
        write_backup(home, file)


# --- restoring --------------------------------------------------------------------------------------------------


def test_a_restored_home_is_what_it_was(home: Home, file: Path) -> None:
    rows, before = all_rows(home.database), contents(home.folder)
    write_backup(home, file, everything=True)
    other = Home(home.folder.parent / "other")
    done = back(file, other)
    assert (done.aside, done.missing, done.rows["feedback"]) == (None, (), 4)
    assert all_rows(other.database) == rows
    left_out = {"penpal.db", "serve.token", "runs/layers.checkpoint.safetensors"}
    assert {name: data for name, data in contents(other.folder).items() if name != "penpal.db"} == {
        name: data for name, data in before.items() if name not in left_out
    }
    assert [path for path in other.folder.rglob("*") if path.stat().st_mode & 0o077] == []


def test_what_was_there_is_set_aside_as_a_home_of_its_own(home: Home, file: Path) -> None:
    write_backup(home, file)
    store = Store(home.database)
    store.keep_unsaved("composer", "written after the backup")
    store.close()
    home.config_file.write_text("[drafts]\ntemperature = 1.5\n")
    rows = all_rows(home.database)
    with time_machine.travel("2026-03-04T05:06:07Z"):
        done = back(file, home)
    assert done.aside is not None
    assert done.aside.name.startswith("before-restore-202603")
    assert all_rows(done.aside / "penpal.db") == rows
    assert (done.aside / "config.toml").read_text() == "[drafts]\ntemperature = 1.5\n"
    assert (done.aside / "encoders" / f"{VOICE}.safetensors").is_file()
    restored = Store(home.database)
    assert restored.unsaved("composer") == "half a thought"
    restored.close()
    assert home.config_file.read_text() == "[drafts]\ntemperature = 0.5\n"


def test_two_restores_in_one_second_set_aside_twice(home: Home, file: Path) -> None:
    write_backup(home, file)
    with time_machine.travel("2026-03-04T05:06:07Z", tick=False):
        first, second = back(file, home).aside, back(file, home).aside
    assert first is not None
    assert second == first.with_name(f"{first.name}-2")


def test_a_home_in_use_is_not_restored_into(home: Home, file: Path, idler: subprocess.Popen[str]) -> None:
    write_backup(home, file)
    before = contents(home.folder)
    with pytest.raises(BusyError, match=r"has .*penpal.db open \(chat, rate, serve, a nightly run\?\): close it"):
        back(file, home)
    assert contents(home.folder) == before
    assert not home.backups.exists()
    idler.send_signal(signal.SIGKILL)
    idler.wait()
    assert back(file, home).aside is not None


def test_a_damaged_home_is_restored_and_the_damage_kept(home: Home, file: Path) -> None:
    write_backup(home, file)
    home.database.write_bytes(b"Dear diary, " * 1000)
    home.database.with_name("penpal.db-wal").write_bytes(b"a log of what was lost")
    done = back(file, home)
    assert done.aside is not None
    assert (done.aside / "penpal.db").read_bytes() == b"Dear diary, " * 1000
    assert (done.aside / "penpal.db-wal").read_bytes() == b"a log of what was lost"
    store = Store(home.database)
    assert (store.check(), store.counts()["drafts"]) == ([], 6)
    store.close()


@pytest.mark.parametrize("schema", [SCHEMAS[0], SCHEMAS[-1]], ids=["first", "third"])
def test_an_older_backup_is_upgraded(home: Home, file: Path, tmp_path: Path, schema: tuple[str, ...]) -> None:
    """As an older PenPal wrote it: its database, and its voices."""
    write_backup(home, file)
    database_with(tmp_path / "old" / "penpal.db", schema)
    with sqlite3.connect(tmp_path / "old" / "penpal.db") as db:
        db.execute("PRAGMA journal_mode = DELETE")
    _replace_database(file, (tmp_path / "old" / "penpal.db").read_bytes())
    assert back(file, Home(tmp_path / "other")).rows["feedback"] == 4
    with sqlite3.connect(tmp_path / "other" / "penpal.db") as db:
        assert {row[0] for row in db.execute("SELECT name FROM _sqlite_migrations")} == set(MIGRATIONS)


def test_a_backup_of_a_newer_schema_is_refused_in_one_line(home: Home, file: Path, tmp_path: Path) -> None:
    (tmp_path / "newer.db").write_bytes(home.database.read_bytes())
    with sqlite3.connect(tmp_path / "newer.db") as db:
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('penpal', 'm999_x', '')")
        db.commit()
        db.execute("PRAGMA journal_mode = DELETE")
    write_backup(home, file)
    _replace_database(file, (tmp_path / "newer.db").read_bytes())
    rows, before = all_rows(home.database), names_in(home)
    with pytest.raises(StoreError, match=r"newer PenPal \(it has 'm999_x'\): update PenPal. Nothing was changed\.$"):
        back(file, home)
    assert (all_rows(home.database), names_in(home)) == (rows, before)


def _replace_database(file: Path, data: bytes) -> None:
    import hashlib

    files = json.loads(zipfile.ZipFile(file).read("manifest.json"))["files"]
    new = {"name": "penpal.db", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    tampered(file, {"penpal.db": data}, {"files": [new if f["name"] == "penpal.db" else f for f in files]})


def test_a_restore_that_fails_at_the_last_step_changes_nothing(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_backup(home, file)
    rows, before, rename = all_rows(home.database), contents(home.folder), os.replace

    def fail_at_the_database(source: Path, target: Path) -> None:
        if target == home.database:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail_at_the_database)
    with pytest.raises(StoreError, match="No space left on device"):
        back(file, home)
    assert all_rows(home.database) == rows
    assert {**contents(home.folder), "penpal.db": b""} == {**before, "penpal.db": b""}


def test_settings_that_name_files_of_the_home_follow_it(home: Home, file: Path) -> None:
    clap = home.backbones / "0123456789abcdef" / "clap.safetensors"
    gguf = clap.with_name("model.gguf")
    home.config_file.write_text(f"clap = '{clap}'\nbackbone = '{gguf}'  # mine\n")
    write_backup(home, file)
    other = Home(home.folder.parent / "other")
    done = back(file, other)
    moved = other.backbones / "0123456789abcdef"
    assert other.config_file.read_text() == f'clap = "{moved / clap.name}"\nbackbone = "{moved / gguf.name}"  # mine\n'
    assert done.lacks == (moved / gguf.name,)


# --- files from anywhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x.toml", "/etc/passwd", "encoders/../../x", "serve.token", "encoders", "encoders/a/b", "runs/.x", "..",
     "backbones/a/b/c", "encoders/a\x00", "encoders/a\n", "C:\\x", "encoders\\x", ""],
)  # fmt: skip
def test_names_that_are_not_of_a_home_are_refused(home: Home, file: Path, name: str) -> None:
    write_backup(home, file)
    files = json.loads(zipfile.ZipFile(file).read("manifest.json"))["files"]
    odd = {"name": name, "size_bytes": 1, "sha256": "0" * 64}
    tampered(file, {name: b"x"} if name else {}, {"files": [*files, odd]})
    before = contents(home.folder)
    with pytest.raises(BackupError, match=r"is not a backup that PenPal understands: .* is no file of a home"):
        back(file, home)
    assert contents(home.folder) == before


def test_files_that_differ_from_the_manifest_are_refused(home: Home, file: Path) -> None:
    write_backup(home, file)
    good = file.read_bytes()
    for changes, why in (
        ({"config.toml": b"[drafts]\ntemperature = 9.5\n"}, "config.toml in it is not what was put in"),
        ({"config.toml": b"longer than it was, by much more than a little"}, "does not hold the files that it lists"),
        ({"config.toml": None}, "does not hold the files that it lists"),
        ({"runs/new.md": b"x"}, "does not hold the files that it lists"),
        ({"manifest.json": None}, "is not a backup of PenPal"),
    ):
        file.write_bytes(good)
        with pytest.raises(BackupError, match=why):
            back(tampered(file, dict(changes)), home)


def test_a_format_of_the_future_asks_for_an_update(home: Home, file: Path) -> None:
    write_backup(home, file)
    with pytest.raises(BackupError, match="was written by a newer PenPal: update PenPal"):
        back(tampered(file, {}, {"format_version": 2}), home)


def test_what_unpacks_to_more_than_it_says_is_not_unpacked(home: Home, file: Path) -> None:
    """A bomb: a hundred megabytes of zeros, of which the archive's own index says that they are nine bytes."""
    write_backup(home, file)
    files = json.loads(zipfile.ZipFile(file).read("manifest.json"))["files"]
    small = {"name": "runs/bomb.md", "size_bytes": 9, "sha256": "0" * 64}
    manifest = {**json.loads(zipfile.ZipFile(file).read("manifest.json")), "files": [*files, small]}
    bomb = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in old.namelist():
            archive.writestr(name, json.dumps(manifest) if name == "manifest.json" else old.read(name))
        archive.writestr("runs/bomb.md", bytes(100_000_000))
        next(entry for entry in archive.filelist if entry.filename == "runs/bomb.md").file_size = 9
    file.write_bytes(bomb.getvalue())
    with pytest.raises(BackupError, match="damaged"):
        back(file, home)


def test_more_than_the_disk_takes_is_refused(home: Home, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import core.restore

    write_backup(home, file)
    monkeypatch.setattr(core.restore, "SPARE_BYTES", 10**18)
    with pytest.raises(BackupError, match=r"needs \d+ MB and 0 MB are free in .*: free some space\. Nothing was"):
        back(file, home)


def test_what_is_no_backup_at_all_is_refused(home: Home, tmp_path: Path) -> None:
    for data in (b"", b"Dear diary", b"PK\x03\x04" + bytes(100), b"age-encryption.org/v1\nnonsense"):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises((BackupError, Exception), match=r"is not a backup of PenPal|locked with a key or damaged"):
            restore(tmp_path / "x", home, lambda: "secret")
    with pytest.raises(BackupError, match="cannot be read: No such file"):
        back(tmp_path / "nothing", home)


def test_cut_short_anywhere_it_is_refused(home: Home, file: Path) -> None:
    write_backup(home, file)
    data = file.read_bytes()
    for end in range(0, len(data), len(data) // 20):
        file.write_bytes(data[:end])
        with pytest.raises(BackupError):
            back(file, home)

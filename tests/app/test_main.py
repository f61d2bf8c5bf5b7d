"""The edge: every mistake and every accident is one line and an exit code, without a traceback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import core.database
from core.store import Store
from tests.app.conftest import Result
from tests.hooked_decoder import HookedDecoder

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]


def started(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real program, with pipes instead of a terminal."""
    return subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_newer_database_is_one_clear_line(penpal: Run, penpal_home: Path) -> None:
    Store(penpal_home / "penpal.db").close()
    with sqlite3.connect(penpal_home / "penpal.db") as db:
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('penpal', 'm999_x', '')")
    assert penpal("write", "Hi.") == Result(
        1,
        "",
        f"penpal: {penpal_home / 'penpal.db'} was written by a newer PenPal (it has 'm999_x'): update PenPal. "
        "Nothing was changed.\n",
    )


def test_a_locked_database_is_one_clear_line(penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.database, "BUSY_TIMEOUT_S", 0.05)
    Store(penpal_home / "penpal.db").close()
    with sqlite3.connect(penpal_home / "penpal.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        assert penpal("write", "Hi.") == Result(
            1, "", f"penpal: {penpal_home / 'penpal.db'} is locked by another program: close it and try again.\n"
        )


def test_a_file_that_is_no_database_is_one_clear_line(penpal: Run, penpal_home: Path) -> None:
    penpal_home.mkdir()
    (penpal_home / "penpal.db").write_text("Dear diary, " * 100, encoding="utf-8")
    found = penpal("encoder", "list")
    assert found == Result(
        1,
        "",
        f"penpal: {penpal_home / 'penpal.db'} is not a PenPal database, or it is damaged (file is not a database).\n",
    )


def test_a_home_that_cannot_be_made_is_one_clear_line(
    penpal: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PENPAL_HOME", str(tmp_path / "file" / "home"))
    found = penpal("encoder", "list")
    assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
    assert found.err.endswith("Not a directory. Set PENPAL_HOME elsewhere.\n")


def test_a_wrong_setting_is_one_clear_line(penpal: Run, penpal_home: Path) -> None:
    penpal_home.mkdir()
    (penpal_home / "config.toml").write_text("[drafts]\ntemperature = 9\n", encoding="utf-8")
    found = penpal("encoder", "list")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert found.err.startswith("penpal: Setting 'drafts.temperature'")


def test_ctrl_c_anywhere_ends_with_130_and_without_a_word(penpal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(self: Store) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "encoders", press)
    assert penpal("encoder", "list") == Result(130, "", "")


def test_our_own_bugs_keep_their_traceback(penpal: Run, decoder: HookedDecoder) -> None:
    def bug(number: int) -> None:
        raise ZeroDivisionError

    decoder.before_token = bug
    with pytest.raises(ZeroDivisionError):
        penpal("write", "Hi.")


def test_a_missing_gguf_is_one_clear_line() -> None:
    found = started("write", "Hi.", PENPAL_BACKBONE="/nowhere/x.gguf")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == "penpal: No backbone at /nowhere/x.gguf: give the path of a GGUF file.\n"


@pytest.mark.parametrize(
    "arguments", [("wirte",), ("write", "--nonsense"), ("write", "x", "-n", "0"), ("feedback", "pick")]
)
def test_a_wrong_command_ends_with_2_and_a_way_out(arguments: tuple[str, ...], penpal: Run) -> None:
    found = penpal(*arguments)
    assert (found.code, found.out) == (2, "")
    assert "--help" in found.err
    assert "Traceback" not in found.err


def test_the_version_is_printed(penpal: Run) -> None:
    assert penpal("--version").out.startswith("penpal ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to try")
def test_output_that_finds_a_full_disk_is_one_clear_line() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        found = subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", "encoder", "list"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (found.returncode, found.stderr) == (1, "penpal: The disk is full: free some space and try again.\n")


def test_a_reader_that_closes_the_pipe_is_no_error_to_talk_about() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from app.cli import main; main()", "encoder", "list"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1
    process.stderr.close()


def test_chat_without_a_terminal_is_one_clear_line() -> None:
    found = started("chat")
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)

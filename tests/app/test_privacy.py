"""What the first screen promises: nothing leaves this machine, and all that is kept lies in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.app.test_terminal import PENPAL

WITHOUT_NETWORK = ("unshare", "--net", "--map-root-user")
"""Runs a command where there is no network at all, not even this machine's own."""


def can_go_without_network() -> bool:
    return (
        shutil.which("unshare") is not None and subprocess.run([*WITHOUT_NETWORK, "true"], check=False).returncode == 0
    )


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home folder, and a place for temporary files in it."""
    (tmp_path / "ann" / "tmp").mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "ann" / "tmp"))
    monkeypatch.delenv("PENPAL_HOME")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return tmp_path / "ann"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_that_is_kept_lies_in_one_folder(elsewhere: Path) -> None:
    subprocess.run([PENPAL, "chat", "--plain"], input=b"Write about the sea.\n1\n\n", check=True, capture_output=True)
    files = {path for path in elsewhere.rglob("*") if path.is_file()}
    (database,) = [path for path in files if path.name == "penpal.db"]
    assert [path for path in files if database.parent not in path.parents] == []
    assert b"Write about the sea." in database.read_bytes()
    assert database.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not can_go_without_network(), reason="this system does not let a program go without a network")
def test_drafts_are_written_and_learned_from_without_any_network(penpal_home: Path) -> None:
    lines = b"Write about the sea.\n1\n\n"
    ended = subprocess.run([*WITHOUT_NETWORK, PENPAL, "chat", "--plain"], input=lines, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"Kept." in ended.stdout

"""`penpal backup` and `penpal restore` as a person uses them, with the programs that may be open meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.tui.first_run import note_tour_seen
from core.paths import Home
from core.store import Store
from tests.app.conftest import Result
from tests.app.pseudo_terminal import Terminal
from tests.core.filled_home import MIGRATIONS, VOICE, all_rows, database_with, filled_home

Run = Callable[..., Result]
UNSAVED = "unsaved_texts"
PENPAL = Path(sys.executable).parent / "penpal"


@pytest.fixture
def home(penpal_home: Path) -> Home:
    return filled_home(penpal_home)


def test_a_backup_says_what_is_in_it_and_how_to_get_it_back(penpal: Run, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "b.zip"
    found = penpal("backup", file)
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith(f"Wrote {file}: 2 conversations, 6 drafts, 4 answers, 1 voice; 0.0 MB, read again and")
    assert found.out.endswith(f"penpal restore {file}\n")
    again = penpal("backup", file)
    assert again == Result(2, "", f"penpal: {file} exists: choose another name, or add --force to replace it.\n")
    told = penpal("backup", file, "--force", "--json").json
    assert (told["rows"]["feedback"], told["missing"], told["encrypted"]) == (4, [], False)


def test_a_restore_says_what_was_there_before(penpal: Run, home: Home, tmp_path: Path) -> None:
    penpal("backup", tmp_path / "b.zip")
    (home.encoders / f"{VOICE}.safetensors").unlink()
    found = penpal("restore", tmp_path / "b.zip")
    (aside,) = home.backups.iterdir()
    assert (found.code, found.err) == (0, "")
    assert f"What was there before: {aside} (to look into it: PENPAL_HOME={aside} penpal chat)" in found.out
    assert (home.encoders / f"{VOICE}.safetensors").is_file()
    other = penpal("restore", tmp_path / "b.zip", "--into", tmp_path / "other", "--json").json
    assert (other["aside"], other["rows"]["drafts"]) == (None, 6)


def test_a_voice_that_is_not_in_the_backup_is_named(penpal: Run, home: Home, tmp_path: Path) -> None:
    (home.encoders / f"{VOICE}.safetensors").unlink()
    assert penpal("backup", tmp_path / "b.zip").err == (
        f"penpal: Voice {VOICE[:12]} is not in it: its file was removed or is damaged.\n"
    )


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_wrong_use_is_one_line(command: str, penpal: Run, tmp_path: Path) -> None:
    found = penpal(command, tmp_path / "no" / "file.zip")
    assert (found.out, found.err.count("\n"), found.code in (1, 2)) == ("", 1, True)
    assert not (tmp_path / "no").exists()


def test_nobody_to_ask_for_a_passphrase_is_one_line(penpal: Run, home: Home, tmp_path: Path) -> None:
    found = penpal("backup", tmp_path / "b.age", "--passphrase", piped="")
    assert (found.code, found.err) == (
        2, "penpal: Nobody can be asked for the passphrase here: give --passphrase-file PATH.\n",
    )  # fmt: skip


@pytest.mark.slow  # age takes a second of an idle machine for each time, and much more of a busy one
def test_a_locked_backup_opens_with_its_passphrase_only(penpal: Run, home: Home, tmp_path: Path) -> None:
    (tmp_path / "right").write_text("correct horse\nsecond line\n")
    (tmp_path / "wrong").write_text("battery\n")
    file = tmp_path / "b.age"
    assert penpal("backup", file, "--passphrase-file", tmp_path / "right").code == 0
    assert "Zoë".encode() not in file.read_bytes()
    assert file.read_bytes().startswith(b"age-encryption.org/v1\n")
    rows = all_rows(home.database)
    wrong = penpal("restore", file, "--passphrase-file", tmp_path / "wrong")
    assert (wrong.code, wrong.err) == (
        1, "penpal: The passphrase does not open this file: it is another one, or the file is damaged.\n",
    )  # fmt: skip
    assert all_rows(home.database) == rows
    assert penpal("restore", file, "--passphrase-file", tmp_path / "right").code == 0
    assert {**all_rows(home.database), "vectors": []} == {**rows, "vectors": []}


def test_an_upgrade_says_where_the_old_database_is(penpal: Run, penpal_home: Path) -> None:
    database_with(penpal_home / "penpal.db", MIGRATIONS[:1])
    first, second = penpal("encoder", "list"), penpal("encoder", "list")
    (copy,) = (penpal_home / "backups").iterdir()
    assert first.err == f"penpal: Your database was upgraded for this version; as it was before, it is in {copy}.\n"
    assert (first.code, second.err) == (0, "")


# --- real programs ----------------------------------------------------------------------------------------------


@pytest.fixture
def chat(penpal_home: Path) -> Iterator[Terminal]:
    """`penpal chat` in a new home, not for the first time."""
    with closing(Store(Home(penpal_home).database)) as store:
        note_tour_seen(store)
    opened = Terminal(PENPAL, "chat")
    yield opened
    opened.close()


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PENPAL, *arguments], capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_chat_goes_on_during_a_backup_and_its_text_comes_back(
    chat: Terminal, penpal_home: Path, tmp_path: Path
) -> None:
    """Typed, backed up, killed, the home lost, restored: the next chat has the text in its composer."""
    chat.wait_for("your prompt", within_s=240)
    chat.type("half a thought of mine")
    chat.wait_for("5 words", within_s=60)
    file = tmp_path / "b.zip"
    deadline = time.monotonic() + 60
    while True:  # the composer is stored a moment after the last key
        made = command("backup", file, "--force")
        assert (made.returncode, made.stderr) == (0, "")
        command("restore", file, "--into", tmp_path / "look")
        if "half a thought of mine" in [row["text"] for row in all_rows(tmp_path / "look" / "penpal.db")[UNSAVED]]:
            break
        assert time.monotonic() < deadline
    refused = command("restore", file)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "open (chat, rate, serve, a nightly run?): close it, then try again." in refused.stderr
    chat.process.kill()
    chat.wait_for_end(within_s=60)
    shutil.rmtree(penpal_home)
    assert command("restore", file).returncode == 0
    again = Terminal(PENPAL, "chat")
    try:
        again.wait_for("half a thought of mine", within_s=240)
    finally:
        again.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_serve_keeps_a_restore_out_once_it_has_the_database_open(home: Home, tmp_path: Path) -> None:
    home.config_file.unlink()
    with closing(Store(home.database)) as store:
        store.activate_encoder(None, "chosen by hand")
    serve = subprocess.Popen(
        [PENPAL, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert serve.stdout
        address = serve.stdout.readline().partition("=")[2].strip()
        token = serve.stdout.readline().partition("=")[2].strip()
        body = {"model": "generic", "max_tokens": 4, "messages": [{"role": "user", "content": "Hello, Zebulon."}]}
        request = urllib.request.Request(
            f"{address}/chat/completions", json.dumps(body).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=240) as answer:
            assert answer.status == 200
        made = command("backup", tmp_path / "b.zip")
        assert (made.returncode, made.stderr) == (0, "")
        assert token.encode() not in (tmp_path / "b.zip").read_bytes()
        refused = command("restore", tmp_path / "b.zip")
        assert (refused.returncode, "close it, then try again" in refused.stderr) == (1, True)
    finally:
        serve.terminate()
        _, told = serve.communicate(timeout=60)
    assert [word for word in (token, "Zebulon") if word in told] == []
    assert command("restore", tmp_path / "b.zip").returncode == 0

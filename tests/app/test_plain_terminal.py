"""Plain lines in a real terminal and through real pipes: half-typed lines survive, keys come from the terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.feedback import in_force
from core.paths import Home
from core.store import Store
from tests.app.pseudo_terminal import Terminal
from tests.app.test_terminal import PENPAL

ASK = """
import sys
from app.plain import InputEnded, Lines, leaving_on_signals
try:
    with leaving_on_signals():
        print("heard", repr(Lines().ask("Say")))
except InputEnded as end:
    print("left with", repr(end.half_typed), end.exit_code)
"""


@pytest.fixture
def asking() -> Iterator[Terminal]:
    opened = Terminal(sys.executable, "-c", ASK)
    opened.wait_for("Say>", within_s=60)
    yield opened
    opened.close()


def test_ctrl_c_hands_over_the_half_typed_line(asking: Terminal) -> None:
    asking.type("half a thöught")
    asking.type("\x03")
    asking.wait_for("left with 'half a thöught' 130", within_s=60)


def test_a_kill_does_so_too(asking: Terminal) -> None:
    asking.type("half a thought")
    asking.wait_for("half a thought", within_s=60)
    asking.process.terminate()
    asking.wait_for("left with 'half a thought' 143", within_s=60)


def test_a_closed_terminal_ends_without_a_traceback(tmp_path: Path) -> None:
    said = tmp_path / "said"
    asking = Terminal(sys.executable, "-c", f"import sys; sys.stderr = open({str(said)!r}, 'w')\n{ASK}")
    asking.wait_for("Say>", within_s=60)
    asking.hang_up()
    assert asking.process.wait(timeout=60) in (0, 1)
    assert "termios" not in said.read_text()


def test_ctrl_d_ends_an_empty_line_and_an_answer_is_heard(asking: Terminal) -> None:
    asking.type("\x04")
    asking.wait_for("left with '' 0", within_s=60)


def test_a_line_that_the_terminal_cuts_is_told(asking: Terminal) -> None:
    for _ in range(50):
        asking.send(b"x" * 100)
    asking.type("\n")
    asking.wait_for("may have cut this line", within_s=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_plain_chat_with_the_real_backbone_through_a_pipe(penpal_home: Path) -> None:
    lines = b"Write one sentence about the sea.\n1\n\nq\n"
    ended = subprocess.run([PENPAL, "chat", "--plain"], input=lines, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"\x1b" not in ended.stdout
    store = Store(Home(penpal_home).database)
    assert [act.kind for act in in_force(store.acts(1))] == ["pick", "accept"]
    store.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_plain_chat_in_a_terminal_edits_in_the_editor_and_keeps_what_is_half_typed(
    penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "And a word of mine." >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    terminal = Terminal(PENPAL, "chat", "--plain")
    terminal.wait_for("What would you like to write?", within_s=240)
    terminal.type("Write one sentence about the sea.\n")
    terminal.wait_for("1 or 2?", within_s=240)
    terminal.type("e 1\n")
    terminal.wait_for("Your version is saved", within_s=60)
    terminal.type("a\n")
    terminal.wait_for("Kept.", within_s=60)
    terminal.wait_for("What would you like to write?", within_s=60)  # before that, Ctrl-C drops what was typed
    terminal.type("half a thought")
    terminal.type("\x03")
    assert terminal.wait_for_end(within_s=60) == 130
    assert b"\x1b" not in terminal.raw()
    terminal.close()
    store = Store(Home(penpal_home).database)
    assert (store.accepted_text(1) or "").endswith("And a word of mine.")
    assert store.unsaved("composer of conversation 1") == "half a thought"
    store.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ctrl_c_stops_the_drafts_and_keeps_what_is_there(penpal_home: Path) -> None:
    terminal = Terminal(PENPAL, "chat", "--plain")
    terminal.wait_for("What would you like to write?", within_s=240)
    terminal.type("Write a very long story about the sea.\n")
    terminal.wait_for("Ctrl-C stops.", within_s=240)
    terminal.type("\x03")
    terminal.wait_for("1 or 2?", within_s=60)
    terminal.type("q\n")
    assert terminal.wait_for_end(within_s=60) == 0
    terminal.close()
    store = Store(Home(penpal_home).database)
    assert {draft.status for draft in store.drafts(1)} == {"cancelled"}
    store.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_piped_mail_waits_below_the_prompt_and_keys_still_come_from_the_terminal(penpal_home: Path) -> None:
    terminal = Terminal("/bin/sh", "-c", f"printf 'Dear Ann,\\nwill you come?' | '{PENPAL}' chat")
    terminal.wait_for("will you come?", within_s=240)
    terminal.wait_for("ready", within_s=240)
    terminal.type("yes")
    terminal.wait_for("6 words", within_s=60)
    terminal.type("\x11")
    assert terminal.wait_for_end(within_s=60) == 0
    terminal.close()
    store = Store(Home(penpal_home).database)
    assert store.unsaved("composer") == "yes\n\nDear Ann,\nwill you come?"
    store.close()


@pytest.mark.slow
def test_a_piped_mail_without_a_terminal_to_type_in_is_one_clear_line(penpal_home: Path) -> None:
    ended = subprocess.run(
        [PENPAL, "chat"], input=b"Dear Ann,", capture_output=True, check=False, start_new_session=True
    )
    assert ended.returncode == 2
    assert b"needs a terminal" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_plain_rating_with_the_real_backbone_through_a_pipe(penpal_home: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("Write one sentence about the sea.\n")
    ended = subprocess.run(
        [PENPAL, "rate", "--plain", "--prompts", tmp_path / "prompts.txt"],
        input=b"1!\nu\n2\nq\n", capture_output=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"\x1b" not in ended.stdout
    store = Store(Home(penpal_home).database)
    assert [act.kind for act in store.acts(1)] == ["pick", "undo", "pick"]
    store.close()

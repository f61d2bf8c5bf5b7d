"""All of writing in a real terminal: the program, its backbone, a person's keys, and the screen as tmux has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("tmux"), reason="no tmux here; test_terminal.py has the same in a bare terminal"
    ),
]
PROGRAM = f"{sys.executable} -c 'from app.cli import main; main()' chat"


class Tmux:
    """One window of 120 by 36 in a server of its own."""

    def __init__(self, home: Path) -> None:
        self._server = ["tmux", "-L", f"penpal-{os.getpid()}", "-f", "/dev/null"]
        self._run("new-session", "-d", "-s", "writing", "-x", "120", "-y", "36", "-e", f"PENPAL_HOME={home}",
                  "-e", f"PYTHONPATH={Path(__file__).parents[2]}", "sh")  # fmt: skip

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._server, *arguments], check=True, capture_output=True, text=True).stdout

    def type(self, text: str) -> None:
        self._run("send-keys", "-t", "writing", "-l", text)

    def press(self, *keys: str) -> None:
        self._run("send-keys", "-t", "writing", *keys)

    @property
    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-t", "writing")

    def wait_for(self, text: str, *, within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{self.screen}"
            time.sleep(0.1)

    def wait_until_gone(self, text: str, *, within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while text in self.screen:
            assert time.monotonic() < deadline, f"{text!r} is still on the screen:\n{self.screen}"
            time.sleep(0.1)

    def close(self) -> None:
        subprocess.run([*self._server, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def tmux(penpal_home: Path) -> Iterator[Tmux]:
    penpal_home.mkdir(parents=True)
    opened = Tmux(penpal_home)
    yield opened
    opened.close()


def test_a_person_writes_picks_edits_keeps_and_comes_back(tmux: Tmux, penpal_home: Path) -> None:
    tmux.type(PROGRAM)
    tmux.press("Enter")
    tmux.wait_for("any key", within_s=60)  # the tour
    tmux.press("Escape")
    tmux.wait_until_gone("any key")
    tmux.wait_for("your prompt")
    tmux.wait_for("ready", within_s=240)
    tmux.type("Thank my sister for the cake.")
    tmux.press("Enter")
    tmux.wait_for("more like you", within_s=120)
    tmux.press("2")
    tmux.wait_for("picked")
    tmux.press("e")
    tmux.wait_for("editing")
    tmux.type(" With love, Ann.")
    tmux.press("C-s")
    tmux.wait_for("in/out")  # the review of what was changed
    tmux.press("Enter")
    tmux.wait_for("kept")
    assert "With love, Ann." in tmux.screen
    tmux.press("C-q")
    tmux.wait_for("$")
    store = Store(penpal_home / "penpal.db")
    (conversation,) = store.conversations(origin="chat")
    (turn,) = store.turns(conversation.id)
    assert [act.kind for act in store.acts(turn.id)][:2] == ["pick", "edit"]
    kept = store.accepted_text(turn.id)
    store.close()
    assert kept is not None
    assert kept.endswith("With love, Ann.")
    tmux.type(PROGRAM)
    tmux.press("Enter")
    tmux.wait_for("With love, Ann.")

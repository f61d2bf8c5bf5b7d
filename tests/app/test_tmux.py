"""A whole session as a person has it: the real program and backbone, keys, and the screen as tmux has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.feedback import in_force
from core.store import Store
from tests.app.test_terminal import PENPAL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here; test_terminal.py has less of it without"),
]
PATIENCE_S = 240
"""Once the drafts are there in a few seconds; on a busy machine a backbone takes minutes to load."""


class Tmux:
    """A shell in a window of 120 by 36, in a server of its own."""

    def __init__(self, home: Path) -> None:
        self._server = ["tmux", "-L", f"penpal-{os.getpid()}", "-f", os.devnull]
        settings = {"PENPAL_HOME": str(home), "PENPAL_DRAFTS__MAX_TOKENS": "40", "PS1": "$ ", "LC_ALL": "C.UTF-8"}
        with_settings = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
        shell = "env -u COLUMNS -u LINES sh"  # or the program believes them, and not the window
        self._run("new-session", "-d", "-s", "writing", "-x", "120", "-y", "36", *with_settings, shell)

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._server, *arguments], check=True, capture_output=True, text=True).stdout

    def type(self, text: str) -> None:
        self._run("send-keys", "-t", "writing", "-l", text)

    def press(self, *keys: str) -> None:
        self._run("send-keys", "-t", "writing", *keys)

    @property
    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-t", "writing")

    def wait_for(self, text: str, *, gone: bool = False) -> None:
        """Until a text is on the screen, or is there no more."""
        deadline = time.monotonic() + PATIENCE_S
        while (text in self.screen) is gone:
            assert time.monotonic() < deadline, f"still waiting for {text!r}:\n{self.screen}"
            time.sleep(0.05)

    def close(self) -> None:
        subprocess.run([*self._server, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def tmux(penpal_home: Path) -> Iterator[Tmux]:
    opened = Tmux(penpal_home)
    yield opened
    opened.close()


def start(tmux: Tmux, session: str) -> None:
    tmux.type(f"{PENPAL} chat; echo the {session} session ended with $?")
    tmux.press("Enter")


def leave(tmux: Tmux, session: str) -> None:
    tmux.press("C-q")
    tmux.wait_for(f"the {session} session ended with 0")


def draft(tmux: Tmux, prompt: str) -> None:
    tmux.type(prompt)
    tmux.press("Enter")
    tmux.wait_for("tokens/s")
    tmux.wait_for("more like you")


def test_a_person_writes_edits_asks_again_finds_it_and_comes_back(tmux: Tmux, penpal_home: Path) -> None:
    start(tmux, "first")
    tmux.wait_for("any key goes on")
    tmux.press("Space")
    tmux.wait_for("your prompt ─")
    tmux.press("Escape")
    tmux.wait_for("any key", gone=True)
    tmux.wait_for("● ready")

    draft(tmux, "Thank my sister for the cake.")
    tmux.press("2")
    tmux.wait_for("✓ picked")
    tmux.press("e")
    tmux.wait_for("editing")
    tmux.type(" Love, Ann.")
    tmux.wait_for("saves it")
    tmux.press("C-s")
    tmux.wait_for("change 1 of 1")
    tmux.press("Space")
    tmux.wait_for("1 left out")
    tmux.press("Space")
    tmux.wait_for("1 left out", gone=True)
    tmux.press("Enter")
    tmux.wait_for("kept, +2")

    draft(tmux, "Now for a postcard.")
    tmux.press("R")
    tmux.wait_for("what should be different?")
    tmux.press("1")
    tmux.wait_for("asked for: shorter")
    tmux.press("1")
    tmux.wait_for("✓ picked")
    tmux.press("Enter")
    tmux.wait_for("✓ picked", gone=True)

    tmux.press("C-n")
    tmux.wait_for("new conversation")
    tmux.press("C-f")
    tmux.wait_for("search everything")
    tmux.type("cake")
    tmux.wait_for("you asked:")
    tmux.press("Enter")
    tmux.wait_for("e edit the prompt")  # the keys are those of the thread, where it was found
    assert "Now for a postcard." in tmux.screen
    tmux.press("Tab")
    tmux.wait_for("⏎ send")
    tmux.type("half a thought")
    tmux.wait_for("3 words")
    leave(tmux, "first")

    store = Store(penpal_home / "penpal.db")
    (conversation,) = store.conversations()
    first, second = store.turns(conversation.id)
    assert [act.kind for act in in_force(store.acts(first.id))] == ["pick", "edit", "accept"]
    assert [act.note for act in store.acts(second.id) if act.kind == "redo"] == ["shorter", "shorter"]
    assert (store.accepted_text(first.id) or "").endswith(" Love, Ann.")
    store.close()

    start(tmux, "second")
    tmux.wait_for("half a thought")
    tmux.wait_for("Thank my sister for the cake.")
    leave(tmux, "second")

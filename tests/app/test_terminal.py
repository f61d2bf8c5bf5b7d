"""The real program in a real terminal: type, wait for drafts, pick, leave, and look into the database."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.paths import Home
from core.store import Store

PENPAL = Path(sys.executable).parent / "penpal"
ESCAPE_SEQUENCES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[PX^_].*?\x1b\\|.)", re.DOTALL)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Terminal:
    """A program on a pseudo-terminal of 120x36. What it has drawn since the last look is searched as plain text."""

    def __init__(self, *command: str | Path) -> None:
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)
        self._drawn = b""

    def type(self, keys: str) -> None:
        self._drawn = b""
        os.write(self._mine, keys.encode())

    def wait_for(self, text: str, *, within_s: float) -> None:
        """Waits until this is drawn; fails with what was drawn instead."""
        deadline = time.monotonic() + within_s
        while text not in self.drawn():
            assert time.monotonic() < deadline, f"{text!r} was not drawn, but: {self.drawn()[-2000:]}"
            self._read(0.1)

    def wait_for_end(self, *, within_s: float) -> int:
        deadline = time.monotonic() + within_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        return self.process.wait(timeout=1)

    def drawn(self) -> str:
        return ESCAPE_SEQUENCES.sub("", self._drawn.decode(errors="ignore"))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._mine)

    def _read(self, seconds: float) -> None:
        if select.select([self._mine], [], [], seconds)[0]:
            try:
                self._drawn += os.read(self._mine, 65536)
            except OSError:  # Linux says so when the other end is closed
                time.sleep(seconds)


@pytest.fixture
def terminal(penpal_home: Path) -> Iterator[Terminal]:
    opened = Terminal(PENPAL, "chat")
    yield opened
    opened.close()


def test_a_prompt_is_drafted_picked_and_stored(terminal: Terminal, penpal_home: Path) -> None:
    terminal.wait_for("ready", within_s=240)
    terminal.type("Write two sentences about the sea.\r")
    terminal.wait_for("more like you", within_s=240)
    terminal.type("2")
    terminal.wait_for("picked", within_s=30)
    terminal.type("\x11")
    assert terminal.wait_for_end(within_s=60) == 0
    store = Store(Home(penpal_home).database)
    (conversation,) = store.conversations()
    (turn,) = store.turns(conversation.id)
    left, right = store.drafts(turn.id)
    (act,) = store.acts(turn.id)
    assert turn.prompt == "Write two sentences about the sea."
    assert (left.status, right.status) == ("done", "done")
    assert (act.kind, act.draft_id, act.other_draft_id) == ("pick", right.id, left.id)
    store.close()


def test_a_hung_up_terminal_loses_nothing(terminal: Terminal, penpal_home: Path) -> None:
    terminal.wait_for("your prompt", within_s=60)
    terminal.type("half a thought")
    terminal.wait_for("3 words", within_s=30)
    terminal.process.terminate()
    terminal.wait_for_end(within_s=240)
    store = Store(Home(penpal_home).database)
    assert store.unsaved("composer") == "half a thought"
    store.close()

"""Off to the shell and back, in a real terminal: the program stops, and comes back whole."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.pseudo_terminal import Terminal

PROGRAM = """
from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.wiring import open_penpal
from core.session import Voice
from tests.scripted_decoder import ScriptedDecoder

penpal, decoder = open_penpal(), ScriptedDecoder()
decoder.texts, decoder.delay_s = ["warm " * 40, "dry " * 40], 0.02
vars(penpal).update(decoder=decoder, voice=lambda *, generic=False: Voice(None, None))
PenPalApp(penpal, ChatScreen(penpal.store)).run()
"""


@pytest.fixture
def terminal(penpal_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    opened = Terminal(sys.executable, "-c", PROGRAM)
    yield opened
    opened.close()


def wait_until_stopped(terminal: Terminal) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        stopped, status = os.waitpid(terminal.process.pid, os.WUNTRACED | os.WNOHANG)
        if stopped:
            assert os.WIFSTOPPED(status)
            return
        terminal.read(0.02)  # a program whose output nobody takes cannot go on
    raise AssertionError("it did not stop in time")


@pytest.mark.skipif(not hasattr(signal, "SIGTSTP"), reason="no job control here")
def test_drafts_wait_while_it_is_stopped_and_the_whole_screen_comes_back(terminal: Terminal) -> None:
    terminal.wait_for("ready", within_s=60)
    terminal.type("Write.\r")
    terminal.wait_for("writing", within_s=30)
    terminal.type("\x1b[Z")  # shift+tab leaves the prompt, where ctrl+z undoes
    terminal.wait_for("┏━ draft 1", within_s=30)
    terminal.type("\x1a")
    wait_until_stopped(terminal)
    terminal.type("")  # forgets what was drawn so far
    os.kill(terminal.process.pid, signal.SIGCONT)
    for still_there in ("conversations", "your prompt", "draft 1"):
        terminal.wait_for(still_there, within_s=30)
    terminal.wait_for("40 words", within_s=30)
    terminal.type("\x11")
    assert terminal.wait_for_end(within_s=30) == 0

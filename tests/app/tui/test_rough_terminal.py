"""The program on a real terminal that is slow, changes its size, sends anything, or goes away."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.paths import Home
from core.store import Store
from tests.app.pseudo_terminal import Terminal

PROGRAM = """
from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.wiring import open_penpal
from core.session import Voice
from tests.scripted_decoder import ScriptedDecoder

penpal, decoder = open_penpal(), ScriptedDecoder()
decoder.texts, decoder.delay_s = ["warm " * {words}, "dry " * {words}], 0.02
vars(penpal).update(decoder=decoder, voice=lambda *, generic=False: Voice(None, None))
PenPalApp(penpal, ChatScreen(penpal.store)).run()
"""
START_PASTE, END_PASTE = "\x1b[200~", "\x1b[201~"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def start(penpal_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Terminal]]:
    """Opens PenPal on a terminal of its own; its decoder writes 50 words a second."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    opened: list[Terminal] = []

    def start(*, words: int = 40, **environment: str) -> Terminal:
        terminal = Terminal(sys.executable, "-c", PROGRAM.format(words=words), **environment)
        opened.append(terminal)
        terminal.wait_for("ready", within_s=60)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


@pytest.fixture
def store(penpal_home: Path) -> Iterator[Store]:
    store = Store(Home(penpal_home).database)
    yield store
    store.close()


def typed(store: Store, place: str = "composer") -> str:
    """What the program has saved of its composer, once it has saved something."""
    deadline = time.monotonic() + 30
    while not store.unsaved(place):
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.05)
    return store.unsaved(place)


def test_bytes_that_are_no_text_do_not_end_it(start: Callable[..., Terminal], store: Store) -> None:
    terminal = start()
    terminal.type(b"caf\xe9 " + START_PASTE.encode() + b"\xff\xfe\x00\x1b[31mred\r\n" + END_PASTE.encode() + b"and on")
    terminal.wait_for("and on", within_s=30)
    terminal.type("\x11")
    assert terminal.wait_for_end(within_s=30) == 0
    assert typed(store) == "caf\ufffd \ufffd\ufffd[31mred\nand on"
    assert store.counts()["turns"] == 0


def test_a_paste_of_two_megabytes_is_answered_soon_and_keys_after_it_too(
    start: Callable[..., Terminal], store: Store
) -> None:
    terminal = start()
    terminal.type(f"mine {START_PASTE}{'The garden is green. ' * 100_000}{END_PASTE}")
    terminal.wait_for("too long", within_s=30)
    terminal.type("\x1b")
    time.sleep(0.5)
    terminal.type("and on")
    terminal.wait_for("and on", within_s=10)
    terminal.type("\x11")
    terminal.wait_for_end(within_s=30)
    assert typed(store) == "mine and on"


def test_a_key_may_arrive_in_pieces(start: Callable[..., Terminal], store: Store) -> None:
    terminal = start(SSH_CONNECTION="192.0.2.1 50000 192.0.2.2 22")
    terminal.type("ac")
    for piece, pause_s in (("\x1b", 0.1), ("[", 0.5), ("D", 0.0), ("b", 0.0)):  # the cursor goes left
        terminal.send(piece)
        time.sleep(pause_s)
    for half in (b"\xc3", b"\xa4"):
        terminal.send(half)
        time.sleep(0.2)
    terminal.wait_for("ä", within_s=30)
    terminal.type("\x11")
    terminal.wait_for_end(within_s=30)
    assert typed(store) == "abäc"


def test_a_terminal_that_changes_its_size_while_drafts_come_shows_them_all(
    start: Callable[..., Terminal], store: Store
) -> None:
    terminal = start(words=80)
    terminal.type("Write.\r")
    terminal.wait_for("writing", within_s=30)
    for size in ((60, 24), (30, 10), (200, 50), (80, 24)):
        terminal.resize(*size)
        time.sleep(0.2)
    terminal.wait_for("80 words", within_s=60)
    terminal.type("\x11")
    assert terminal.wait_for_end(within_s=30) == 0
    assert [draft.status for draft in store.drafts(1)] == ["done", "done"]


def test_a_closed_terminal_keeps_what_was_written_and_what_was_typed(
    start: Callable[..., Terminal], store: Store
) -> None:
    terminal = start(words=2000)
    terminal.type("Write.\r")
    terminal.wait_for("writing", within_s=30)
    terminal.type("half a thought")
    terminal.wait_for("3 words", within_s=30)
    terminal.hang_up()
    terminal.wait_for_end(within_s=60)
    (left, right) = store.drafts(1)
    assert (left.status, right.status) == ("cancelled", "cancelled")
    assert left.text.startswith("warm warm")
    assert typed(store, "composer of conversation 1") == "half a thought"


def test_two_at_once_on_one_home_both_work(start: Callable[..., Terminal], store: Store) -> None:
    first, second = start(words=100), start(words=100)
    first.type("One.\r")
    first.wait_for("writing", within_s=30)
    second.type("Two.\r")
    second.wait_for("writing", within_s=30)
    for terminal in (first, second):
        terminal.wait_for("more like you", within_s=120)
        terminal.type("2")
        terminal.wait_for("picked", within_s=30)
        terminal.type("\x11")
        assert terminal.wait_for_end(within_s=30) == 0
    assert [turn.prompt for conversation in (1, 2) for turn in store.turns(conversation)] == ["One.", "Two."]
    for turn_id in (1, 2):
        assert [draft.text.split() for draft in store.drafts(turn_id)] == [["warm"] * 100, ["dry"] * 100]
        assert [act.kind for act in store.acts(turn_id)] == ["pick"]

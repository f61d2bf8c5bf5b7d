"""What comes from the terminal: pastes of anything, and sequences that arrive in pieces."""

from __future__ import annotations

import time

import pytest
import textual._parser
from textual import events
from textual.message import Message

import app.tui.terminal_driver
from app.tui.terminal_driver import ESCAPE_OVER_SSH_S, REST_OF_SEQUENCE_S, KeysAndPastes

START, END = "\x1b[200~", "\x1b[201~"
UP = "\x1b[A"


class Clock:
    """Stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(textual._parser, "get_time", clock)
    monkeypatch.setattr(app.tui.terminal_driver, "get_time", clock)
    return clock


def told(messages: list[Message]) -> list[str]:
    return [
        f"paste {m.text!r}" if isinstance(m, events.Paste) else m.key
        for m in messages
        if isinstance(m, events.InputEvent | events.Paste)
    ]


def fed(*pieces: str) -> list[str]:
    parser = KeysAndPastes()
    return told([message for piece in pieces for message in parser.feed(piece)])


@pytest.mark.parametrize(
    "text", ["two\rlines", "\x1b[31mred\r", "\x1b\x1b\x1b[201", "\x00\x01\x02", "\x1b[200~ again", "日本語 👨‍👩‍👧", ""]
)
def test_a_paste_is_one_text_whatever_it_holds(text: str) -> None:
    assert fed(f"a{START}{text}{END}b") == ["a", f"paste {text!r}", "b"]


def test_marks_may_arrive_in_pieces() -> None:
    stream = f"x{START}some\x1b[31m text\r{END}y{START}more{END}"
    expected = ["x", "paste 'some\\x1b[31m text\\r'", "y", "paste 'more'"]
    for size in range(1, 9):
        assert fed(*(stream[i : i + size] for i in range(0, len(stream), size))) == expected


def test_a_paste_of_two_megabytes_is_read_in_no_time() -> None:
    parser, text = KeysAndPastes(), "The garden is green. \x1b" * 100_000
    started = time.process_time()
    stream = f"{START}{text}{END}"
    messages = [m for i in range(0, len(stream), 4096) for m in parser.feed(stream[i : i + 4096])]
    assert time.process_time() - started < 1.0
    (paste,) = messages
    assert isinstance(paste, events.Paste)
    assert paste.text == text


def test_keys_are_what_they_were() -> None:
    assert fed("a", UP, "\x1b[1;5C", "\r", "é", "\x1b[27u") == [
        "a", "up", "ctrl+right", "enter", "é", "escape",
    ]  # fmt: skip


def test_the_rest_of_a_sequence_may_come_late(clock: Clock) -> None:
    parser = KeysAndPastes()
    messages = list(parser.feed("\x1b["))
    clock.now += 0.9 * REST_OF_SEQUENCE_S
    messages += [*parser.tick(), *parser.feed("A")]
    assert told(messages) == ["up"]


@pytest.mark.parametrize(("ssh", "wait_s"), [(False, 0.1), (True, ESCAPE_OVER_SSH_S)])
def test_a_lone_escape_is_a_key_soon(clock: Clock, monkeypatch: pytest.MonkeyPatch, ssh: bool, wait_s: float) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    if ssh:
        monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")
    parser = KeysAndPastes()
    assert told(list(parser.feed("\x1b"))) == []
    assert parser.due_s == pytest.approx(clock.now + wait_s)
    clock.now += wait_s - 0.01
    assert told(list(parser.tick())) == []
    clock.now += 0.02
    assert told(list(parser.tick())) == ["escape"]
    assert parser.due_s is None

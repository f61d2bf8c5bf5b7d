"""The terminal as Textual has it, made to stand what Textual's own driver does not: any bytes, any paste, its end.

Textual 8.2 ends with a traceback at the first byte that is not UTF-8, takes seconds for a paste of 2 MB, and types what
follows an escape character in a paste as keys: a line end among them would send the prompt. When its terminal is closed
while it writes, it waits for ever for its own writing thread, which has died of it.
"""

from __future__ import annotations

import codecs
import io
import os
import selectors
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO, cast

from textual import events
from textual._parser import ParseError
from textual._time import get_time
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.app import App
from textual.constants import ESCAPE_DELAY
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

ESCAPE = "\x1b"
READ_BYTES = 1 << 16
LOOK_EVERY_S = 0.1
"""Between two looks at whether the app has ended."""
REST_OF_SEQUENCE_S = 1.0
"""Nobody types Esc and a bracket in one go: the rest of a sequence that has come so far is on its way."""
ESCAPE_OVER_SSH_S = 0.25
"""After a lone Esc character; on a slow line the rest of an arrow key may come so late. Local terminals: 0.1."""


class KeysAndPastes(XTermParser):
    """Keys as Textual reads them. What is between the marks of a paste is text, whatever it holds."""

    def __init__(self, debug: bool = False) -> None:
        self._pasted: list[str] | None = None
        """What has come of a paste; None outside of one."""
        self._end = ""
        """The last characters that came: a mark may arrive in pieces."""
        self._over_ssh = "SSH_CONNECTION" in os.environ and "ESCDELAY" not in os.environ
        super().__init__(debug)

    @property
    def due_s(self) -> float | None:
        """When what has come of a sequence is taken for all of it; None between sequences."""
        if self._timeout_time is None:
            return None
        if not self._end.endswith(ESCAPE):
            return self._timeout_time - ESCAPE_DELAY + REST_OF_SEQUENCE_S
        return self._timeout_time + (ESCAPE_OVER_SSH_S - ESCAPE_DELAY if self._over_ssh else 0.0)

    def tick(self) -> Iterable[Message]:
        if self.due_s is not None and get_time() >= self.due_s:
            yield from super().tick()

    def feed(self, data: str) -> Iterable[Message]:
        if not data:
            yield from super().feed(data)
        while data:
            mark = BRACKETED_PASTE_START if self._pasted is None else BRACKETED_PASTE_END
            known, text = self._end, self._end + data
            at = text.find(mark)
            if at < 0:
                self._end = text[-(len(mark) - 1) :]
                news, data = data, ""
            else:
                self._end = ""
                news, data = text[len(known) : at + len(mark)], text[at + len(mark) :]
            if self._pasted is None:
                yield from super().feed(news)
            else:
                self._pasted.append(news)
            if at >= 0:
                yield from self._passed_mark(mark)

    def _passed_mark(self, mark: str) -> Iterable[Message]:
        if self._pasted is None:
            self._pasted = []
            return
        text, self._pasted = "".join(self._pasted), None
        for message in super().feed(mark):  # its own paste is empty: it was given the marks only
            if not isinstance(message, events.Paste):
                yield message
        yield events.Paste(text.removesuffix(mark))


class Output(io.TextIOBase):
    """A terminal's output, which may be gone: then nothing is written, and nobody waits."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()


class TerminalDriver(LinuxDriver):
    """Textual's driver with another reader, and an output that may end."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        assert sys.__stderr__ is not None, "there is a terminal, or no app was started"
        self._file = cast(TextIOWrapper, Output(sys.__stderr__))

    def run_input_thread(self) -> None:
        """Passes on what is typed and pasted until the app ends."""
        parser = KeysAndPastes(self._debug)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                due_s = parser.due_s
                wait_s = LOOK_EVERY_S if due_s is None else min(LOOK_EVERY_S, max(0.0, due_s - get_time()))
                if selector.select(wait_s):
                    if not (data := self._read()):
                        os.kill(os.getpid(), signal.SIGHUP)  # who reads on here reads nothing, without end
                        return
                    if text := decoder.decode(data):  # none after half a character
                        self._pass_on(parser.feed(text))
                self._pass_on(parser.tick())
        with suppress(EOFError, ParseError):  # it ended within an escape sequence
            self._pass_on(parser.feed(""))

    def _read(self) -> bytes:
        """What has come; nothing when the terminal is gone."""
        try:
            return os.read(self.fileno, READ_BYTES)
        except OSError:
            return b""

    def _pass_on(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.process_message(message)

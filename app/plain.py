"""Talking line by line: for screen readers, for pipes, for whoever does not want a drawn screen.

Plain lines on stdout, answers on stdin; no colour, no cursor movement, nothing that turns. Knows nothing of drafts.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

from app.harmless import harmless
from core.errors import UsageError

LONGEST_LINE = 4095
"""Bytes of a line that a Unix terminal hands over; the rest of a longer one is gone before any program sees it."""


LONGEST_PIPED = 1_000_000
"""Characters of a line from a pipe; of a longer one nothing is taken, and no more of it than that is in memory."""


class InputEnded(Exception):
    """The person left: Ctrl-C, Ctrl-D, the end of a pipe, a closed terminal."""

    def __init__(self, half_typed: str = "", *, exit_code: int = 0) -> None:
        super().__init__(half_typed)
        self.half_typed = half_typed
        """The line that they were typing."""
        self.exit_code = exit_code


class Lines:
    """Says and asks, one line at a time."""

    def __init__(self, read: TextIO | None = None, write: TextIO | None = None) -> None:
        self._read, self._write = read or sys.stdin, write or sys.stdout
        if self._read is None:
            raise UsageError("There is nowhere to read answers from: --plain reads them from its standard input.")
        for stream in (self._read, self._write):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a stray byte must not end a conversation
        self.by_hand = self._read.isatty()
        """A person types; else the answers come from a pipe and are repeated, so that the output can be followed."""

    def say(self, text: str = "") -> None:
        """One or more lines, without anything that a terminal would act upon."""
        print(harmless(text), file=self._write, flush=True)

    def ask(self, question: str = "") -> str:
        """The next line. Raises InputEnded, with what was half typed."""
        try:
            with _half_typed_line_survives(self._read):
                self._write.write(f"{harmless(question)}> ")
                self._write.flush()
                line = self._read.readline(LONGEST_PIPED)
        except (KeyboardInterrupt, InputEnded) as left:
            code = left.exit_code if isinstance(left, InputEnded) else 130
            raise InputEnded(_half_typed_line(self._read), exit_code=code) from None
        if not line:
            raise InputEnded
        if len(line) == LONGEST_PIPED and not line.endswith("\n"):
            while (rest := self._read.readline(LONGEST_PIPED)) and not rest.endswith("\n"):
                pass
            self.say("That line is too long and was left out: PenPal reads about 3,000 words at once.")
            return self.ask(question)
        if not self.by_hand:
            self.say(line.rstrip("\n"))
        elif len(line.encode()) >= LONGEST_LINE:
            self.say("The terminal may have cut this line, it is very long. For long texts there is --file.")
        return line.rstrip("\n")

    def ask_lines(self, *, begun: str = "", keep: Callable[[str], None] = lambda text: None) -> str | None:
        """Several lines, up to one with only a dot; None when the person leaves it with '/no'.

        `keep` is given the text after each line, so that nothing is lost when the program ends meanwhile.
        """
        lines = begun.splitlines()
        try:
            while (line := self.ask()) not in (".", "/no"):
                lines.append(line)
                keep("\n".join(lines))
        except InputEnded as end:
            if end.half_typed:
                keep("\n".join([*lines, end.half_typed]))
            raise InputEnded(exit_code=end.exit_code) from None
        keep("")
        return "\n".join(lines) if line == "." else None


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """A closed terminal or a kill ends the talk in order: what is being written is finished and stored."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise InputEnded(exit_code=128 + number)

    numbers = [getattr(signal, name) for name in ("SIGHUP", "SIGTERM") if hasattr(signal, name)]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _half_typed_line_survives(stream: TextIO) -> Iterator[None]:
    """While inside, Ctrl-C does not make a Unix terminal forget the line that is being typed."""
    if (terminal := _terminal(stream)) is None:
        yield
        return
    import termios

    def keep(flags: list[Any]) -> None:
        flags[3] |= termios.NOFLSH

    with _changed_terminal(terminal, keep):
        yield


def _half_typed_line(stream: TextIO) -> str:
    """What the terminal holds of a line whose Enter has not come; empty when the terminal is gone."""
    if (terminal := _terminal(stream)) is None:
        return ""
    import termios

    def hand_over(flags: list[Any]) -> None:
        flags[3] &= ~termios.ICANON
        flags[6][termios.VMIN] = flags[6][termios.VTIME] = 0

    with suppress(OSError), _changed_terminal(terminal, hand_over):
        return os.read(terminal, LONGEST_LINE).decode(errors="replace")
    return ""


@contextmanager
def _changed_terminal(terminal: int, change: Callable[[list[Any]], None]) -> Iterator[None]:
    """The terminal behaves otherwise while inside. One that was closed meanwhile is left alone."""
    import termios

    try:
        before = termios.tcgetattr(terminal)
        flags = termios.tcgetattr(terminal)
        change(flags)
        termios.tcsetattr(terminal, termios.TCSANOW, flags)
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def _terminal(stream: TextIO) -> int | None:
    """The file descriptor of a Unix terminal."""
    if os.name != "posix" or not stream.isatty():
        return None
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None

"""A program on a pseudo-terminal of its own, which a test types into, resizes, stops and hangs up."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

ESCAPE_SEQUENCES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[PX^_].*?\x1b\\|.)", re.DOTALL)


class Terminal:
    """What the program has drawn since the last look is searched as plain text."""

    def __init__(self, *command: str | Path, size: tuple[int, int] = (120, 36), **environment: str) -> None:
        self._mine, theirs = pty.openpty()
        self._size(theirs, size)
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
        for size_elsewhere in ("COLUMNS", "LINES"):  # pytest-xdist tells its workers one
            env.pop(size_elsewhere, None)
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self._drawn = b""

    def type(self, keys: str | bytes) -> None:
        self._drawn = b""
        self.send(keys)

    def send(self, keys: str | bytes) -> None:
        """Types and goes on collecting what is drawn."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:  # a terminal takes some kilobytes at once, and only while its program reads
            select.select([], [self._mine], [])
            data = data[os.write(self._mine, data[:1024]) :]
            self.read(0)

    def read_for(self, seconds: float) -> None:
        """Takes all that is drawn in this time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.read(left)

    def rest(self) -> str:
        """What a program that has ended had drawn since the last look."""
        length = -1
        while length != len(self._drawn):
            length = len(self._drawn)
            self.read(0.02)
        return self.drawn()

    def resize(self, columns: int, rows: int) -> None:
        self._drawn = b""
        self._size(self._mine, (columns, rows))

    def wait_for(self, text: str, *, within_s: float) -> None:
        """Waits until this is drawn; fails with what was drawn instead."""
        deadline = time.monotonic() + within_s
        while text not in self.drawn():
            assert time.monotonic() < deadline, f"{text!r} was not drawn, but: {self.drawn()[-2000:]}"
            self.read(0.1)

    def wait_for_end(self, *, within_s: float) -> int:
        deadline = time.monotonic() + within_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        return self.process.wait(timeout=1)

    def wait_for_state(self, state: str, *, within_s: float) -> None:
        """`T`: stopped, `S` or `R`: going on. As Linux says it."""
        deadline = time.monotonic() + within_s
        while self.state() not in state:
            assert time.monotonic() < deadline, f"it is in state {self.state()}, not {state}"
            self.read(0.1)

    def state(self) -> str:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def raw(self) -> bytes:
        """What was drawn, with all escape sequences."""
        return self._drawn

    def drawn(self) -> str:
        return ESCAPE_SEQUENCES.sub("", self._drawn.decode(errors="ignore"))

    def hang_up(self) -> None:
        """Closes the terminal, as closing its window does."""
        os.close(self._mine)
        self._mine = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._mine >= 0:
            os.close(self._mine)

    def _size(self, descriptor: int, size: tuple[int, int]) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def read(self, seconds: float) -> None:
        """Takes what is drawn next, if something is drawn so soon."""
        if self._mine < 0:
            time.sleep(seconds)
        elif select.select([self._mine], [], [], seconds)[0]:
            try:
                self._drawn += os.read(self._mine, 65536)
            except OSError:  # Linux says so when the other end is closed
                time.sleep(seconds)

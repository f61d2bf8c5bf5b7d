"""How soon `penpal chat` can be written in, and how much memory it has when drafts were written.

    python -m benchmarks.start [--json] [--out docs/benchmarks] [--trials 5]

Measured from outside: the real program with the embedded backbone, on a pseudo-terminal, in a home that knows its
backbone and has no conversations, with files that the system has read before. A usable screen is one on which a typed
letter has been drawn. On an idle machine, that is: on a busy one it measures the others.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.metadata
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil

from app.tui.first_run import note_tour_seen
from benchmarks.pages import write_page
from benchmarks.people import PENPAL
from benchmarks.personalize import cpu_name
from core.paths import Home
from core.store import Store

COLUMNS, ROWS = 120, 36
TARGET_S, TARGET_MB = 1.5, 450
PATIENCE_S = 120.0
PROMPT = "Write a short note to the neighbours about the garden."


class Start(NamedTuple):
    """One start of the program."""

    usable_s: float
    loaded_s: float
    """Until the backbone can write."""
    loaded_mb: float
    """Resident, with what learning from an answer needs."""
    drafted_mb: float
    """Resident, after two drafts."""


class Chat:
    """`penpal chat` on a terminal of its own."""

    def __init__(self, home: Path) -> None:
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {**os.environ, "PENPAL_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PENPAL, "chat"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._drawn = b""

    def type(self, keys: str) -> None:
        self._drawn = b""
        os.write(self._mine, keys.encode())

    def wait_for(self, text: str) -> float:
        """Seconds from the start until this was drawn."""
        while text.encode() not in self._drawn:
            if not select.select([self._mine], [], [], PATIENCE_S)[0]:
                raise SystemExit(f"'penpal chat' did not show {text!r}.")
            self._drawn += os.read(self._mine, 1 << 16)
        return time.monotonic() - self.begun

    def settle(self, seconds: float) -> None:
        """Lets it work, reading what it draws."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._mine], [], [], left)[0]:
                self._drawn += os.read(self._mine, 1 << 16)

    def resident_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._mine)


def start(home: Path) -> Start:
    """Starts the program, types, and has two drafts written."""
    with closing(Chat(home)) as chat:
        chat.wait_for("your prompt")
        chat.type("ß")
        usable_s = chat.wait_for("ß")
        loaded_s = chat.wait_for("● ready")
        chat.settle(3)
        loaded_mb = chat.resident_mb()
        chat.type("\x7f" + PROMPT)
        chat.wait_for("garden.")
        chat.type("\r")
        chat.wait_for("pick")
        chat.settle(15)
        return Start(usable_s, loaded_s, loaded_mb, chat.resident_mb())


def new_home(folder: Path, number: int) -> Path:
    """With what PenPal has written down about its backbone when it was first opened."""
    home = folder / str(number)
    with closing(Store(Home(home).database)) as store:
        note_tour_seen(store)
    if number:
        shutil.copytree(Home(folder / "0").backbones, Home(home).backbones)
    return home


def measure(folder: Path, trials: int) -> dict[str, Any]:
    """Medians of so many starts, each in a home without conversations; the very first does not count."""
    starts = [start(new_home(folder, number)) for number in range(trials + 1)][1:]
    return {
        "machine": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "llama_cpp": importlib.metadata.version("llama-cpp-python"),
        "trials": trials,
        "medians": {name: median(getattr(one, name) for one in starts) for name in Start._fields},
        "worst": {name: max(getattr(one, name) for one in starts) for name in Start._fields},
    }


def as_markdown(found: dict[str, Any], command: str) -> str:
    """The page in docs/benchmarks."""
    rows = {
        "usable_s": ("until a typed letter stands on the screen", "s", f"{TARGET_S} s"),
        "loaded_s": ("until the backbone can write", "s", ""),
        "loaded_mb": ("resident, ready to write and to learn", "MB", f"{TARGET_MB} MB"),
        "drafted_mb": ("resident, after two drafts", "MB", f"{TARGET_MB} MB"),
    }
    lines = [
        "# Start and memory of the chat",
        "",
        f"`{command}` ({found['machine']}, {found['cores']} cores, llama-cpp-python {found['llama_cpp']})",
        "",
        f"{found['trials']} starts. The embedded backbone and no torch: `penpal chat`",
        "never imports it (`tests/test_without_torch.py`). Resident memory counts the 98 MB of the backbone's file.",
        "",
        "| what | median | worst | target |",
        "| --- | --- | --- | --- |",
    ]
    for name, (what, unit, target) in rows.items():
        middle, worst = found["medians"][name], found["worst"][name]
        digits = 2 if unit == "s" else 0
        lines.append(f"| {what} | {middle:.{digits}f} {unit} | {worst:.{digits}f} {unit} | {target} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and prints, or writes the page and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--trials", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.trials)
    page = as_markdown(found, f"python -m benchmarks.start --trials {options.trials}")
    if options.out:
        write_page(options.out, "start", page, found)
    print(json.dumps(found, indent=1) if options.json else page)


if __name__ == "__main__":
    main()

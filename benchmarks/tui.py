"""How fast the chat answers its person, with the real screen and the real backbone.

    python -m benchmarks.tui [--json] [--out docs/benchmarks] [--trials 10]

What is measured begins with the key event as Textual hands it to the app and ends when the screen with the answer is
written: every cell is drawn as for a terminal, into a driver that notes the time and drops the rest. The start of the
program is measured from outside, on a pseudo-terminal. Homes are made anew in a temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import importlib.metadata
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from textual import events
from textual.drivers.headless_driver import HeadlessDriver
from textual.widgets import Static

from app.tui.app import PenPalApp
from app.tui.first_run import note_tour_seen
from app.tui.screens.chat import ChatScreen
from app.wiring import PenPal, open_penpal
from benchmarks.pages import write_page
from benchmarks.people import PENPAL
from benchmarks.personalize import cpu_name
from core.paths import Home
from core.protocols import Message, Sampling
from core.store import Store

SIZE = (120, 36)
THREAD_TOKENS = 200
PROMPT = "Now write the same to Bob, a bit warmer and shorter."
KEY_EVERY_S = 0.1
"""Ten letters a second: a fast typist."""
LONG_TOKENS = 400
"""Drafts so long that everything can be measured while they are written."""
UNRELATED = [Message("user", "Something else.")]
"""Read in between, it pushes the conversation out of the decoder's cache."""
TARGETS_MS = {"first token": 300, "typing": 50, "scrolling": 50, "esc": 100}


class TimingDriver(HeadlessDriver):
    """Takes everything that would go to the terminal, and remembers when it last came."""

    written_at = 0.0

    @property
    def is_headless(self) -> bool:
        return False  # or Textual would not draw

    def write(self, data: str) -> None:
        self.written_at = time.monotonic()

    def flush(self) -> None:
        pass


@dataclass
class Measured:
    """Seconds of one kind."""

    name: str
    target_ms: int | None
    seconds: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        ordered = sorted(self.seconds)
        return {
            "what": self.name,
            "times": len(ordered),
            "median_ms": 1000 * median(ordered),
            "p95_ms": 1000 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
            "longest_ms": 1000 * ordered[-1],
            "target_ms": self.target_ms,
        }


class Chat:
    """The real screen, its keys, and when it answered."""

    def __init__(self, penpal: PenPal, app: PenPalApp, screen: ChatScreen) -> None:
        self.penpal, self.app, self.screen = penpal, app, screen

    @property
    def written_at(self) -> float:
        driver = self.app._driver
        assert isinstance(driver, TimingDriver)
        return driver.written_at

    def send(self, event: events.Event) -> float:
        """Hands an event over; returns when."""
        at = time.monotonic()
        self.app.post_message(event)
        return at

    def key(self, name: str, character: str | None = None) -> float:
        return self.send(events.Key(name, character))

    async def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit("The screen did not answer within two minutes.")
            await asyncio.sleep(0.001)

    async def shown(self, condition: Callable[[], object], since: float) -> float:
        """Waits until something is true and the screen was written after that; returns the seconds since then."""
        await self.until(condition)
        true_at = time.monotonic()
        await self.until(lambda: self.written_at >= true_at)
        return self.written_at - since

    async def at_rest(self) -> None:
        """Waits until nothing is written, recorded, learned or read ahead."""
        await self.until(lambda: self.screen.stream is None)
        await asyncio.sleep(1.0)

    async def stop(self) -> None:
        self.screen.drafting.stop()
        await self.at_rest()

    async def type(self, text: str) -> None:
        for character in text:
            self.key("space" if character == " " else character, character)
            await asyncio.sleep(KEY_EVERY_S)

    async def open(self, *, thread: bool) -> None:
        """A new conversation, or one of about THREAD_TOKENS tokens."""
        if thread:
            add_thread(self.penpal)
            await self.screen.show_conversations()
            self.screen.sidebar.highlighted = 0
            self.screen.sidebar.action_select()
        else:
            await self.screen.action_new()
        await self.at_rest()
        self.screen.composer.focus()

    def words(self) -> bool:
        """Whether a draft has text on the screen."""
        texts = self.screen.pair.query(".draft-text").results(Static)
        return self.screen.pair.display and any(str(text.content).strip() for text in texts)


def add_thread(penpal: PenPal) -> None:
    """A conversation with one kept text, as long as THREAD_TOKENS."""
    store, sentence = penpal.store, "The meeting on Thursday went well and most of the garden party is settled."
    kept, prompt = sentence, "Write to Ann about the meeting on Thursday."
    while penpal.decoder.count_tokens([Message("user", prompt), Message("assistant", kept)]) < THREAD_TOKENS:
        kept += f" {sentence}"
    writer = penpal.writer()
    writer.sampling = Sampling(max_tokens=1)
    proposal = writer.propose(prompt, conversation_id=writer.conversation(prompt, origin="chat"))
    first = proposal.run()[0]
    writer.recorder.pick(first.id)
    writer.recorder.accept(first.id, kept)
    assert store.accepted_text(proposal.turn_id) == kept


@asynccontextmanager
async def open_chat(penpal: PenPal) -> AsyncIterator[Chat]:
    screen = ChatScreen(penpal.store)
    app = PenPalApp(penpal, screen)
    app.driver_class = TimingDriver
    async with app.run_test(headless=False, size=SIZE):
        chat = Chat(penpal, app, screen)
        await chat.until(lambda: screen.status.phase == "ready")
        await chat.at_rest()
        yield chat
        await chat.stop()


async def first_token(chat: Chat, trials: int) -> list[Measured]:
    """From Enter to the first words on the screen."""
    kinds = []
    for thread in (False, True):
        length = f"{THREAD_TOKENS}-token thread" if thread else "empty thread"
        typed = Measured(f"first token, {length}, prompt typed", TARGETS_MS["first token"])
        pasted = Measured(f"first token, {length}, prompt pasted and sent at once", None)
        for trial in range(trials):
            for kind in (typed, pasted):
                await chat.open(thread=thread)
                if kind is typed:
                    await chat.type(f"{PROMPT} ({trial})")
                else:
                    await asyncio.to_thread(chat.penpal.decoder.warm, UNRELATED)
                    chat.send(events.Paste(f"{PROMPT} ({trial})"))
                enter = chat.key("enter", "\r")
                kind.seconds.append(await chat.shown(chat.words, enter))
                await chat.stop()
        kinds += [typed, pasted]
    return kinds


async def while_streaming(chat: Chat, trials: int) -> list[Measured]:
    """Keys, scrolling, Esc and the event loop's longest pause, each while two drafts are written."""
    typing = Measured("a typed letter, while drafts stream", TARGETS_MS["typing"])
    scrolling = Measured("scrolling the thread, while drafts stream", TARGETS_MS["scrolling"])
    stopped = Measured("Esc until the decoder has stopped", TARGETS_MS["esc"])
    said = Measured("Esc until the screen says so", TARGETS_MS["esc"])
    pauses = Measured("longest pause of the event loop in a stream", TARGETS_MS["typing"])
    screen, writer = chat.screen, await chat.app.writer()
    writer.sampling = replace(writer.sampling, max_tokens=LONG_TOKENS)
    for _ in range(trials):
        await chat.open(thread=True)
        await chat.type("More. ")
        await chat.shown(chat.words, chat.key("enter", "\r"))
        async with longest_pause(pauses):
            screen.composer.focus()
            for _ in range(10):
                before = screen.composer.text
                at = chat.key("x", "x")
                typing.seconds.append(await chat.shown(lambda before=before: screen.composer.text != before, at))
                await asyncio.sleep(KEY_EVERY_S / 2)
            screen.thread.focus()
            for _ in range(6):
                before = screen.thread.scroll_y
                key = "k" if before else "j"  # up, down
                at = chat.key(key, key)
                moved = lambda before=before: screen.thread.scroll_y != before  # noqa: E731
                scrolling.seconds.append(await chat.shown(moved, at))
                await asyncio.sleep(0.15)
        stream = screen.stream
        assert stream is not None, "the drafts ended before everything was measured"
        at = chat.key("escape", "\x1b")
        await chat.until(stream.ended.is_set)
        stopped.seconds.append(time.monotonic() - at)
        said.seconds.append(await chat.shown(lambda: screen.status.phase == "stopped", at))
        screen.composer.replace_text("")
    return [typing, scrolling, stopped, said, pauses]


@asynccontextmanager
async def longest_pause(pauses: Measured) -> AsyncIterator[None]:
    """Adds the longest time for which nothing else could run."""
    longest, every_s = 0.0, 0.002

    async def beat() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(every_s)
            longest = max(longest, time.monotonic() - before - every_s)

    beating = asyncio.create_task(beat())
    yield
    beating.cancel()
    pauses.seconds.append(longest)


def start(home: Path, trials: int) -> list[Measured]:
    """From the process's start to a letter typed into the composer, and to a backbone that can write."""
    with closing(Store(Home(home).database)) as store:
        note_tour_seen(store)
    typed = Measured("start of the program until a letter stands in the composer", None)
    ready = Measured("start of the program until the backbone is loaded", None)
    for _ in range(trials):
        mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        environment = {**os.environ, "PENPAL_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", PENPAL, "chat"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        drawn = b""

        def wait_for(*texts: bytes, mine: int = mine) -> None:
            nonlocal drawn
            while not any(text in drawn for text in texts):
                if not select.select([mine], [], [], 60)[0]:
                    raise SystemExit("'penpal chat' did not start.")
                drawn += os.read(mine, 1 << 16)

        wait_for(b"your prompt")
        os.write(mine, "ß".encode())
        wait_for("ß".encode())
        typed.seconds.append(time.monotonic() - begun)
        wait_for("● ready".encode())
        ready.seconds.append(time.monotonic() - begun)
        os.write(mine, b"\x7f\x11")
        while process.poll() is None:
            if select.select([mine], [], [], 0.1)[0]:
                try:
                    os.read(mine, 1 << 16)
                except OSError:
                    break
        process.wait()
        os.close(mine)
    return [typed, ready]


def as_markdown(found: dict[str, Any], command: str) -> str:
    """The page in docs/benchmarks."""
    lines = [
        "# The chat's answers to its person",
        "",
        f"`{command}` (machine {found['machine']}, {found['threads']} of them used, "
        f"llama-cpp-python {found['llama_cpp']}, textual {found['textual']})",
        "",
        "The real screen at 120x36 and the real backbone, two drafts at once. Each time runs from the key event to the",
        "screen written with the answer. *Typed*: ten letters a second, so that PenPal has read ahead what stands in",
        "the composer when Enter comes. *Pasted and sent at once*: nothing of the thread or the prompt has been read.",
        "",
        "| what | times | median | 95 of 100 within | longest | target |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        target = f"{row['target_ms']} ms" if row["target_ms"] else ""
        lines.append(
            f"| {row['what']} | {row['times']} | {row['median_ms']:.0f} ms | {row['p95_ms']:.0f} ms "
            f"| {row['longest_ms']:.0f} ms | {target} |"
        )
    return "\n".join(lines) + "\n"


async def measure(home: Path, trials: int) -> tuple[list[Measured], int]:
    """Everything but the start of the program; and how many threads the decoder used."""
    with closing(open_penpal(Home(home))) as penpal:
        await asyncio.to_thread(penpal.writer)
        async with open_chat(penpal) as chat:
            found = [*await first_token(chat, trials), *await while_streaming(chat, trials)]
        return found, penpal.decoder._context.threads


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table of Markdown, or JSON; with --out writes both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="a folder for tui.md and tui.json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        measured, threads = asyncio.run(measure(Path(folder), options.trials))
        measured += start(Path(folder) / "start", max(3, options.trials // 2))
    found = {
        "machine": f"{cpu_name()}, {os.cpu_count()} cores",
        "threads": threads,
        "llama_cpp": importlib.metadata.version("llama-cpp-python"),
        "textual": importlib.metadata.version("textual"),
        "rows": [kind.row() for kind in measured],
    }
    page = as_markdown(found, "python -m benchmarks.tui")
    print(json.dumps(found, indent=1) if options.json else page)
    if options.out:
        write_page(options.out, "tui", page, found)


if __name__ == "__main__":
    main()

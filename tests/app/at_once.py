"""Real programs that work on one home at once, each with somebody at it who notes what they were shown as done."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.app.pseudo_terminal import Terminal

PENPAL = Path(sys.executable).parent / "penpal"
PATIENCE_S = 240.0
TO_READ_S, BETWEEN_RUNS_S, BETWEEN_ANSWERS_S = 0.7, 1.0, 0.4
"""How long somebody looks at what they got; between two runs; between two answers of `rate`."""
DRAFT_TOKENS = "16"
LEFT_ITS_SCREEN = b"\x1b[?1049l"
"""How a program goes back to the lines of the terminal that it was started from."""
TROUBLE = (
    "locked by another program", "database is locked", "traceback", "penpal made a mistake", "disk is full",
    "is not answered yet", "do not lean on it yet", "these colours are for now",
)  # fmt: skip
"""What nobody should be told."""


@dataclass(frozen=True)
class Done:
    """What somebody did with a draft, and was told that it is recorded."""

    draft_id: int
    kind: str
    text: str | None = None


@dataclass
class Together:
    """What all of them share: when to end, who writes drafts now, and what was seen."""

    stop: threading.Event = field(default_factory=threading.Event)
    drafts: list[tuple[str, float, float]] = field(default_factory=list)
    """Who asked for drafts, when, and when they were there."""
    said: dict[str, list[str]] = field(default_factory=dict)
    """By program: all that it drew or printed."""
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def drafting(self, who: str, screen: Screen | None = None) -> Iterator[None]:
        """One at a time: two language models on two cores wait for each other's threads most of the time."""
        while not self._writing.acquire(blocking=screen is None):
            assert screen
            screen.read_for(0.05)
        asked = time.monotonic()
        try:
            yield
            self.drafts.append((who, asked, time.monotonic()))
        finally:
            self._writing.release()

    def hear(self, who: str, text: str) -> None:
        self.said.setdefault(who, []).append(text)

    def trouble(self) -> list[str]:
        """Who was told what nobody should be told. Lines on a screen are broken and framed: letters count."""
        return [
            f"{who}: {trouble}\n{text[-4000:]}"
            for who, texts in self.said.items()
            for text in texts
            for trouble in TROUBLE
            if letters(trouble) in letters(text)
        ]


def letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalpha())


class Screen(Terminal):
    """Keeps all that was ever drawn."""

    def __init__(self, *command: str | Path, **environment: str) -> None:
        super().__init__(*command, **environment)
        self._before = ""

    def type(self, keys: str | bytes) -> None:
        self._before += self.drawn()
        super().type(keys)

    def all_drawn(self) -> str:
        return self._before + self.drawn()


class Chatting:
    """`penpal chat`: prompts, picks, and texts that are kept."""

    def __init__(self, together: Together) -> None:
        self._together, self.screen = together, Screen(PENPAL, "chat")
        self.drafted: list[str] = []
        """Prompts for which two drafts were shown."""
        self.picked: list[tuple[str, int]] = []
        """The prompt, and the side that was shown as picked."""
        self.kept: list[str] = []
        self.left_typed = ""
        """What stood in the composer at the end."""

    def run(self) -> None:
        screen = self.screen
        screen.wait_for("● ready", within_s=PATIENCE_S)
        for number in count(1):
            screen.type("\x0e")
            screen.wait_for("new conversation", within_s=PATIENCE_S)
            if self._together.stop.is_set():
                break
            prompt = f"Chat number {number}: write one line about the sea."
            with self._together.drafting("chat", screen):
                screen.type(f"{prompt}\r")
                screen.wait_for("more like you", within_s=PATIENCE_S)
            self.drafted.append(prompt)
            screen.type(f"{1 + number % 2}")
            screen.wait_for("picked", within_s=PATIENCE_S)
            self.picked.append((prompt, number % 2))
            screen.read_for(TO_READ_S)
            screen.type("a")
            screen.wait_for("kept", within_s=PATIENCE_S)
            self.kept.append(prompt)
        self.left_typed = "what was typed at last"
        screen.type(self.left_typed)
        screen.wait_for("5 words", within_s=PATIENCE_S)
        screen.type("\x11")
        assert screen.wait_for_end(within_s=PATIENCE_S) == 0
        screen.rest()

    def close(self) -> None:
        self._together.hear("chat", self.screen.all_drawn())
        self.screen.close()


class Rating:
    """`penpal rate` with pairs that were brought along: an answer every half second."""

    def __init__(self, together: Together, folder: Path, pairs: int) -> None:
        file = folder / "pairs.jsonl"
        made = ({"prompt": f"Rate {n}.", "a": f"Oh yes, lovely {n}!", "b": f"No, not {n} again."} for n in range(pairs))
        file.write_text("".join(f"{json.dumps(pair)}\n" for pair in made))
        self._together, self._counter = together, re.compile(rf"(\d+) of {pairs}")
        self.screen = Screen(PENPAL, "rate", "--from", file, "--goal", str(pairs))
        self.answered = 0
        """As the screen counts them."""
        self.summed_up = 0
        """As it says when it closes."""

    def run(self) -> None:
        screen = self.screen
        screen.wait_for("your choice", within_s=PATIENCE_S)
        while not self._together.stop.is_set():
            screen.read_for(BETWEEN_ANSWERS_S)
            before = self.answered
            screen.type("12t"[before % 3])
            until = time.monotonic() + 10 * BETWEEN_ANSWERS_S  # a key that comes before the pair is there does nothing
            while self.answered == before and time.monotonic() < until:
                screen.read_for(0.05)
                self._count()
        screen.read_for(10 * BETWEEN_ANSWERS_S)  # what was pressed at last
        self._count()
        screen.type("q")
        assert screen.wait_for_end(within_s=PATIENCE_S) == 0
        screen.rest()
        found = re.search(rb"(\d+) answered in", screen.raw().rpartition(LEFT_ITS_SCREEN)[2])
        self.summed_up = int(found[1]) if found else 0

    def _count(self) -> None:
        self.answered = max(self.answered, *map(int, self._counter.findall(self.screen.drawn())), 0)

    def close(self) -> None:
        self._together.hear("rate", self.screen.all_drawn())
        self.screen.close()


class Serving:
    """`penpal serve`, and an editor that asks it for drafts and sends back what became of them."""

    def __init__(self, together: Together) -> None:
        self._together = together
        self._process = subprocess.Popen(
            [PENPAL, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self._address, self._token = (self._process.stdout.readline().partition("=")[2].strip() for _ in range(2))
        self.written: dict[int, str] = {}
        """Texts that came back, by draft."""
        self.acts: dict[int, Done] = {}
        """By the id that came back."""

    def run(self) -> None:
        for number in count(1):
            if self._together.stop.is_set():
                return
            first = self.draft(number)
            told = [("pick", None)] if number % 2 else [("edit", f"My own version number {number}."), ("star", None)]
            for kind, text in told:
                body = {"id": self._last, "kind": kind, **({"text": text} if text else {})}
                self.acts[self._post("feedback", body)["act_id"]] = Done(first, kind, text)
            time.sleep(TO_READ_S)

    def draft(self, number: int) -> int:
        """Has two drafts written; the first one's id."""
        body = {"n": 2, "max_tokens": int(DRAFT_TOKENS), "messages": [{"role": "user", "content": f"Note {number}."}]}
        with self._together.drafting("serve"):
            answer = self._post("chat/completions", body)
        self._last = answer["id"]
        texts = [choice["message"]["content"] for choice in answer["choices"]]
        ids: list[int] = answer["penpal"]["draft_ids"]
        self.written.update(zip(ids, texts, strict=True))
        return ids[0]

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self._address}/{path}", json.dumps(body).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def close(self) -> None:
        self._process.terminate()
        for text in self._process.communicate(timeout=PATIENCE_S):
            self._together.hear("serve", text)


class Scripting:
    """`penpal write` and `penpal feedback` from a script, one after the other."""

    def __init__(self, together: Together) -> None:
        self._together = together
        self.written: dict[int, str] = {}
        self.acts: list[Done] = []

    def run(self) -> None:
        for number in count(1):
            if self._together.stop.is_set():
                return
            with self._together.drafting("write"):
                made = self._penpal("write", f"Script number {number}: a toast.", "-n", "2", "--json")
            texts = {draft["id"]: draft["text"] for draft in json.loads(made)}
            self.written |= texts
            picked = max(texts) - number % 2
            self._penpal("feedback", "pick", str(picked))
            self.acts.append(Done(picked, "pick"))
            time.sleep(3 * TO_READ_S)

    def _penpal(self, *arguments: str) -> str:
        return succeeded(self._together, "script", *arguments)

    def close(self) -> None:
        """Nothing of it is left running."""


class Learning:
    """`penpal personalize`, again and again."""

    def __init__(self, together: Together) -> None:
        self._together = together
        self.runs: list[tuple[float, float]] = []
        """When each began and ended."""
        self.voices: list[str] = []

    def run(self) -> None:
        while not self._together.stop.is_set():
            begun = time.monotonic()
            report = json.loads(succeeded(self._together, "personalize", "personalize", "--no-drafts", "--json"))
            self.runs.append((begun, time.monotonic()))
            self.voices.append(report["encoder_id"])
            time.sleep(BETWEEN_RUNS_S)

    def close(self) -> None:
        """Nothing of it is left running."""


def succeeded(together: Together, who: str, *arguments: str) -> str:
    """What a command printed, which must end well."""
    done = subprocess.run(
        [PENPAL, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
    )
    together.hear(who, done.stderr)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout

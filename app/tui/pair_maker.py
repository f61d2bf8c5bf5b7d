"""Pairs of drafts made ahead of the person, so that the next one shows at once. Runs in a thread of its own."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from app.tui.draft_stream import DraftStream
from core.errors import BackboneError
from core.feedback import Draft
from core.session import Writer

AHEAD = 2
ATTEMPTS = 5
"""Turns tried for one prompt until its two drafts differ."""
AGAIN_SHARE = 0.1
"""So many answers are followed by an old pair; whether it is answered alike tells how noisy answers are."""


@dataclass(frozen=True)
class RatedPair:
    """Two drafts as they stand on the screen; which is which is known only here."""

    turn_id: int
    prompt: str
    shown: tuple[Draft, Draft]
    """Left and right, at random."""
    again: bool = False
    """It was answered before, with its sides swapped; the person is not told."""


class PairMaker:
    """Keeps `AHEAD` pairs ready. `run` belongs to a thread; everything else may be called from any."""

    def __init__(
        self, prompts: Sequence[str], *, context: str | None = None, chance: random.Random | None = None
    ) -> None:
        self._prompts, self._context = cycle(prompts), context
        self._unlike = len(prompts)
        self._chance = chance or random.SystemRandom()
        self._asked_again: set[int] = set()
        self._ready: deque[RatedPair] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._stream: DraftStream | None = None

    def stop(self) -> None:
        """Ends the thread within one token."""
        with self._changed:
            self._stopped = True
            if self._stream is not None:
                self._stream.stop()
            self._changed.notify_all()

    def take(self) -> RatedPair | None:
        """The next pair; None while it is being made."""
        with self._changed:
            pair = self._ready.popleft() if self._ready else None
            self._changed.notify_all()
            return pair

    def put_back(self, pair: RatedPair) -> None:
        """Shows this pair next."""
        with self._changed:
            self._ready.appendleft(pair)

    def perhaps_ask_again(self, answered: Sequence[RatedPair]) -> None:
        """Now and then makes one of these the next pair, its sides swapped; each of them once at most."""
        fresh = [pair for pair in answered if pair.turn_id not in self._asked_again]
        if fresh and self._chance.random() < AGAIN_SHARE:
            pair = self._chance.choice(fresh)
            self._asked_again.add(pair.turn_id)
            self.put_back(replace(pair, shown=(pair.shown[1], pair.shown[0]), again=True))

    @property
    def phase(self) -> str:
        """What it is doing, in words."""
        stream = self._stream
        return "making the next pair" if stream is None else stream.look().phase

    def run(self, writer: Writer) -> None:
        """Makes pairs until it is stopped. Raises BackboneError when the decoder repeats itself for every prompt."""
        failures = 0
        while self._wait():
            pair = self._make(writer, next(self._prompts))
            with self._changed:
                if pair is not None:
                    self._ready.append(pair)
            failures = 0 if pair is not None or self._stopped else failures + 1
            if failures > self._unlike:
                raise BackboneError("The drafts come out empty or the same every time: 'penpal doctor' looks into it.")

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._ready) < AHEAD)
            return not self._stopped

    def _make(self, writer: Writer, prompt: str) -> RatedPair | None:
        """Two drafts that differ; a turn whose drafts do not is left unanswered, and another one made."""
        for _ in range(ATTEMPTS):
            with self._changed:
                if self._stopped:
                    return None
                self._stream = stream = DraftStream()
            stream.run(lambda: writer.propose(prompt, origin="rate", cut=True, context=self._context))
            turn_id = stream.look().turn_id
            if turn_id is None or stream.stopped:
                return None
            left, right = writer.recorder.latest_drafts(turn_id)
            if left.text.strip() and right.text.strip() and left.text.split() != right.text.split():
                return RatedPair(turn_id, prompt, (left, right) if self._chance.random() < 0.5 else (right, left))
        return None

"""A `Decoder` that says given texts word by word, as slowly as a test wants. One word is one token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.protocols import Chunk, DraftRequest, Latent, Likelihood, Message, Sampling

WARM_AND_DRY = ("A warm and friendly draft.", "A dry one.")


class ScriptedDecoder:
    """Drafts are `texts` in turn; what it was asked is in `asked`. Change its attributes to change what it does."""

    backbone_id = "scripted"
    device = "a script"

    def __init__(self, texts: Sequence[str] = WARM_AND_DRY, *, delay_s: float = 0.0, room: int = 1000) -> None:
        self.texts, self.delay_s, self.room = texts, delay_s, room
        self.busy = False
        """Spend the delay computing in Python, which is hard on other threads, instead of sleeping."""
        self.gate: threading.Event | None = None
        """The first word of each draft comes at once, the others when this opens."""
        self.before_token: Callable[[int], None] = lambda number: None
        """Called with 0, 1, ... before the drafts' first, second, ... words."""
        self.asked: list[tuple[list[Message], list[DraftRequest]]] = []
        self.warmed: list[list[Message]] = []
        """What it was given to read ahead."""
        self.closed = False
        self._said = 0

    def room_tokens(self, sampling: Sampling) -> int:
        return self.room

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def warm(self, messages: Sequence[Message], *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        self.warmed.append(list(messages))
        return not cancelled()

    def generate(
        self,
        messages: Sequence[Message],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        self.asked.append((list(messages), list(requests)))
        tokens = self.count_tokens(messages)
        on_prefill(tokens, tokens)
        scripts = [self._script() for _ in requests]
        for number in range(max(len(script) for script in scripts)):
            self.before_token(number)
            if number == 1:
                self._wait_for_gate(cancelled)
            if cancelled():
                going_on = [i for i, script in enumerate(scripts) if number < len(script)]
                yield from (Chunk(i, "", number, "cancelled") for i in going_on)
                return
            for i, script in enumerate(scripts):
                if number < len(script):
                    yield Chunk(i, script[number], number + 1, "stop" if number + 1 == len(script) else "")
            self._take_time()

    def log_probs(self, messages: Sequence[Message], response: str, z: Latent | None) -> NDArray[np.float32]:
        raise NotImplementedError

    def likelihood(self, messages: Sequence[Message], response: str, z: Latent | None = None) -> Likelihood:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True

    def _script(self) -> list[str]:
        """The next text as tokens; an empty text is one empty token."""
        text = self.texts[self._said % len(self.texts)]
        self._said += 1
        # Split at single spaces, so that line breaks stay within their word.
        return [word if i == 0 else f" {word}" for i, word in enumerate(text.split(" "))]

    def _wait_for_gate(self, cancelled: Callable[[], bool]) -> None:
        while self.gate is not None and not self.gate.is_set() and not cancelled():
            time.sleep(0.005)

    def _take_time(self) -> None:
        if not self.busy:
            time.sleep(self.delay_s)
            return
        until = time.monotonic() + self.delay_s
        while time.monotonic() < until:
            sum(range(200))

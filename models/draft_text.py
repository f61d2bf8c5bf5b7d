"""Turns the tokens of one draft into text that can be shown: whole characters, nothing after a stop sequence."""

from __future__ import annotations

import codecs

from core.protocols import Finish, Sampling


class DraftText:
    """Grows by token bytes; holds back what may still turn out to be the start of a stop sequence."""

    def __init__(self, sampling: Sampling) -> None:
        self._stops = [stop for stop in sampling.stop if stop]
        self._max_tokens = sampling.max_tokens
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.tokens = 0
        self.finish: Finish = ""

    def add(self, piece: bytes) -> str:
        """Takes one token's bytes; returns the text that is now certain, and sets `finish` when the draft ends."""
        self.tokens += 1
        self._held += self._decoder.decode(piece)
        for stop in self._stops:
            if (at := self._held.find(stop)) >= 0:
                self._held = self._held[:at]
                self._decoder.reset()  # a character that was begun after the stop is not part of the draft
                return self.end("stop")
        if self.tokens >= self._max_tokens:
            return self.end("length")
        keep = max((n for stop in self._stops for n in range(1, len(stop)) if self._held.endswith(stop[:n])), default=0)
        ready = self._held[: len(self._held) - keep]
        self._held = self._held[len(ready) :]
        return ready

    def end(self, finish: Finish) -> str:
        """Ends the draft and returns what was held back."""
        self.finish = finish
        rest, self._held = self._held + self._decoder.decode(b"", True), ""
        return rest

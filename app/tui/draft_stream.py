"""Drafts on their way from the decoder's thread to the screen. The thread writes, the screen looks when it likes.

So chunks are batched by themselves, and the thread never waits for the screen: it can end after the screen is gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from core.session import Proposal


@dataclass(frozen=True)
class StreamView:
    """What a stream looks like at one moment."""

    turn_id: int | None
    """None until the turn is stored."""
    texts: tuple[str, ...]
    finished: tuple[bool, ...]
    tokens: int
    writing_s: float
    """Time since the first token."""
    prefilled: float
    """Share of the prompt that is read."""

    @property
    def phase(self) -> str:
        """Where it is, in words."""
        if self.tokens == 0:
            return f"reading the prompt {self.prefilled:.0%}"
        rate = f" {self.tokens / self.writing_s:.0f} tokens/s" if self.writing_s > 0.2 else ""
        return f"writing{rate}"


class DraftStream:
    """One proposal being written. `run` belongs to a thread; everything else may be called from any."""

    def __init__(self, begun: Callable[[], object] = lambda: None) -> None:
        """`begun` is called once, in the thread, when the first words have come: who looks now and then looks now."""
        self._begun = begun
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._texts: list[str] = []
        self._tokens: list[int] = []
        self._finished: list[bool] = []
        self._turn_id: int | None = None
        self._prefilled = 0.0
        self._first_token_at = 0.0
        self.ended = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Asks the decoder to end within one token; what is written so far is kept."""
        self._stop.set()

    def run(self, propose: Callable[[], Proposal]) -> None:
        """Makes the proposal and writes it to its end."""
        try:
            if self.stopped:
                return
            proposal = propose()
            with self._lock:
                self._turn_id = proposal.turn_id
                self._texts = ["" for _ in proposal.draft_ids]
                self._tokens = [0 for _ in proposal.draft_ids]
                self._finished = [False for _ in proposal.draft_ids]
            for chunk in proposal.stream(cancelled=self._stop.is_set, on_prefill=self._read):
                with self._lock:
                    begins = not self._first_token_at
                    self._first_token_at = self._first_token_at or time.monotonic()
                    self._texts[chunk.draft] += chunk.text
                    self._tokens[chunk.draft] = chunk.tokens
                    self._finished[chunk.draft] = bool(chunk.finish)
                if begins:
                    self._begun()
        finally:
            self.ended.set()

    def look(self) -> StreamView:
        """The state at this moment."""
        with self._lock:
            writing_s = time.monotonic() - self._first_token_at if self._first_token_at else 0.0
            return StreamView(
                self._turn_id,
                tuple(self._texts),
                tuple(self._finished),
                sum(self._tokens),
                writing_s,
                self._prefilled,
            )

    def _read(self, done: int, total: int) -> None:
        with self._lock:
            self._prefilled = done / total if total else 1.0

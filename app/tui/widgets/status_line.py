"""One line that always says what PenPal is doing now."""

from __future__ import annotations

import time

from textual.reactive import reactive
from textual.timer import Timer
from textual.widgets import Static

FRAMES = "◐◓◑◒"
MOMENT_S = 4.0
"""Long enough to read an aside."""


class StatusLine(Static):
    """The phase; while something goes on with a turning sign and how long it has taken."""

    phase: reactive[str] = reactive("ready")
    busy: reactive[bool] = reactive(False)
    hint: reactive[str] = reactive("")
    """What the person can do now."""
    aside: reactive[str] = reactive("")
    """What happened besides, shown for a moment."""
    _frame: reactive[int] = reactive(0)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._forgetting: Timer | None = None
        self._busy_since = 0.0

    def on_mount(self) -> None:
        self.set_interval(0.15, self._turn)

    def show(self, phase: str, *, busy: bool = False, hint: str = "") -> None:
        """Says the phase and what the person can do now."""
        self.phase, self.busy, self.hint = phase, busy, hint

    def mention(self, aside: str) -> None:
        """Says what happened besides, and forgets it after a moment."""
        self.aside = aside
        if self._forgetting is not None:
            self._forgetting.stop()
        self._forgetting = self.set_timer(MOMENT_S, self._forget)

    def _forget(self) -> None:
        self.aside = ""

    def watch_busy(self) -> None:
        self._busy_since = time.monotonic()

    @property
    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self._busy_since) if self.busy else 0
        return f"{seconds // 60}:{seconds % 60:02} min" if seconds >= 60 else f"{seconds} s" if seconds else ""

    def render(self) -> str:
        sign = FRAMES[self._frame] if self.busy else "●"
        return " · ".join(part for part in (f"{sign} {self.phase}", self._elapsed, self.aside, self.hint) if part)

    def _turn(self) -> None:
        if self.busy:
            self._frame = (self._frame + 1) % len(FRAMES)

"""One line that always says what PenPal is doing now."""

from __future__ import annotations

from textual.reactive import reactive
from textual.timer import Timer
from textual.widgets import Static

FRAMES = "◐◓◑◒"
MOMENT_S = 4.0
"""Long enough to read an aside."""


class StatusLine(Static):
    """The phase, with a turning sign while something goes on."""

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

    def render(self) -> str:
        sign = FRAMES[self._frame] if self.busy else "●"
        return " · ".join(part for part in (f"{sign} {self.phase}", self.aside, self.hint) if part)

    def _turn(self) -> None:
        if self.busy:
            self._frame = (self._frame + 1) % len(FRAMES)

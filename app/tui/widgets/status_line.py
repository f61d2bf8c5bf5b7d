"""One line that always says what PenPal is doing now."""

from __future__ import annotations

from textual.reactive import reactive
from textual.widgets import Static

FRAMES = "◐◓◑◒"


class StatusLine(Static):
    """The phase, with a turning sign while something goes on."""

    phase: reactive[str] = reactive("ready")
    busy: reactive[bool] = reactive(False)
    hint: reactive[str] = reactive("")
    """What the person can do now."""
    _frame: reactive[int] = reactive(0)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)

    def on_mount(self) -> None:
        self.set_interval(0.15, self._turn)

    def show(self, phase: str, *, busy: bool = False, hint: str = "") -> None:
        """Says the phase and what the person can do now."""
        self.phase, self.busy, self.hint = phase, busy, hint

    def render(self) -> str:
        sign = FRAMES[self._frame] if self.busy else "●"
        return f"{sign} {self.phase}" + (f" · {self.hint}" if self.hint else "")

    def _turn(self) -> None:
        if self.busy:
            self._frame = (self._frame + 1) % len(FRAMES)

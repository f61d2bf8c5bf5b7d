"""A prompt or a paste does not fit: cut its middle, or go back."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from app.tui.key_names import with_keys


class TooLongScreen(ModalScreen[bool]):
    """True: cut the middle."""

    BINDINGS = [
        Binding("c", "answer(True)", "cut the middle", id="too-long.cut", tooltip="Send the start and the end"),
        Binding("escape", "answer(False)", "go back", id="too-long.back", tooltip="Go back to the prompt"),
        Binding("left,right", "app.focus_next", show=False, id="too-long.other", tooltip="Go to the other button"),
    ]

    def __init__(self, fits: float, *, back: str) -> None:
        """`fits`: the share that PenPal can read at once. `back`: what is true when the person goes back."""
        super().__init__()
        self._fits, self._back = fits, back

    def compose(self) -> ComposeResult:
        share = f"about {self._fits:.0%}" if self._fits >= 0.01 else "less than 1%"
        with Vertical(id="too-long") as box:
            box.border_title = "the text is too long"
            yield Static(
                f"PenPal can read {share} of it at once. It can cut the middle out and take the start and the end. "
                f"Or you go back: {self._back}.",
                markup=False,
            )
            with Horizontal():
                yield Button(with_keys(self, "Cut the middle ({too-long.cut})"), id="cut", compact=True)
                yield Button(with_keys(self, "Go back ({too-long.back})"), id="back", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "cut")

    def action_answer(self, cut: bool) -> None:
        self.dismiss(cut)

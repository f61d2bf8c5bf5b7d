"""The prompt does not fit: cut its middle, or go back and shorten it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from core.errors import PromptTooLongError


class TooLongScreen(ModalScreen[bool]):
    """True: cut the middle."""

    BINDINGS = [
        Binding("c", "answer(True)", "cut the middle", id="too-long.cut", tooltip="Send the start and the end"),
        Binding("escape", "answer(False)", "go back", id="too-long.back", tooltip="Go back to the prompt"),
        Binding("left,right", "app.focus_next", show=False, id="too-long.other", tooltip="Go to the other button"),
    ]

    def __init__(self, error: PromptTooLongError) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        fits = self._error.room_tokens / self._error.tokens
        with Vertical(id="too-long") as box:
            box.border_title = "the prompt is too long"
            yield Static(
                f"It has {self._error.tokens} tokens and {self._error.room_tokens} fit, about {fits:.0%} of it. "
                "PenPal can cut the middle out and read its start and its end, or you go back and shorten it. "
                "Your text is kept either way.",
                markup=False,
            )
            with Horizontal():
                yield Button("Cut the middle (c)", id="cut", compact=True)
                yield Button("Go back (esc)", id="back", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "cut")

    def action_answer(self, cut: bool) -> None:
        self.dismiss(cut)

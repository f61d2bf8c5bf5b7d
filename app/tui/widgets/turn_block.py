"""A past turn in the thread: what was asked and what was kept."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static


class TurnBlock(Vertical):
    """The prompt, and below it the text that the person kept. A click chooses it."""

    @dataclass
    class Clicked(Message):
        """The person wants to do something with this turn."""

        turn_id: int

    def __init__(self, prompt: str, kept: str | None = None, note: str = "", *, turn_id: int | None = None) -> None:
        """`turn_id`: None while the prompt is on its way."""
        super().__init__()
        self.prompt, self.kept, self.note, self.turn_id = prompt, kept, note, turn_id

    @property
    def says(self) -> tuple[str, str | None, str, int | None]:
        """All that is shown, and of which turn."""
        return self.prompt, self.kept, self.note, self.turn_id

    def compose(self) -> ComposeResult:
        yield Static(self.prompt, classes="prompt", markup=False)
        if self.kept is not None:
            yield Static(self.kept, classes="kept", markup=False)
        if self.note:
            yield Static(self.note, classes="note", markup=False)

    def on_click(self) -> None:
        if self.turn_id is not None:
            self.post_message(self.Clicked(self.turn_id))

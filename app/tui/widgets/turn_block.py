"""A past turn in the thread: what was asked and what was kept."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static


class TurnBlock(Vertical):
    """The prompt, and below it the text that the person kept."""

    def __init__(self, prompt: str, kept: str | None = None, note: str = "") -> None:
        super().__init__()
        self.prompt, self.kept, self.note = prompt, kept, note

    def compose(self) -> ComposeResult:
        yield Static(self.prompt, classes="prompt", markup=False)
        if self.kept is not None:
            yield Static(self.kept, classes="kept", markup=False)
        if self.note:
            yield Static(self.note, classes="note", markup=False)

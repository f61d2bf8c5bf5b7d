"""The top line: which text this is, and who writes."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static


class TitleBar(Horizontal):
    """PenPal's name, a title and a side note."""

    def compose(self) -> ComposeResult:
        yield Static("✒ PenPal", id="brand", markup=False)
        yield Static("", id="title", markup=False)
        yield Static("", id="side-note", markup=False)

    def show_title(self, title: str) -> None:
        self.query_one("#title", Static).update(title)

    def show_side_note(self, text: str) -> None:
        self.query_one("#side-note", Static).update(text)

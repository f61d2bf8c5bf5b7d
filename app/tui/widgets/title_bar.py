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
        yield Static("", id="badge", markup=False)
        yield Static("", id="wide-note", markup=False)
        yield Static("", id="side-note", markup=False)
        yield Static("", id="brief-note", markup=False)

    def show_title(self, title: str) -> None:
        self.query_one("#title", Static).update(title)

    def show_badge(self, text: str) -> None:
        """Something about this text that must not be overlooked; empty: nothing."""
        self.query_one("#badge", Static).update(text)
        self.query_one("#badge").display = bool(text)

    def show_side_note(self, text: str, *, besides: str = "", brief: str = "") -> None:
        """`besides` is said where there is room, `brief` instead of all that where there is little."""
        self.query_one("#wide-note", Static).update(besides)
        self.query_one("#brief-note", Static).update(brief)
        self.set_class(bool(brief), "-brief")
        self.query_one("#side-note", Static).update(text)

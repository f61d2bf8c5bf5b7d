"""What an edit changes, shown while it is typed."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from app.tui.diff_text import excerpt, line_of
from core.word_diff import changes, word_diff

LIVE_CHARACTERS = 20_000
"""Longer texts are not compared at each key: it would take more than 10 ms, and soon be felt."""


class LiveChanges(VerticalScroll, can_focus=False):
    """The changes with a few words around each; hidden while there are none."""

    def __init__(self, before: str) -> None:
        super().__init__()
        self._before, self._text = before, Static()
        self.border_title = "what you changed"
        self.display = False

    def compose(self) -> ComposeResult:
        yield self._text

    def is_live(self, text: str) -> bool:
        """Whether a text is short enough to be compared at each key."""
        return max(len(self._before), len(text)) <= LIVE_CHARACTERS

    def compare(self, text: str, cursor: int) -> None:
        """Shows what this text changes; what is near the cursor (an offset) if there is not room for all."""
        pieces = word_diff(self._before, text) if self.is_live(text) else ()
        self.display = bool(changes(pieces))
        shown, begins = excerpt(pieces, cursor)
        self._text.update(shown)
        self.call_after_refresh(lambda: self.scroll_to(y=line_of(shown, begins, self.size.width), animate=False))

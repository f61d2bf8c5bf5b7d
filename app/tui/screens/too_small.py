"""What shows while the window is too small; it goes away by itself."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Static

MIN_COLUMNS, MIN_ROWS = 60, 16


class TooSmallScreen(ModalScreen[None]):
    """Covers everything, takes no text, loses nothing."""

    def compose(self) -> ComposeResult:
        yield Static(f"Make the window at least {MIN_COLUMNS}x{MIN_ROWS}.\nYour text is safe.", markup=False)

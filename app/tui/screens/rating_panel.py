"""How a rating session goes, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from app.tui.key_names import with_keys

WHAT_IT_MEANS = """\
About one pair in twelve comes back with its sides swapped. How often you choose the same again is how well anybody \
could foresee you, so it stands beside how well PenPal does."""


class RatingPanelScreen(ModalScreen[None]):
    """What is counted, and what it comes to."""

    HELP_TITLE = "How it goes"
    BINDINGS = [Binding("escape,q,i", "dismiss", "close", id="rating.close", tooltip="Back to the pairs")]

    def __init__(self, lines: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True)
        table.add_column()
        for name, value in self._lines:
            table.add_row(name, Text(value, style="bold"))
        with VerticalScroll(id="rating-panel") as box:
            box.border_title = "how it goes"
            box.border_subtitle = with_keys(self, "{rating.close} closes")
            yield Static(table)
            yield Static(WHAT_IT_MEANS, classes="explained", markup=False)

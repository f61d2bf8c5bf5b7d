"""All keys of a screen, written from its bindings."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from app.tui.widgets.draft_editor import DraftEditor


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below, by the part that they act on."""

    BINDINGS = [Binding("escape,q", "dismiss", "close", id="help.close", tooltip="Close this help")]

    def __init__(self, about: Screen[None]) -> None:
        super().__init__()
        self._about = about

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as box:
            box.border_title = "keys"
            box.border_subtitle = "esc closes"
            for title, bindings in self._groups():
                yield Static(title, classes="help-title", markup=False)
                yield Static(self._table(bindings))

    def _groups(self) -> Iterator[tuple[str, list[Binding]]]:
        """The app's own bindings, the screen's, and those of each kind of widget on it."""
        nodes = [type(self.app), type(self._about), *(type(node) for node in self._about.query("*")), DraftEditor]
        seen: set[str | None] = set()
        for node in (node for node in nodes if "HELP_TITLE" in node.__dict__):
            bindings = [
                declared
                for declared in node.__dict__.get("BINDINGS", [])
                if isinstance(declared, Binding) and declared.id and declared.id not in seen
            ]
            seen |= {binding.id for binding in bindings}
            if bindings:
                yield node.__dict__["HELP_TITLE"], bindings

    def _table(self, bindings: list[Binding]) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=18, justify="right")
        table.add_column()
        for binding in bindings:
            keys = ", ".join(self.app.get_key_display(one) for one in _single_keys(binding))
            table.add_row(Text(keys, style="bold"), binding.tooltip or binding.description)
        return table


def _single_keys(binding: Binding) -> Iterator[Binding]:
    for key in binding.key.split(","):
        yield binding.with_key(key.strip())

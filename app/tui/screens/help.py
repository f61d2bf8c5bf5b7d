"""All keys of a screen, written from its bindings."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Static


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
        nodes: list[DOMNode] = [self.app, self._about, *self._about.query("*").results()]
        seen: set[type[DOMNode]] = set()
        for node in nodes:
            bindings = [
                binding
                for declared in type(node).__dict__.get("BINDINGS", [])
                if isinstance(declared, Binding) and (binding := declared).id
            ]
            if bindings and type(node) not in seen and type(node).__module__.startswith("app.tui"):
                seen.add(type(node))
                yield getattr(node, "HELP_TITLE", None) or _spaced(type(node).__name__), bindings

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


def _spaced(name: str) -> str:
    """'DraftPair' as 'Draft pair'."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).split()
    return " ".join(words).capitalize()

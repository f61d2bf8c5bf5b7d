"""All keys of a screen, as they are now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from app.tui.key_names import key_names, with_keys
from app.tui.palette import declared_by
from app.tui.widgets.draft_editor import DraftEditor

KEYS_COLUMNS = 14
NAME_COLUMNS = 19
WIDE_COLUMNS = 100
"""From here on the names of the actions fit beside them."""


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below, by the part that they act on."""

    HELP_TITLE = "In this help"
    BINDINGS = [Binding("escape,q", "dismiss", "close", id="help.close", tooltip="Close this help")]

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self._about, self._wide = about, False
        """Wide: there is room for the names of the actions."""

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as box:
            box.border_title = "keys"
            box.border_subtitle = with_keys(self, "{help.close} closes")
            for title, bindings in self._groups():
                yield Static(title, classes="help-title", markup=False)
                yield Static(self._table(bindings))
            yield Static("Keys of your own", classes="help-title", markup=False)
            yield Static(self._about_own_keys(), markup=False)

    async def on_resize(self) -> None:
        if self._wide != (self.app.size.width >= WIDE_COLUMNS):
            await self.recompose()

    def keys_shown(self) -> dict[str, str]:
        """Each action's name with its keys, as they are written here."""
        return {
            binding.id: ", ".join(key_names(self._about, binding.id))
            for _, bindings in self._groups()
            for binding in bindings
            if binding.id is not None
        }

    def _groups(self) -> Iterator[tuple[str, list[Binding]]]:
        """The app's own bindings, the screen's, and those of each kind of widget on it."""
        nodes = [type(self.app), type(self._about), *(type(node) for node in self._about.query("*")), DraftEditor]
        seen: set[str | None] = set()
        for node in (node for node in nodes if "HELP_TITLE" in vars(node)):
            bindings = [one for one in declared_by(node) if one.id is not None and one.id not in seen]
            seen |= {binding.id for binding in bindings}
            if bindings:
                yield vars(node)["HELP_TITLE"], bindings

    def _table(self, bindings: list[Binding]) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=KEYS_COLUMNS)
        table.add_column(ratio=1)
        self._wide = self.app.size.width >= WIDE_COLUMNS
        if self._wide:
            table.add_column(width=NAME_COLUMNS, style="dim")
        for binding in bindings:
            keys = Text(", ".join(key_names(self._about, binding.id or "")), style="bold")
            name = [binding.id or ""] if self._wide else []
            table.add_row(keys, binding.tooltip or binding.description, *name)
        return table

    def _about_own_keys(self) -> str:
        names = "the name at the right" if self.app.size.width >= WIDE_COLUMNS else "its name (a wider window shows it)"
        return f'Any action can have another key: write {names} into config.toml, below [keys]:\n"drafts.edit" = "v"'

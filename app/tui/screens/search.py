"""Search in all that was asked, drafted and edited: results as the person types, Enter goes there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from app.tui.key_names import with_keys
from app.tui.wording import WHERE_FOUND, counted, day_of, in_words
from core.search_rows import MARK_END, MARK_START
from core.store import Found, Store

MOST_SHOWN = 50
KEYS = "{search.previous}{search.next} choose · enter opens · {search.back} closes"
FOUND_WORD = "bold underline"


class SearchScreen(ModalScreen[Found | None]):
    """What the person chose; None when they went back."""

    HELP_TITLE = "In the search"
    BINDINGS = [
        Binding("escape", "dismiss(None)", "go back", id="search.back", tooltip="Close the search"),
        Binding("down", "move('down')", "next", show=False, id="search.next", tooltip="Go to the next result"),
        Binding("up", "move('up')", "previous", show=False, id="search.previous", tooltip="Go to the result before"),
        Binding("pagedown", "move('page_down')", "page down", show=False, id="search.page-down", tooltip="A page down"),
        Binding("pageup", "move('page_up')", "page up", show=False, id="search.page-up", tooltip="A page up"),
    ]

    def __init__(self, store: Store, typed: str = "") -> None:
        super().__init__()
        self._store, self._typed = store, typed
        self.found: list[Found] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="search") as box:
            box.border_title = "search everything you wrote"
            box.border_subtitle = with_keys(self, KEYS)
            yield Input(self._typed, placeholder="one word or several", compact=True, id="search-words")
            yield OptionList(compact=True, id="search-results")
            yield Static("", id="search-said", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False  # the line keeps the cursor; arrows move the choice

    @on(Input.Changed)
    def look_up(self, event: Input.Changed) -> None:
        self.run_worker(self._search(event.value), name="search", group="search", exclusive=True)

    async def _search(self, typed: str) -> None:
        try:
            self.found = await asyncio.to_thread(self._store.search, typed, limit=MOST_SHOWN)
        except Exception as error:
            self.found = []
            said = in_words(error)
        else:
            said = f"{counted(len(self.found), 'place')} found" if self.found else "nothing found"
            if len(self.found) == MOST_SHOWN:
                said = f"the newest {MOST_SHOWN} places; another word narrows it down"
        results = self.query_one(OptionList)
        results.clear_options()
        results.add_options([Option(in_lines(hit, results.size.width - 4)) for hit in self.found])
        results.highlighted = 0 if self.found else None
        self.query_one("#search-said", Static).update(said if typed.strip() else "")

    def action_move(self, how: str) -> None:
        results = self.query_one(OptionList)
        moves: dict[str, Callable[[], object]] = {
            "down": results.action_cursor_down,
            "up": results.action_cursor_up,
            "page_down": results.action_page_down,
            "page_up": results.action_page_up,
        }
        moves[how]()

    @on(Input.Submitted)
    def open_chosen(self) -> None:
        chosen = self.query_one(OptionList).highlighted
        if chosen is not None:
            self.dismiss(self.found[chosen])

    @on(OptionList.OptionSelected)
    def open_clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.found[event.option_index])


def in_lines(hit: Found, columns: int) -> Content:
    """A result: where it was found and when, and the place with the found words marked."""
    day = day_of(hit.created_utc)
    room = max(8, columns - len(day) - 2)
    title = Content.styled(hit.title, "bold").truncate(room, ellipsis=True, pad=True)
    place = Content.assemble((f"{WHERE_FOUND[hit.where]}: ", "$dim"), marked(" ".join(hit.snippet.split())))
    return Content.assemble(title, "  ", (day, "$dim"), "\n", place.truncate(max(8, columns), ellipsis=True))


def marked(snippet: str) -> Content:
    """A snippet of the store with its found words set off."""
    parts = (part.partition(MARK_END) for part in snippet.split(MARK_START))
    return Content.assemble(
        *(piece for word, end, rest in parts for piece in ((word, FOUND_WORD if end else ""), rest))
    )

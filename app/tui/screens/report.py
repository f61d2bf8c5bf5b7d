"""The numbers behind what PenPal learned: the newest run's report, and every night, week and trait."""

from __future__ import annotations

import asyncio

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Markdown

from app.learning_numbers import as_markdown
from app.newest_run import NO_RUN, report_of
from app.progress import read_portraits, read_progress
from app.tui.widgets.fitting_footer import FittingFooter
from app.tui.widgets.notice import Notice
from app.tui.widgets.page import Page
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import in_words, since_when
from core.paths import Home
from core.store import Store


class ReportScreen(Screen[None]):
    """The report of the newest run in full, then the tables."""

    HELP_TITLE = "In the numbers"
    BINDINGS = [
        Binding("escape,q,n", "dismiss", "back", key_display="esc", id="report.back", tooltip="Back to where you were"),
    ]
    AUTO_FOCUS = "Page"

    body = getters.query_one("#report", Page)

    def __init__(self, store: Store, home: Home) -> None:
        super().__init__()
        self._store, self._home = store, home

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield Notice(id="notice")
        with Page(id="report"):
            yield Markdown(open_links=False)
        yield FittingFooter()

    async def on_mount(self) -> None:
        self.query_one(TitleBar).show_title("the numbers")
        try:
            side_note, text = await asyncio.to_thread(self._read)
        except Exception as error:
            self.query_one("#notice", Notice).say(in_words(error))
            return
        self.query_one(TitleBar).show_side_note(side_note)
        self.body.set_class(text == NO_RUN, "-empty")
        await self.query_one(Markdown).update(text)

    def _read(self) -> tuple[str, str]:
        progress = read_progress(self._store, self._home)
        numbers = as_markdown(progress, read_portraits(self._store, progress.active))
        run = progress.newest
        if run is None:
            return "", f"{NO_RUN}\n{numbers}" if numbers else NO_RUN
        use = "in use" if progress.active is not None and progress.active.id == run.id else "not in use"
        side_note = f"voice {run.id[:8]}, {use} · {since_when(run.created_utc)}"
        return side_note, f"{report_of(run, self._home.runs)}\n{numbers}"

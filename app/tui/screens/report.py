"""What PenPal learned in its newest run, to read over a coffee."""

from __future__ import annotations

import asyncio
from typing import Literal

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Markdown

from app.newest_run import NO_RUN, newest_run, report_of
from app.tui.widgets.notice import Notice
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import in_words, since_when
from core.paths import Home
from core.store import Store

Step = Literal["up", "down", "page_up", "page_down", "home", "end"]


class ReportScreen(Screen[None]):
    """The report of the newest run, in full."""

    HELP_TITLE = "In the report"
    BINDINGS = [
        Binding("escape,q", "dismiss", "back", key_display="esc", id="report.back", tooltip="Back to where you were"),
        Binding("down,j", "go('down')", "scroll", key_display="↑↓", id="report.down", tooltip="Scroll down"),
        Binding("up,k", "go('up')", "up", show=False, id="report.up", tooltip="Scroll up"),
        Binding("pagedown,space", "go('page_down')", "page", show=False, id="report.page-down", tooltip="A page down"),
        Binding("pageup", "go('page_up')", "page up", show=False, id="report.page-up", tooltip="A page up"),
        Binding("home,g", "go('home')", "start", show=False, id="report.start", tooltip="Go to the start"),
        Binding("end,G", "go('end')", "end", show=False, id="report.end", tooltip="Go to the end"),
    ]
    AUTO_FOCUS = ""

    body = getters.query_one("#report", VerticalScroll)

    def __init__(self, store: Store, home: Home) -> None:
        super().__init__()
        self._store, self._home = store, home

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield Notice(id="notice")
        with VerticalScroll(id="report", can_focus=False):  # the keys are the screen's, and listed in its help
            yield Markdown(open_links=False)
        yield Footer(show_command_palette=False, compact=self.app.size.width < 100)

    async def on_mount(self) -> None:
        self.query_one(TitleBar).show_title("what PenPal learned")
        try:
            side_note, text = await asyncio.to_thread(self._read)
        except Exception as error:
            self.query_one("#notice", Notice).say(in_words(error))
            return
        self.query_one(TitleBar).show_side_note(side_note)
        self.body.set_class(text == NO_RUN, "-empty")
        await self.query_one(Markdown).update(text)

    def _read(self) -> tuple[str, str]:
        run = newest_run(self._store)
        if run is None:
            return "", NO_RUN
        active = self._store.active_encoder()
        use = "in use" if active is not None and active.id == run.id else "not in use"
        return f"voice {run.id[:8]}, {use} · {since_when(run.created_utc)}", report_of(run, self._home.runs)

    def action_go(self, step: Step) -> None:
        match step:
            case "up":
                self.body.scroll_up(animate=False)
            case "down":
                self.body.scroll_down(animate=False)
            case "page_up":
                self.body.scroll_page_up(animate=False)
            case "page_down":
                self.body.scroll_page_down(animate=False)
            case "home":
                self.body.scroll_home(animate=False)
            case "end":
                self.body.scroll_end(animate=False)

"""Everything between the title and the footer of the chat: the list, the thread, the drafts, the composer."""

from __future__ import annotations

from typing import Literal

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from app.tui.widgets.composer import Composer
from app.tui.widgets.conversation_list import ConversationList
from app.tui.widgets.draft_pair import DraftPair
from app.tui.widgets.notice import Notice
from app.tui.widgets.status_line import StatusLine
from app.tui.widgets.thread import Thread

Pane = Literal["sidebar", "thread", "drafts", "composer"]


class Desk(Horizontal):
    """Lays the panes out and moves the focus between them."""

    HELP_TITLE = "Between the panes"
    BINDINGS = [
        Binding("tab", "next_pane", "switch", id="desk.next", key_display="⇥", tooltip="To the drafts, to the prompt"),
        Binding("shift+tab", "previous_pane", "back", show=False, id="desk.previous", tooltip="Through all panes"),
    ]

    composer = getters.query_one(Composer)
    drafts = getters.query_one(DraftPair)
    thread = getters.query_one(Thread)
    sidebar = getters.query_one(ConversationList)

    def compose(self) -> ComposeResult:
        yield ConversationList(id="sidebar")
        with Vertical(id="column"):
            yield Thread(id="thread")
            yield DraftPair(id="drafts")
            yield Notice(id="notice")
            yield Notice(id="news", quiet=True)
            yield StatusLine(id="status")
            yield Composer(id="composer")

    @property
    def pane(self) -> Pane:
        """Where the focus is. What is hidden may still have it for a moment: it is on its way to the composer."""
        panes: dict[Pane, Widget] = {"sidebar": self.sidebar, "thread": self.thread, "drafts": self.drafts}
        return next((name for name, pane in panes.items() if pane.display and pane.has_focus_within), "composer")

    def focus_pane(self, pane: Pane) -> None:
        match pane:
            case "drafts" if self.drafts.display:
                self.drafts.focus_draft()
            case "drafts" | "thread":
                self.thread.focus()
            case "sidebar":
                self.sidebar.focus()
            case "composer":
                self.composer.focus()

    def toggle_sidebar(self) -> None:
        shown = self.sidebar.display
        self.set_class(shown, "-sidebar-closed")
        self.set_class(not shown, "-sidebar-open")
        if not shown:
            self.sidebar.focus()
        elif self.pane == "sidebar":
            self.composer.focus()

    def action_next_pane(self) -> None:
        """Between the composer and the drafts, or the thread while there are none."""
        self.focus_pane("drafts" if self.pane == "composer" else "composer")

    def action_previous_pane(self) -> None:
        """Through all panes that are shown."""
        shown = {"sidebar": self.sidebar.display, "drafts": self.drafts.display}
        panes: list[Pane] = ["sidebar", "thread", "drafts", "composer"]
        panes = [pane for pane in panes if shown.get(pane, True)]
        self.focus_pane(panes[panes.index(self.pane) - 1])

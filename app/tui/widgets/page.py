"""Something to read: a page that scrolls by the keys of a reader."""

from __future__ import annotations

from textual.binding import Binding
from textual.containers import VerticalScroll


class Page(VerticalScroll, inherit_bindings=False):
    """Holds the focus, so that its keys work wherever on the page the person is."""

    HELP_TITLE = "On the page"
    BINDINGS = [
        Binding("down,j", "scroll_down", "down", show=False, id="page.down", tooltip="Scroll down"),
        Binding("up,k", "scroll_up", "up", show=False, id="page.up", tooltip="Scroll up"),
        Binding("pagedown,space", "page_down", "page", show=False, id="page.page-down", tooltip="A page down"),
        Binding("pageup", "page_up", "page up", show=False, id="page.page-up", tooltip="A page up"),
        Binding("home,g", "scroll_home", "start", show=False, id="page.start", tooltip="Go to the start"),
        Binding("end,G", "scroll_end", "end", show=False, id="page.end", tooltip="Go to the end"),
    ]

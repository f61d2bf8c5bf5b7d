"""A short tour over the real screen: a pointer at a time, any key goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.geometry import Region
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from app.tui.key_names import keys_of, with_keys

WIDTH = 58
POINTED = "-pointed"


@dataclass(frozen=True)
class Pointer:
    """What is said about one part of the screen."""

    target: str
    """CSS selector of it, or of what stands in its place where there is little room; empty: about the whole."""
    title: str
    text: str


WELCOME = """\
You say what you need. PenPal writes two drafts, you keep the one that sounds like you and edit it. \
From every choice it learns how you write.

Nothing you write leaves this machine: it works with the network cable pulled out. All of it is in one folder:
{folder}
Delete the folder, and it is gone."""

POINTERS = (
    Pointer("", "welcome", WELCOME),
    Pointer(
        "#composer",
        "your prompt",
        "Say here what you would like, in your own words: a note to thank my sister for the cake. Send it with "
        "{composer.send}. With {chat.start} you start from a message to answer, or from a text to rewrite or to "
        "continue.",
    ),
    Pointer(
        "#thread",
        "two drafts",
        "They appear here, beside each other.\n"
        "  pick the one that is more like you   {drafts.pick-left} or {drafts.pick-right}\n"
        "  edit it, right there                 {drafts.edit}\n"
        "  keep it                              {drafts.keep}\n"
        "Neither will do? {drafts.redo} writes two others. {drafts.undo} takes anything back.",
    ),
    Pointer(
        "#side-note, #brief-note",
        "what it has learned",
        "Here you see who writes and from how many of your choices it learned. Press {app.learning} for more, and "
        "{app.help} for all keys.",
    ),
    Pointer(
        "",
        "three quick picks?",
        "Three made-up tasks, two short drafts each, one key for the one that you like better. "
        "It takes a minute, and PenPal has a first idea of you.",
    ),
)


class TourScreen(ModalScreen[bool]):
    """Goes through the pointers. True: to the end; False: the person has seen enough."""

    CSS_PATH = "../start.tcss"
    HELP_TITLE = "On the tour"
    AUTO_FOCUS = ""

    def __init__(self, about: Screen[None], folder: Path) -> None:
        """`about` is the screen below; `folder` is where everything lies."""
        super().__init__()
        self._about, self._folder, self._step = about, folder, 0
        self._over = False
        """Keys and drawing that were on their way still come while it goes."""

    def compose(self) -> ComposeResult:
        yield Static("", id="tour-arrow", markup=False)
        yield Static("", id="tour-box", markup=False)

    def on_mount(self) -> None:
        # The screen below is laid out anew in its own time, and what is pointed at moves with it.
        self._about.screen_layout_refresh_signal.subscribe(self, lambda _: self._place())
        self._show()

    def on_resize(self) -> None:
        self.call_after_refresh(self._place)

    def on_key(self, event: events.Key) -> None:
        """Any key goes on, but those that end the tour or the program."""
        if event.key in keys_of(self, "app.quit"):
            return
        event.stop()
        event.prevent_default()
        if event.key == "escape":
            self._leave(False)
        else:
            self._go_on()

    def on_click(self) -> None:
        self._go_on()

    def _go_on(self) -> None:
        if self._step == len(POINTERS) - 1:
            self._leave(True)
        elif not self._over:
            self._step += 1
            self._show()

    def _leave(self, to_the_end: bool) -> None:
        if self._over:
            return
        self._over = True
        self._point_at("")
        self.dismiss(to_the_end)

    def _show(self) -> None:
        pointer, box = POINTERS[self._step], self.query_one("#tour-box", Static)
        box.border_title = pointer.title
        at_the_end = self._step == len(POINTERS) - 1
        keys = "any key begins · esc: straight to writing" if at_the_end else "any key goes on · esc ends the tour"
        box.border_subtitle = f"{self._step + 1}/{len(POINTERS)} · {keys}"
        box.update(with_keys(self, pointer.text).replace("{folder}", str(self._folder)))
        self._point_at(pointer.target)
        self.call_after_refresh(self._place)

    def _point_at(self, target: str) -> None:
        for widget in self._about.query("*"):
            widget.remove_class(POINTED)
        if target:
            self._about.query(target).add_class(POINTED)

    def _region(self) -> Region:
        """Of what is pointed at; the whole screen when that is nothing."""
        target = POINTERS[self._step].target
        shown = (widget.region for widget in self._about.query(target)) if target else iter(())
        return next((region for region in shown if region.area), Region(0, 0, *self.size))

    def _place(self) -> None:
        """Puts the box beside what it is about, where there is room, and an arrow between them."""
        if self._over:
            return
        box, arrow = self.query_one("#tour-box", Static), self.query_one("#tour-arrow", Static)
        width = min(WIDTH, self.size.width - 4)
        box.styles.width = width
        height = box.get_content_height(self.size, self.size, width - 6) + 4
        region = self._region()
        left = max(2, min(region.x + (region.width - width) // 2, self.size.width - width - 2))
        middle = max(1, min(region.x + region.width // 2, self.size.width - 2))
        if region.y > height:
            top, arrow_at, arrow_sign = region.y - height - 1, region.y - 1, "▼"
        elif self.size.height - region.bottom > height:
            top, arrow_at, arrow_sign = region.bottom + 1, region.bottom, "▲"
        else:
            top, arrow_at, arrow_sign = max(0, region.y + (region.height - height) // 2), 0, ""
        box.styles.offset = (left, top)
        arrow.update(arrow_sign)
        arrow.styles.offset = (middle, arrow_at)
        arrow.display = bool(arrow_sign)

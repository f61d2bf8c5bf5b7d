"""One draft: its text, what the person did with it, and an editor in its place when asked for."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static, TextArea

from app.tui.turn_view import DraftView
from app.tui.widgets.draft_editor import DraftEditor
from app.tui.wording import count_words, diff_words


class DraftCard(VerticalScroll, inherit_bindings=False):
    """A framed draft. Its own keys only scroll, so left and right reach whoever holds the pair."""

    HELP_TITLE = "In a draft"
    BINDINGS = [
        Binding("up,k", "scroll_up", "up", show=False, id="draft.up", tooltip="Scroll the draft up"),
        Binding("down,j", "scroll_down", "down", show=False, id="draft.down", tooltip="Scroll the draft down"),
        Binding("pageup", "page_up", "page up", show=False, id="draft.page-up", tooltip="Scroll a page up"),
        Binding("pagedown", "page_down", "page down", show=False, id="draft.page-down", tooltip="Scroll a page down"),
        Binding("home,g", "scroll_home", "start", show=False, id="draft.start", tooltip="Go to the draft's start"),
        Binding("end,G", "scroll_end", "end", show=False, id="draft.end", tooltip="Go to the draft's end"),
    ]

    def __init__(self, name_on_card: str, *, id: str) -> None:
        super().__init__(id=id)
        self.name_on_card = name_on_card
        self.border_title = name_on_card
        self.view: DraftView | None = None

    def compose(self) -> ComposeResult:
        yield Static("", classes="draft-text", markup=False)

    @property
    def editor(self) -> DraftEditor | None:
        return next(iter(self.query(DraftEditor)), None)

    def show_stream(self, text: str, *, finished: bool) -> None:
        """Shows a draft that is being written."""
        self.view = None
        self._text(text)
        self.set_class(False, "-picked")
        self.border_title = self.name_on_card
        self.border_subtitle = count_words(text) if finished else "…"

    def show_blind(self, text: str) -> None:
        """Shows a text and nothing about it."""
        self._text(text)
        self.scroll_home(animate=False)

    def show(self, view: DraftView) -> None:
        """Shows a draft that is written."""
        self.view = view
        self._text(view.shown if view.shown.strip() else "(nothing was written)")
        self.set_class(view.picked, "-picked")
        marks = [self.name_on_card, *(["✓ picked"] * view.picked), *(["★"] * (view.star is not None))]
        self.border_title = "  ".join(marks)
        notes = [count_words(view.shown)]
        if view.status == "cancelled":
            notes.append("stopped")
        elif view.status == "failed":
            notes.append("broke off")
        if view.edited is not None:
            notes.append(f"edited {diff_words(view.text, view.shown)}")
        if view.unsaved_edit:
            notes.append("unsaved edit, e goes on")
        if self.editor is None:
            self.border_subtitle = " · ".join(notes)

    def open_editor(self, text: str) -> None:
        """Puts an editor in the draft's place."""
        editor = DraftEditor(text)
        self.add_class("-editing")
        self.mount(editor)
        editor.focus()
        editor.move_cursor(editor.document.end)
        self._say_changes(text)

    async def close_editor(self) -> None:
        await self.query(DraftEditor).remove()
        self.remove_class("-editing")

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        self._say_changes(event.text_area.text)

    def _say_changes(self, text: str) -> None:
        if self.view is not None:
            self.border_subtitle = f"editing {diff_words(self.view.text, text)}"

    def _text(self, text: str) -> None:
        self.query_one(".draft-text", Static).update(text)

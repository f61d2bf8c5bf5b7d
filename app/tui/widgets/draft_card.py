"""One draft: its text, what the person did with it, and an editor in its place when asked for."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import TextArea

from app.tui.key_names import with_keys
from app.tui.turn_view import DraftView
from app.tui.widgets.draft_changes import DraftChanges
from app.tui.widgets.draft_editor import DraftEditor
from app.tui.widgets.growing_text import GrowingText
from app.tui.widgets.live_changes import LiveChanges
from app.tui.wording import count_words, diff_words
from core.word_diff import changes, word_diff


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

    @dataclass
    class ChangesChosen(Message):
        """The person wants the text with only some of their changes."""

        card: DraftCard
        text: str

    def __init__(self, name_on_card: str, *, id: str) -> None:
        super().__init__(id=id)
        self.name_on_card = name_on_card
        self.border_title = name_on_card
        self.view: DraftView | None = None
        self.changes: DraftChanges | None = None
        """What the person changed, while it is shown."""

    def compose(self) -> ComposeResult:
        yield GrowingText("", classes="draft-text", markup=False)

    @property
    def editor(self) -> DraftEditor | None:
        return next(iter(self.query(DraftEditor)), None)

    def show_stream(self, text: str, *, finished: bool) -> None:
        """Shows a draft that is being written."""
        self.view = None
        self.close_changes()
        self._text(text)
        self.set_class(False, "-picked")
        subtitle = count_words(text) if finished else "…"
        if (self.border_title, self.border_subtitle) != (self.name_on_card, subtitle):  # each draws the whole card
            self.border_title, self.border_subtitle = self.name_on_card, subtitle

    def show_blind(self, text: str) -> None:
        """Shows a text and nothing about it."""
        self._text(text)
        self.scroll_home(animate=False)

    def show(self, view: DraftView) -> None:
        """Shows a draft that is written."""
        if self.changes is not None and (
            self.view is None or self.view.id != view.id or not self.changes.follow(view.text, view.shown)
        ):
            self.close_changes()
        self.view = view
        self._text(view.shown if view.shown.strip() else "(nothing was written)")
        self.set_class(view.picked, "-picked")
        decided = "✓ picked" if view.merged_with is None else "✓ put together"
        marks = [self.name_on_card, *([decided] * view.picked), *(["★"] * (view.star is not None))]
        self.border_title = "  ".join(marks)
        notes = [count_words(view.shown)]
        if view.status == "cancelled":
            notes.append("stopped")
        elif view.status == "failed":
            notes.append("broke off")
        if view.merged_with is not None:
            notes.append("from both drafts")
        elif view.edited is not None:
            notes.append(f"edited {diff_words(view.text, view.shown)}")
        if view.unsaved_edit:
            notes.append(with_keys(self, "unsaved edit, {drafts.edit} goes on"))
        if self.editor is None and self.changes is None:
            self.border_subtitle = " · ".join(notes)

    # --- what changed -----------------------------------------------------------------------------------------

    def open_changes(self) -> bool:
        """Shows what the person changed, to be left out or taken in again; False when that is nothing."""
        if self.view is None or not changes(word_diff(self.view.text, self.view.shown)):
            return False
        if self.changes is None:
            self.changes = DraftChanges(self.view.text, self.view.shown)
            self.add_class("-changes")
            self.mount(self.changes)
        self.changes.focus()
        return True

    def close_changes(self) -> None:
        """Shows the text alone again."""
        if self.changes is None:
            return
        if self.changes.has_focus:
            self.focus()
        self.changes.remove()
        self.changes = None
        self.remove_class("-changes")

    def focus_changes(self) -> None:
        """Goes to what the person changed, or to the draft when that is nothing."""
        if not self.open_changes():
            self.focus()

    def on_draft_changes_chosen(self, event: DraftChanges.Chosen) -> None:
        event.stop()
        self.post_message(self.ChangesChosen(self, event.text))

    def on_draft_changes_moved(self, event: DraftChanges.Moved) -> None:
        event.stop()
        self.border_subtitle = event.said

    def on_draft_changes_closed(self, event: DraftChanges.Closed) -> None:
        event.stop()
        self.close_changes()
        if self.view is not None:
            self.show(self.view)

    # --- editing ----------------------------------------------------------------------------------------------

    def open_editor(self, text: str) -> None:
        """Puts an editor in the draft's place, and below it what is changed."""
        self.close_changes()
        editor = DraftEditor(text)
        self._editing(True)
        self.mount(editor, LiveChanges(self.view.text if self.view is not None else text))
        editor.focus()
        editor.move_cursor(editor.document.end)
        self._say_changes(text)

    async def close_editor(self) -> None:
        await self.query("DraftEditor, LiveChanges").remove()
        self._editing(False)

    def _editing(self, open_: bool) -> None:
        self.set_class(open_, "-editing")
        if self.parent is not None:
            self.parent.set_class(open_, "-editing-one")  # the other draft makes room where there is little

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        self._say_changes(event.text_area.text)

    def _say_changes(self, text: str) -> None:
        if self.view is None or (editor := self.editor) is None:
            return
        for live in self.query(LiveChanges):
            change = diff_words(self.view.text, text) if live.is_live(text) else count_words(text)
            self.border_subtitle = f"editing {change}"
            live.compare(text, editor.cursor_index)

    def _text(self, text: str) -> None:
        self.query_one(GrowingText).show(text)

"""Where the person makes a draft their own."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widgets.text_area import Document

from app.tui.widgets.writing_area import WritingArea


class DraftEditor(WritingArea):
    """The draft's text, open for editing in the draft's place."""

    HELP_TITLE = "While editing"
    BINDINGS = [
        Binding("ctrl+s", "save", "save", id="editor.save", tooltip="Save your version; PenPal's own stays on record"),
        Binding("escape", "leave", "leave", id="editor.leave", tooltip="Leave the edit; what you typed is kept"),
    ]

    @dataclass
    class Saved(Message):
        """The person wants this text as their version."""

        text: str

    @dataclass
    class Left(Message):
        """The person left the edit without saving it."""

        text: str

    def __init__(self, text: str) -> None:
        super().__init__(text, highlight_cursor_line=False, compact=True)

    @property
    def cursor_index(self) -> int:
        """The cursor as an offset in the text."""
        assert isinstance(self.document, Document)
        return self.document.get_index_from_location(self.cursor_location)

    def replace_all(self, text: str, cursor: int) -> None:
        """Puts another text in, as an edit that can be undone, with the cursor at an offset of it."""
        self.replace(text, self.document.start, self.document.end)
        assert isinstance(self.document, Document)
        self.move_cursor(self.document.get_location_from_index(cursor))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Textual may draw a widget once more just after it was removed, when a TextArea has lost its styles."""
        return super().render_lines(crop) if self.is_attached else [Strip.blank(crop.width)] * crop.height

    def action_save(self) -> None:
        self.post_message(self.Saved(self.text))

    def action_leave(self) -> None:
        self.post_message(self.Left(self.text))

"""Where the person makes a draft their own."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding
from textual.message import Message
from textual.widgets import TextArea


class DraftEditor(TextArea):
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

    def action_save(self) -> None:
        self.post_message(self.Saved(self.text))

    def action_leave(self) -> None:
        self.post_message(self.Left(self.text))

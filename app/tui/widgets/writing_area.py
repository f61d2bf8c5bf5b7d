"""Where the person types more than a line. A text area whose keys have names, and that survives its own undo."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.geometry import Offset
from textual.widgets import TextArea

from app.tui.widgets.keys_in_order import acted_at_once


class WritingArea(TextArea):
    """Selection, undo and redo, cut and paste."""

    HELP_TITLE = "Where text is typed"
    BINDINGS = [
        Binding("ctrl+z,super+z", "undo", "undo", show=False, id="text.undo", tooltip="Undo what was typed"),
        Binding("ctrl+y,super+y", "redo", "redo", show=False, id="text.redo", tooltip="Type it again"),
        Binding("f7", "select_all", "select all", show=False, id="text.select-all", tooltip="Select the whole text"),
        Binding("ctrl+x,super+x", "cut", "cut", show=False, id="text.cut", tooltip="Cut the selection, or the line"),
        Binding("ctrl+c,super+c", "copy", "copy", show=False, id="text.copy", tooltip="Copy the selection"),
        Binding("ctrl+v", "paste", "paste", show=False, id="text.paste", tooltip="Paste what was copied in PenPal"),
    ]

    async def on_key(self, event: events.Key) -> None:
        await acted_at_once(self, event)

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        # Textual 8.2 asks for this between taking lines away (an undone paste, a large selection deleted) and moving
        # the cursor out of them, whenever that makes the scroll bar go; it would end with a traceback.
        if self.cursor_location[0] >= self.document.line_count:
            return Offset()
        return super().scroll_cursor_visible(center, animate)

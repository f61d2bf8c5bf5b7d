"""Where the person writes what they want. Enter sends; a paste never does."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.binding import Binding
from textual.message import Message

from app.tui.widgets.keys_in_order import acted_at_once
from app.tui.widgets.writing_area import WritingArea
from app.tui.wording import count_words

PROMPT = "your prompt"
OTHERWISE = "your prompt, said differently · {chat.back} goes back to the original"


class Composer(WritingArea):
    """A text area that grows with its text."""

    HELP_TITLE = "In the prompt"
    BINDINGS = [
        Binding("enter", "send", "send", id="composer.send", tooltip="Send the prompt; PenPal writes two drafts"),
        Binding(
            "ctrl+j,shift+enter",
            "new_line",
            "new line",
            id="composer.new-line",
            key_display="^j",
            tooltip="Start a new line in the prompt",
        ),
        # The screen's own keys, shown in the footer only while there is room for them.
        Binding("ctrl+n", "screen.new", "new", id="chat.new", key_display="^n", tooltip="Start a new conversation"),
        Binding(
            "ctrl+b",
            "screen.sidebar",
            "list",
            id="chat.sidebar",
            key_display="^b",
            tooltip="Show or hide the conversations",
        ),
        Binding(
            "f2", "app.learning", "learned", id="app.learning", key_display="F2", tooltip="What PenPal has learned"
        ),
    ]

    @dataclass
    class Sent(Message):
        """The person wants drafts for this prompt."""

        prompt: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, placeholder="What would you like to write?", highlight_cursor_line=False, compact=True)
        self.border_title = PROMPT

    async def _on_key(self, event: events.Key) -> None:
        if await acted_at_once(self, event):
            return
        # TextArea takes Enter as a new line before bindings are asked; here a binding has the word, if there is one.
        if event.key in ("enter", "shift+enter") and event.key in self.screen.active_bindings:
            event.prevent_default()
        else:
            await super()._on_key(event)

    def on_text_area_changed(self) -> None:
        self.border_subtitle = count_words(self.text) if self.text.strip() else ""

    def action_send(self) -> None:
        self.post_message(self.Sent(self.text))

    def action_new_line(self) -> None:
        self.insert("\n")

    def replace_text(self, text: str) -> None:
        """Puts this text in, with the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

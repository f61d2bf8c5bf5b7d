"""The conversations, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.store import Conversation

TITLE_COLUMNS = 25
"""What fits on one line of the list."""


class ConversationList(OptionList):
    """Titles with their day. Selecting one opens it."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True)
        self.border_title = "conversations"

    def show(self, conversations: Sequence[Conversation], *, current: int | None) -> None:
        self.clear_options()
        for conversation in conversations:
            title = Text(conversation.title)
            title.truncate(TITLE_COLUMNS, overflow="ellipsis")
            label = Text.assemble(title, "\n", (day_of(conversation.created_utc), "dim"))
            self.add_option(Option(label, id=str(conversation.id)))
        self.highlighted = next((i for i, c in enumerate(conversations) if c.id == current), None)
        self.border_subtitle = "^b hides" if conversations else "none yet"


def day_of(created_utc: str) -> str:
    """The local day, or the time when it is today."""
    when = datetime.fromisoformat(created_utc).astimezone()
    return f"today {when:%H:%M}" if when.date() == datetime.now().astimezone().date() else f"{when:%d %b %Y}"

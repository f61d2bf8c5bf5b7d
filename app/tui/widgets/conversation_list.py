"""The conversations, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.store import Conversation


class ConversationList(OptionList):
    """Titles with their day. Selecting one opens it."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True)
        self.border_title = "conversations"

    def show(self, conversations: Sequence[Conversation], *, current: int | None) -> None:
        self.clear_options()
        for conversation in conversations:
            label = Text.assemble(conversation.title, "\n", (day_of(conversation.created_utc), "dim"))
            label.no_wrap, label.overflow = True, "ellipsis"
            self.add_option(Option(label, id=str(conversation.id)))
        self.highlighted = next((i for i, c in enumerate(conversations) if c.id == current), None)
        self.border_subtitle = str(len(conversations)) if conversations else "none yet"


def day_of(created_utc: str) -> str:
    """The local day, or the time when it is today."""
    when = datetime.fromisoformat(created_utc).astimezone()
    return f"today {when:%H:%M}" if when.date() == datetime.now().astimezone().date() else f"{when:%d %b %Y}"

"""The conversations, newest first, and the keys that act on the one under the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from app.tui.wording import counted, day_of
from core.store import Conversation

TITLE_COLUMNS = 25
"""What fits on one line of the list."""

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
"""Other spaces at the start of a line are dropped where it is wrapped."""

ListWish = Literal["rename", "delete", "undo"]


class ConversationList(OptionList):
    """Titles with their day. Selecting one opens it."""

    HELP_TITLE = "In the list of conversations"
    BINDINGS = [
        Binding("r", "wish('rename')", "rename", id="list.rename", tooltip="Give the conversation another name"),
        Binding("d,delete", "wish('delete')", "delete", id="list.delete", tooltip="Delete the conversation"),
        Binding("u", "wish('undo')", "undo delete", id="list.undo", tooltip="Bring back what was deleted last"),
    ]

    @dataclass
    class Wished(Message):
        """The person pressed a key that acts on a conversation."""

        wish: ListWish
        conversation_id: int | None
        """The one under the cursor; None while the list is empty."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True)
        self.border_title = "conversations"

    def show(self, conversations: Sequence[Conversation], *, cursor: int | None) -> None:
        """Lists them, with the cursor on one of them."""
        self.clear_options()
        rows = list(families(conversations))
        for depth, conversation in rows:
            branch = NO_BREAK_SPACE * 2 * (depth - 1) + "└ " if depth else ""
            title = Content(branch + conversation.title).truncate(TITLE_COLUMNS, ellipsis=True)
            day = NO_BREAK_SPACE * len(branch) + day_of(conversation.created_utc)
            self.add_option(Option(Content.assemble(title, "\n", (day, "$dim")), id=str(conversation.id)))
        self.highlighted = next((i for i, (_, c) in enumerate(rows) if c.id == cursor), None)
        self.border_subtitle = counted(len(rows), "conversation") if rows else "none yet"

    def lists(self, conversation_id: int) -> bool:
        """Whether it shows this conversation."""
        return any(option.id == str(conversation_id) for option in self.options)

    def neighbour_of(self, conversation_id: int) -> int | None:
        """The conversation below it, or above it when it is the last."""
        ids = [int(option.id or 0) for option in self.options]
        at = ids.index(conversation_id) if conversation_id in ids else len(ids)
        return next(iter([*ids[at + 1 : at + 2], *ids[max(at - 1, 0) : at]]), None)

    def action_wish(self, wish: ListWish) -> None:
        option = self.highlighted_option
        self.post_message(self.Wished(wish, int(option.id) if option is not None and option.id else None))


def families(conversations: Sequence[Conversation]) -> Iterator[tuple[int, Conversation]]:
    """Each with its depth: branches below the conversation that they branched off; the family used last comes first."""
    listed = {conversation.id for conversation in conversations}
    branches: dict[int | None, list[Conversation]] = {}
    for conversation in conversations:
        origin = conversation.branch_of if conversation.branch_of in listed else None
        branches.setdefault(origin, []).append(conversation)

    def newest(conversation: Conversation) -> int:
        return max([conversation.id, *(newest(branch) for branch in branches.get(conversation.id, []))])

    def with_branches(of: int | None, depth: int) -> Iterator[tuple[int, Conversation]]:
        for conversation in sorted(branches.get(of, []), key=newest, reverse=True):
            yield depth, conversation
            yield from with_branches(conversation.id, depth + 1)

    return with_branches(None, 0)

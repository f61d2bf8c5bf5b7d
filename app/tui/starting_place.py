"""Where the person left off: which conversation the chat opens with."""

from __future__ import annotations

from app.tui.turn_view import read_conversation
from core.errors import UsageError
from core.store import Store


def starting_place(store: Store) -> int | None:
    """The conversation of the text typed last; else the newest one while it waits for a choice; else a new one."""
    kind, _, number = store.last_unsaved_place().rpartition(" ")
    if kind == "composer of conversation":
        return int(number)
    if kind == "edit of draft":
        try:
            return store.turn(store.draft(int(number)).turn_id).conversation_id
        except UsageError:
            return None  # the draft was forgotten since
    for conversation in store.conversations(limit=1):
        turns = read_conversation(store, conversation.id)
        if turns and turns[-1].kept is None:
            return conversation.id
    return None

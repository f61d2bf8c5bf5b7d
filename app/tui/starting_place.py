"""Where the person left off: which conversation the chat opens with."""

from __future__ import annotations

from app.tui.turn_view import read_conversation, read_turn
from core.errors import UsageError
from core.store import Store


def starting_place(store: Store) -> int | None:
    """The conversation of the text typed last; else the newest one while it waits for a choice; else a new one."""
    for place in store.unsaved_places():
        kind, _, number = place.rpartition(" ")
        if place == "composer":
            return None
        if kind == "composer of conversation":
            return int(number)
        if kind == "edit of draft" and (conversation_id := _being_edited(store, int(number))) is not None:
            return conversation_id
    for conversation in store.conversations(limit=1):
        turns = read_conversation(store, conversation.id)
        if turns and turns[-1].kept is None:
            return conversation.id
    return None


def _being_edited(store: Store, draft_id: int) -> int | None:
    """The conversation of a draft whose turn still waits for a choice; None when it was settled or forgotten since."""
    try:
        turn = read_turn(store, store.turn(store.draft(draft_id).turn_id))
    except UsageError:
        return None
    return turn.turn.conversation_id if turn.kept is None and not turn.put_aside else None

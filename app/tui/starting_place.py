"""Where the person left off: which conversation the chat opens with."""

from __future__ import annotations

from app.tui.turn_view import COMPOSER, OF_CONVERSATION, read_conversation, read_turn
from app.tui.window import Window
from core.errors import UsageError
from core.store import Store


def starting_place(store: Store, window: Window | None = None) -> int | None:
    """The conversation of the text typed last; else the newest one while it waits for a choice; else a new one.

    A window that is not the only one leaves to the others what they are at.
    """
    alone = window is None or window.alone
    for kept_at in store.unsaved_places():
        place = kept_at if window is None else window.name_of(kept_at)
        if place == COMPOSER:
            return None
        kind, _, number = (place or "").rpartition(" ")
        if kind == OF_CONVERSATION and _is_there(store, int(number)):
            return int(number)
        if alone and kind in ("edit of draft", "merge of turn"):
            waiting = _being_edited(store, int(number), of_turn=kind == "merge of turn")
            if waiting is not None and _is_there(store, waiting):
                return waiting
    for conversation in store.conversations(limit=1) if alone else ():
        turns = read_conversation(store, conversation.id)
        if turns and turns[-1].kept is None:
            return conversation.id
    return None


def _is_there(store: Store, conversation_id: int) -> bool:
    return store.conversation(conversation_id).deleted_utc is None


def _being_edited(store: Store, number: int, *, of_turn: bool) -> int | None:
    """The conversation of a draft or a turn that still waits for a choice; None: it was settled or forgotten since."""
    try:
        turn = read_turn(store, store.turn(number if of_turn else store.draft(number).turn_id))
    except UsageError:
        return None
    return turn.turn.conversation_id if turn.kept is None and not turn.put_aside else None

"""What a key does to a draft. Each is one thing to the person, and one or two acts to the recorder."""

from __future__ import annotations

from app.tui.turn_view import DraftView, TurnView
from core.errors import UsageError
from core.recorder import Recorder


def pick(recorder: Recorder, draft: DraftView) -> None:
    """Prefers a draft; the same choice twice is one choice."""
    if draft.picked or not draft.text.strip():
        return
    if draft.merged_with is not None:  # what is preferred again is the merged text, not the draft beside the other
        recorder.merge(draft.id, draft.merged_with, draft.shown)
    else:
        recorder.pick(draft.id)


def keep(recorder: Recorder, draft: DraftView) -> None:
    """Keeps a draft as it is shown, and prefers it to the other one."""
    if not draft.shown.strip():
        raise UsageError("This draft is empty: there is nothing to keep. Ask for new ones.")
    pick(recorder, draft)
    recorder.accept(draft.id, draft.shown)


def settle(recorder: Recorder, draft: DraftView, text: str) -> None:
    """Keeps what the person chose and perhaps was still editing, so that going on to the next prompt loses nothing."""
    if text.strip():
        save_edit(recorder, draft, text)
        recorder.accept(draft.id, text)


def star(recorder: Recorder, draft: DraftView) -> None:
    """Stars a draft, or takes its star away."""
    if draft.star is None:
        recorder.star(draft.id)
    else:
        recorder.undo(draft.star.turn_id, draft.star.id)


def undo(recorder: Recorder, turn: TurnView | None) -> None:
    """Takes back the last thing that happened in a turn."""
    for act in turn.last_acts if turn is not None else ():
        recorder.undo(act.turn_id, act.id)


def save_edit(recorder: Recorder, draft: DraftView, text: str) -> None:
    """Stores the person's version; PenPal's own text again takes the version back."""
    if text.rstrip() == draft.shown.rstrip():
        return
    if draft.merged_with is not None and text.rstrip() != draft.text.rstrip():
        recorder.merge(draft.id, draft.merged_with, text)
    elif recorder.edit(draft.id, text) is None:
        for act in reversed(draft.edits):
            recorder.undo(act.turn_id, act.id)

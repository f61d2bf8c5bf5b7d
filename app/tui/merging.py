"""From two drafts to one text: opens the merge where it was left, keeps what is typed, records what is saved."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from app.tui.key_names import with_keys
from app.tui.screens.merge import MergeScreen
from app.tui.turn_view import TurnView, place_of_merge

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen


def open_merge(screen: ChatScreen, turn: TurnView, side: int) -> None:
    """Puts two drafts of a turn together; the one on `side` then shows the text."""
    if len(turn.drafts) != 2 or not all(draft.text.strip() for draft in turn.drafts):
        said = "It takes two drafts to put one text together: {drafts.redo} writes new ones."
        screen.notice.say(with_keys(screen, said))
        return
    draft, other = turn.drafts[side], turn.drafts[1 - side]
    place = place_of_merge(turn.turn.id)
    unsaved = screen.typed.unsaved

    before = draft.shown if draft.merged_with is not None else ""

    async def forget() -> None:
        unsaved.changed(place, "")
        await screen.typed.save_now()

    def back(text: str | None) -> None:
        then = partial(screen.pair.focus_draft, side)
        if text and text.rstrip() != before.rstrip():
            screen.choosing.act(lambda recorder: recorder.merge(draft.id, other.id, text), first=forget, then=then)
        else:
            screen.choosing.act(lambda recorder: unsaved.save(), then=then)

    def typed(text: str) -> None:
        unsaved.changed(place, text if text.rstrip() != before.rstrip() else "")

    screen.app.push_screen(MergeScreen(turn.sources, unsaved.read(place) or before, side=side, typed=typed), back)

"""Writing one of two drafts as it should have been, instead of choosing one. What is typed is kept as it is typed."""

from __future__ import annotations

from collections.abc import Callable

from app.tui.autosave import Autosave
from app.tui.pair_maker import RatedPair
from app.tui.turn_view import DraftView
from app.tui.unsaved_texts import UnsavedTexts
from app.tui.widgets.draft_card import DraftCard
from core.errors import UsageError
from core.feedback import Draft, in_force
from core.store import Store

PLACE = "rated edit of draft"


class EditingInstead:
    """The editor in the place of one draft, closed most of the time."""

    def __init__(self, store: Store, complain: Callable[[str], object]) -> None:
        self._store = store
        self._unsaved = UnsavedTexts(store)
        self._autosave = Autosave(self._unsaved, complain)
        self.card: DraftCard | None = None
        self.draft: Draft | None = None
        """What is being edited."""

    def open(self, card: DraftCard, draft: Draft) -> None:
        """Goes on where an earlier edit of this draft was left."""
        self.card, self.draft = card, draft
        card.view = DraftView(draft.id, draft.text.strip(), draft.status)
        card.open_editor(self._unsaved.read(_place(draft)) or draft.text.strip())

    async def close(self) -> None:
        """Shows the draft again."""
        if self.card is not None:
            await self.card.close_editor()
            self.card.view = None
            self.card.border_subtitle = ""
        self.card = self.draft = None

    def note(self, text: str) -> None:
        """The version as far as it is typed; PenPal's own text is none."""
        if self.draft is not None:
            self._unsaved.changed(_place(self.draft), "" if text.strip() == self.draft.text.strip() else text)

    def forget(self, draft: Draft) -> None:
        """It is on record now."""
        self._unsaved.changed(_place(draft), "")

    async def save(self) -> bool:
        """False when it could not, which was said."""
        return await self._autosave.save()

    async def save_before_leaving(self) -> bool:
        """Whether the person may go: all is saved, or they ask for the second time."""
        return await self._autosave.save_before_leaving()

    def left_half_made(self) -> tuple[RatedPair, int] | None:
        """The pair, and the side of it, that was being edited when the last session ended."""
        for place in self._store.unsaved_places():
            kind, _, number = place.rpartition(" ")
            if kind == PLACE and (found := self._pair_of(int(number))) is not None:
                return found
        return None

    def _pair_of(self, draft_id: int) -> tuple[RatedPair, int] | None:
        try:
            turn = self._store.turn(self._store.draft(draft_id).turn_id)
        except UsageError:
            return None
        drafts = self._store.drafts(turn.id)
        if len(drafts) != 2 or in_force(self._store.acts(turn.id)):
            return None
        side = int(drafts[1].id == draft_id)
        return RatedPair(turn.id, turn.prompt, (drafts[0], drafts[1])), side


def _place(draft: Draft) -> str:
    return f"{PLACE} {draft.id}"

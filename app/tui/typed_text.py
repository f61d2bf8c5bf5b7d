"""What the person is typing, in the composer and in edits: kept as it is typed, and back when they come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.tui.autosave import Autosave
from app.tui.open_conversation import OpenConversation
from app.tui.turn_view import DraftView, place_of_composer, place_of_edit
from app.tui.unsaved_texts import UnsavedTexts
from app.tui.widgets.composer import Composer
from app.tui.window import Window


class TypedText:
    """Notes each change of a text, and saves what was noted."""

    def __init__(
        self, conversation: OpenConversation, composer: Composer, window: Window, *, complain: Callable[[str], object]
    ) -> None:
        self._conversation, self._composer, self._window = conversation, composer, window
        self.unsaved = UnsavedTexts(conversation.store)
        self._autosave = Autosave(self.unsaved, complain)

    @property
    def _composer_place(self) -> str:
        return self._window.place(place_of_composer(self._conversation.id))

    def note_composer(self) -> None:
        """A prompt that is not stored yet counts as text of the composer."""
        texts = [text for text in (self._conversation.pending, self._composer.text) if text.strip()]
        self.unsaved.changed(self._composer_place, "\n\n".join(texts))

    def forget_composer(self) -> None:
        self.unsaved.changed(self._composer_place, "")

    def composer_text(self) -> str:
        """What was typed and not sent in this conversation."""
        return self.unsaved.read(self._composer_place)

    def note_edit(self, draft: DraftView, text: str) -> None:
        """The person's version of a draft, as far as it is typed."""
        self.unsaved.changed(place_of_edit(draft.id), text if text != draft.shown else "")

    def forget_edit(self, draft: DraftView) -> None:
        self.unsaved.changed(place_of_edit(draft.id), "")

    def edit_text(self, draft: DraftView) -> str:
        """The version of a draft that was left half made; else the draft."""
        return self.unsaved.read(place_of_edit(draft.id)) or draft.shown

    @property
    def dirty(self) -> bool:
        """Whether something is noted and not saved."""
        return self.unsaved.dirty

    async def save(self) -> bool:
        """False when it could not, which was said."""
        return await self._autosave.save()

    async def save_now(self) -> None:
        """Raises StoreError when it cannot."""
        await asyncio.to_thread(self.unsaved.save)

    async def save_before_leaving(self) -> bool:
        """Whether the person may go: all is saved, or they ask for the second time."""
        self.note_composer()
        return await self._autosave.save_before_leaving()

"""Saves what the person is typing, and says so while that cannot be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.tui.unsaved_texts import UnsavedTexts
from core.errors import StoreError


class Autosave:
    """Saves in a thread; what cannot be saved is tried again the next time."""

    def __init__(self, unsaved: UnsavedTexts, complain: Callable[[str], object]) -> None:
        self._unsaved, self._complain = unsaved, complain
        self.leaving = False
        """The person asked to leave and the last words could not be saved: the next time they may go without them."""

    async def save(self) -> bool:
        """False when it could not, which was said."""
        if not self._unsaved.dirty:
            return True
        try:
            await asyncio.to_thread(self._unsaved.save)
        except StoreError as error:
            way_out = " Leave again to go without your last words." if self.leaving else ""
            self._complain(f"{error}{way_out}")
            return False
        self.leaving = False
        return True

    async def save_before_leaving(self) -> bool:
        """Whether the person may go: all is saved, or they ask for the second time."""
        asked_before, self.leaving = self.leaving, True
        return await self.save() or asked_before

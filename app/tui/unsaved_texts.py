"""Text that the person is typing, on its way to the store. Written at most `SAVE_EVERY_S` after the last key."""

from __future__ import annotations

import threading

from core.store import Store

SAVE_EVERY_S = 0.4


class UnsavedTexts:
    """Remembers the newest text of each place until it is saved. Safe to call from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[str, str] = {}

    def changed(self, place: str, text: str) -> None:
        """The text of a place is now this; empty text forgets the place."""
        with self._lock:
            self._waiting[place] = text

    def read(self, place: str) -> str:
        """The newest text of a place, saved or not."""
        with self._lock:
            if place in self._waiting:
                return self._waiting[place]
        return self._store.unsaved(place)

    @property
    def dirty(self) -> bool:
        return bool(self._waiting)

    def save(self) -> None:
        """Writes what is waiting. What could not be written waits on, and the StoreError is raised."""
        with self._lock:
            texts = dict(self._waiting)
        # A text that moved, as a prompt that was sent, is in its new place before it goes from the old one.
        for place, text in sorted(texts.items(), key=lambda item: not item[1]):
            self._store.keep_unsaved(place, text)
            with self._lock:
                if self._waiting.get(place) == text:
                    del self._waiting[place]

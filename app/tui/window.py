"""Which of the PenPals that are open on one home this one is: each keeps what is typed in it apart from the others.

The kernel holds the lock of each number and lets go when its owner dies, however it dies. Whoever comes next takes the
number with the newest text that nobody looks after, so that it comes back.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from filelock import lock_descriptor

from app.tui.turn_view import COMPOSER
from core.paths import Home
from core.store import Store

MARK = " in window "


class Window:
    """One of the numbers 1, 2, ..., held until `close`."""

    def __init__(self, home: Home, store: Store) -> None:
        self.alone = True
        """No other PenPal was open when this one was opened."""
        folder = home.windows
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.number, self._descriptor = self._first_free(folder, _with_texts(store))

    def place(self, name: str) -> str:
        """Where a text of this window is kept. The first window's places are those of a PenPal that is alone."""
        return name if self.number == 1 else f"{name}{MARK}{self.number}"

    def name_of(self, place: str) -> str | None:
        """The other way around; None for a place of another window."""
        name, number = _parts(place)
        return name if number == self.number else None

    def close(self) -> None:
        """Gives the number back."""
        os.close(self._descriptor)

    def _first_free(self, folder: Path, wanted: list[int]) -> tuple[int, int]:
        free: dict[int, int] = {}
        for number in count(1):  # as far as there are texts to come back, and until one is free
            # Never removed: a lock on a file that is gone guards nothing.
            descriptor = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            if lock_descriptor(descriptor, blocking=False):
                free[number] = descriptor
            else:
                os.close(descriptor)
                self.alone = False
            if free and number >= max(wanted, default=0):
                break
        chosen = next((number for number in wanted if number in free), min(free))
        for number, descriptor in free.items():
            if number != chosen:
                os.close(descriptor)
        return chosen, free[chosen]


def _with_texts(store: Store) -> list[int]:
    """Numbers of windows with texts that were typed and not sent, the newest first."""
    return list(dict.fromkeys(_parts(place)[1] for place in store.unsaved_places() if place.startswith(COMPOSER)))


def _parts(place: str) -> tuple[str, int]:
    name, mark, number = place.rpartition(MARK)
    return (name, int(number)) if mark and number.isdigit() else (place, 1)

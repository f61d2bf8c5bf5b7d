"""Whether a person is here for the very first time, remembered in their own database."""

from __future__ import annotations

from core.store import Store

TOUR = "tour"


def is_first_run(store: Store) -> bool:
    """They have neither seen the tour nor written anything."""
    return store.preference(TOUR) is None and store.counts()["drafts"] == 0


def note_tour_seen(store: Store) -> None:
    """It does not come again by itself."""
    store.keep_preference(TOUR, "seen")

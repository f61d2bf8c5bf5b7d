"""The one log there is: a line for each nightly run, where the scheduler keeps none itself (launchd, Windows, cron).

The lines say when, which voice, and why or why not; no text of the person.
"""

from __future__ import annotations

from contextlib import suppress

from app.timers import LOG_FILE
from core.paths import Home

MAX_BYTES = 100_000
"""More than a year of nights."""
KEPT_BYTES = 50_000


def shorten(home: Home) -> None:
    """Keeps the newest half of the log once it is long.

    In place: the scheduler has it open and appends to this very file.
    """
    with suppress(OSError), (home.folder / LOG_FILE).open("r+b") as log:
        if log.seek(0, 2) <= MAX_BYTES:
            return
        log.seek(-KEPT_BYTES, 2)
        newest = log.read().partition(b"\n")[2]
        log.seek(0)
        log.write(newest)
        log.truncate()

"""The nightly run in the foreground: wait for the time of day, run, wait again. Knows nothing of what is run."""

from __future__ import annotations

import re
import time as clocks
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from core.errors import PenPalError, UsageError

STEP_S = 60.0
"""The longest sleep at once: a machine that slept, or whose clock was set, is noticed within a minute."""
APART_S = 12 * 3600.0
"""Two runs are at least this far apart when the clock was set back in between."""


def parse_time(text: str) -> time:
    """`02:30` or `2:30`. Raises UsageError for anything else."""
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text.strip())
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise UsageError(f"'{text}' is no time of day: write it as HH:MM, for example 02:30.")
    return time(int(found[1]), int(found[2]))


def wall_clock() -> datetime:
    """What the clock on the wall shows. Without a zone: 02:30 stays 02:30 when summer time begins or ends."""
    return datetime.now(UTC).astimezone().replace(tzinfo=None)


def next_occurrence(at: time, after: datetime) -> datetime:
    """The next moment, later than `after`, at which it is `at`."""
    today = datetime.combine(after.date(), at)
    return today if today > after else today + timedelta(days=1)


@dataclass(frozen=True)
class _Run:
    """When the last run began, by the wall and by a clock that nobody sets."""

    started: datetime
    started_s: float

    def repeated_by(self, due: datetime, due_s: float) -> bool:
        """Whether a run due then would be this one again: the clock was set back, or a late run was just made.

        The clock that nobody sets stands still while the machine sleeps, so the longer of the two times counts.
        """
        apart_s = max((due - self.started).total_seconds(), due_s - self.started_s)
        return due.date() <= self.started.date() and apart_s < APART_S


def watch(
    at: time,
    run: Callable[[], None],
    *,
    say: Callable[[str], None],
    now: Callable[[], datetime] = wall_clock,
    sleep: Callable[[float], None] = clocks.sleep,
    clock: Callable[[], float] = clocks.monotonic,
) -> None:
    """Calls `run` once a day, at this time or as soon after it as the machine is awake. Ends only by an exception.

    A PenPalError of one run is told and does not end the watch; Ctrl-C goes through it to the command line.
    """
    last: _Run | None = None
    due = next_occurrence(at, now())
    say(_told(due))
    while True:
        moment = now()
        due = min(due, _next_due(at, moment, clock(), last))  # the clock may have been set back by days
        if moment < due:
            sleep(min(STEP_S, (due - moment).total_seconds()))
            continue
        last = _Run(moment, clock())
        try:
            run()
        except PenPalError as error:
            say(str(error))
        due = _next_due(at, now(), clock(), last)
        say(_told(due))


def _next_due(at: time, moment: datetime, moment_s: float, last: _Run | None) -> datetime:
    due = next_occurrence(at, moment)
    repeats = last and last.repeated_by(due, moment_s + (due - moment).total_seconds())
    return due + timedelta(days=1) if repeats else due


def _told(due: datetime) -> str:
    return f"The next run is on {due:%a %d %b} at {due:%H:%M}. Ctrl-C ends the watch."

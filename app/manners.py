"""How a run behaves on a person's machine: low priority, not on battery, out of the way of a draft, and in time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress

import psutil  # type: ignore[import-untyped]  # ships no types

IDLE_LOAD_PER_CORE = 0.5
MAX_IDLE_WAIT_S = 3600.0
IDLE_CHECK_S = 60.0
ON_BATTERY = "Not learning now: the machine is on battery."


def be_nice() -> None:
    """Lets every other program go first, for good: for a process of its own, before it starts threads.

    Between the groups that a kernel shares its cores among (services, terminal sessions) this does not help; that is
    why the systemd unit has weights, and why a run steps aside for a draft by itself.
    """
    process = psutil.Process()
    with suppress(OSError, psutil.Error):
        if psutil.WINDOWS:
            process.nice(psutil.IDLE_PRIORITY_CLASS)
        else:
            os.nice(19)
    with suppress(OSError, psutil.Error):
        if psutil.WINDOWS:
            process.ionice(psutil.IOPRIO_VERYLOW)
        elif psutil.LINUX:
            process.ionice(psutil.IOPRIO_CLASS_IDLE)


def on_battery() -> bool:
    """Whether the machine runs from its battery. Without one, or where nobody can tell, it does not."""
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, TypeError, ValueError, psutil.Error):
        return False  # a system without the call, or a battery that psutil does not understand
    return battery is not None and battery.power_plugged is False


def is_idle() -> bool:
    """Whether the machine had little to do in the last minute."""
    return bool(psutil.getloadavg()[0] / (os.cpu_count() or 1) < IDLE_LOAD_PER_CORE)


def why_not_now(*, when_idle: bool = False, idle: Callable[[], bool] = is_idle) -> str:
    """Why a run that the machine's scheduler has started should not be made; empty when it may.

    With `when_idle` it waits up to an hour until the machine has little to do.
    """
    if on_battery():
        return ON_BATTERY
    if when_idle and not wait_until_idle(idle):
        return "Not learning now: the machine was busy for an hour."
    return ON_BATTERY if on_battery() else ""


def wait_until_idle(
    idle: Callable[[], bool] = is_idle,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Asks once a minute; false if the machine was still busy after an hour."""
    until = clock() + MAX_IDLE_WAIT_S
    while not idle():
        if clock() >= until:
            return False
        sleep(IDLE_CHECK_S)
    return True


class Yielding:
    """Called between steps of a run: returns when no draft is being made, and after `max_wait_s` in any case."""

    def __init__(
        self,
        is_drafting: Callable[[], bool],
        *,
        max_wait_s: float = 120.0,
        step_s: float = 0.05,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_drafting, self._max_wait_s, self._step_s = is_drafting, max_wait_s, step_s
        self._sleep, self._clock = sleep, clock
        self._asked_s = -math.inf
        self.waited_s = 0.0
        """How long it has stepped aside in all, for the report."""

    def __call__(self) -> None:
        started = self._clock()
        # A step of a run takes less time than the question, so that most calls do not ask.
        if started - self._asked_s < self._step_s:
            return
        while self._is_drafting() and self._clock() - started < self._max_wait_s:
            self._sleep(self._step_s)
        self._asked_s = self._clock()
        self.waited_s += self._asked_s - started


class Deadline:
    """How much of `--max-minutes` is left. Without a number there is no end."""

    def __init__(self, minutes: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end_s = math.inf if minutes is None else clock() + 60 * minutes

    def left_s(self) -> float:
        """Never below 0; infinite without a limit."""
        return max(0.0, self._end_s - self._clock())

    def passed(self) -> bool:
        return self.left_s() == 0

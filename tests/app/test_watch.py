"""The watch that runs each night, in a world whose clocks can be set, and machines that sleep."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from app.watch import next_occurrence, parse_time, watch
from core.errors import BusyError, UsageError

ROOT = Path(__file__).resolve().parents[2]
NIGHT = time(2, 30)


class World:
    """A wall clock, one that nobody sets, and events that happen when somebody sleeps past their time."""

    def __init__(self, now: str, days: float) -> None:
        self.wall, self.steady_s = datetime.fromisoformat(now), 0.0
        self.end_s = days * 86400
        self.events: list[tuple[float, timedelta]] = []
        self.runs: list[str] = []
        self.said: list[str] = []
        self.during_run: Callable[[], None] = lambda: None

    def set_clock(self, after_hours: float, by_hours: float) -> None:
        self.events.append((after_hours * 3600, timedelta(hours=by_hours)))

    def suspend(self, after_hours: float, for_hours: float) -> None:
        """The wall clock goes on while the machine sleeps, the steady one does not."""
        self.set_clock(after_hours, for_hours)

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 60
        self.pass_time(seconds)
        if self.steady_s >= self.end_s:
            raise KeyboardInterrupt

    def pass_time(self, seconds: float) -> None:
        self.steady_s += seconds
        self.wall += timedelta(seconds=seconds)
        for event in [event for event in self.events if event[0] <= self.steady_s]:
            self.events.remove(event)
            self.wall += event[1]

    def run(self) -> None:
        self.runs.append(f"{self.wall:%d %H:%M}")
        self.during_run()

    def watch(self, at: time = NIGHT) -> list[str]:
        """The days and times at which it ran."""
        with pytest.raises(KeyboardInterrupt):
            watch(
                at,
                self.run,
                say=self.said.append,
                now=lambda: self.wall,
                sleep=self.sleep,
                clock=lambda: self.steady_s,
            )
        return self.runs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("02:30", time(2, 30)),
        ("2:30", time(2, 30)),
        ("00:00", time(0)),
        ("23:59", time(23, 59)),
        (" 7:05 ", time(7, 5)),
    ],
)
def test_times_of_day_are_understood(text: str, expected: time) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text", ["25:00", "24:00", "2.30", "02:60", "0230", "2:3", "", "2:30pm", "-2:30", "02:30:00", "noon", "٠٢:٣٠"]
)
def test_other_times_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no time of day: write it as HH:MM, for example 02:30\.$") as refused:
        parse_time(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-03-01 01:00", "2026-03-01 02:30"),
        ("2026-03-01 02:29:59", "2026-03-01 02:30"),
        ("2026-03-01 02:30", "2026-03-02 02:30"),
        ("2026-12-31 23:00", "2027-01-01 02:30"),
    ],
)
def test_the_next_occurrence_is_later_today_or_tomorrow(after: str, expected: str) -> None:
    assert next_occurrence(NIGHT, datetime.fromisoformat(after)) == datetime.fromisoformat(expected)


def test_it_runs_once_a_night_and_says_when_the_next_run_is() -> None:
    world = World("2026-03-01 20:00", days=3)
    assert world.watch() == ["02 02:30", "03 02:30", "04 02:30"]
    assert world.said[0] == "The next run is on Mon 02 Mar at 02:30. Ctrl-C ends the watch."
    assert len(world.said) == 4


def test_a_run_that_takes_hours_is_not_repeated() -> None:
    world = World("2026-03-01 20:00", days=2)
    world.during_run = lambda: world.pass_time(3 * 3600)
    assert world.watch() == ["02 02:30", "03 02:30"]


def test_a_run_that_takes_a_second_is_not_repeated() -> None:
    world = World("2026-03-01 02:29:59", days=1)
    world.during_run = lambda: world.pass_time(1)
    assert world.watch() == ["01 02:30"]


def test_a_night_that_the_machine_slept_through_is_made_up_for_within_a_minute() -> None:
    world = World("2026-03-01 23:00", days=0.5)
    world.suspend(after_hours=1, for_hours=8)
    assert world.watch() == ["02 08:00"]
    assert "Tue 03 Mar" in world.said[1]


def test_nights_slept_through_are_made_up_for_once() -> None:
    world = World("2026-03-01 23:00", days=0.5)
    world.suspend(after_hours=1, for_hours=24 * 5 + 8)
    assert world.watch() == ["07 08:00"]


def test_a_run_made_up_for_shortly_before_the_next_is_not_made_twice() -> None:
    world = World("2026-03-01 23:00", days=1.5)
    world.suspend(after_hours=1, for_hours=24 + 1)
    assert world.watch() == ["03 01:00", "04 02:30"]
    assert "Wed 04 Mar" in world.said[1]


def test_a_machine_that_sleeps_most_of_the_day_runs_each_night() -> None:
    """The steady clock sees three hours between runs and is not the one that counts then."""
    world = World("2026-03-01 23:00", days=0.55)
    for day in range(3):
        world.suspend(after_hours=4 + 3 * day, for_hours=21)
    assert world.watch() == ["02 02:30", "03 02:30", "04 02:30", "05 02:30"]


def test_a_clock_set_back_after_the_run_does_not_run_it_twice() -> None:
    world = World("2026-03-02 01:30", days=1.9)
    world.set_clock(after_hours=1.5, by_hours=-2)
    assert world.watch() == ["02 02:30", "03 02:30"]


def test_a_clock_set_back_over_midnight_does_not_run_it_twice() -> None:
    world = World("2026-03-02 01:30", days=1.9)
    world.set_clock(after_hours=1.5, by_hours=-6)
    assert world.watch() == ["02 02:30", "03 02:30"]


def test_a_clock_set_back_by_days_skips_no_more_than_twelve_hours() -> None:
    world = World("2026-03-10 01:30", days=2.9)
    world.set_clock(after_hours=1.5, by_hours=-24 * 5)
    assert world.watch() == ["10 02:30", "06 02:30", "07 02:30"]


def test_a_clock_set_back_by_months_before_the_run_does_not_stop_the_watch() -> None:
    world = World("2026-09-10 12:00", days=1)
    world.set_clock(after_hours=1, by_hours=-24 * 100)
    assert len(world.watch()) == 1


def test_a_clock_set_back_while_it_waits_waits_for_the_time_of_day() -> None:
    world = World("2026-03-02 01:30", days=0.5)
    world.set_clock(after_hours=0.9, by_hours=-1)
    assert world.watch() == ["02 02:30"]
    assert world.steady_s > 2 * 3600


def test_winter_time_runs_half_past_two_once() -> None:
    world = World("2026-10-25 00:30", days=1)
    world.set_clock(after_hours=2.5, by_hours=-1)
    assert world.watch() == ["25 02:30"]


def test_summer_time_runs_although_there_is_no_half_past_two() -> None:
    world = World("2026-03-29 00:30", days=1)
    world.set_clock(after_hours=1.5, by_hours=1)
    assert world.watch() == ["29 03:00"]


def test_a_run_that_fails_is_told_and_the_watch_goes_on() -> None:
    world = World("2026-03-01 20:00", days=2)

    def fail() -> None:
        raise BusyError("Another run is learning: wait for it, or stop it.")

    world.during_run = fail
    assert world.watch() == ["02 02:30", "03 02:30"]
    assert world.said[1] == "Another run is learning: wait for it, or stop it."


def test_our_own_bugs_end_the_watch() -> None:
    world = World("2026-03-01 20:00", days=2)

    def fail() -> None:
        raise ZeroDivisionError

    world.during_run = fail
    with pytest.raises(ZeroDivisionError):
        watch(NIGHT, world.run, say=print, now=lambda: world.wall, sleep=world.sleep, clock=lambda: world.steady_s)


WATCH = """
import app.cli.commands
from app.cli import main
from app.watch import next_occurrence, wall_clock, watch
from datetime import timedelta
at = (wall_clock() + timedelta(hours=5)).time().replace(second=0, microsecond=0)
app.cli.commands.application = lambda prog_name: watch(at, lambda: None, say=lambda text: print(text, flush=True))
main()
"""


def test_ctrl_c_ends_it_with_130_and_without_a_word() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WATCH], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline().startswith("The next run is on ")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130

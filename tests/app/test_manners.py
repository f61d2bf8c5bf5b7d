"""A run keeps out of a person's way: priority, battery, load, drafts and the time it was given."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from app import manners
from app.manners import Deadline, Yielding, is_idle, on_battery, wait_until_idle, why_not_now
from core.protocols import Message, Sampling
from core.store import Store

ROOT = Path(__file__).resolve().parents[2]

BE_NICE_TWICE = """
import json, os, psutil, threading
from app.manners import be_nice
be_nice()
be_nice()
inherited = []
thread = threading.Thread(target=lambda: inherited.append(os.nice(0)))
thread.start()
thread.join()
io = psutil.Process().ionice().ioclass.name if psutil.LINUX else None
print(json.dumps([os.nice(0), inherited[0], io]))
"""


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def test_a_nice_process_gives_way_in_everything_it_starts_later() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BE_NICE_TWICE], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == [19, 19, "IOPRIO_CLASS_IDLE" if psutil.LINUX else None]
    assert done.stderr == ""


# --- battery and load -------------------------------------------------------------------------------------------


@pytest.fixture
def power_supply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What Linux tells about a laptop's power, as files that psutil reads."""
    if not psutil.LINUX:
        pytest.skip("the kernel's own files are read on Linux only")
    folder = tmp_path / "power_supply"
    folder.mkdir()
    monkeypatch.setattr("psutil._pslinux.POWER_SUPPLY_PATH", str(folder))
    return folder


def plug(folder: Path, *, connected: bool) -> None:
    battery, mains = folder / "BAT0", folder / "AC0"
    for part in (battery, mains):
        part.mkdir(exist_ok=True)
    (mains / "online").write_text("1" if connected else "0")
    for name, text in {"energy_now": "500", "energy_full": "1000", "power_now": "100", "capacity": "50"}.items():
        (battery / name).write_text(text)
    (battery / "status").write_text("Charging" if connected else "Discharging")


def test_a_machine_without_a_battery_is_not_on_battery(power_supply: Path) -> None:
    assert on_battery() is False


def test_a_laptop_is_on_battery_while_it_is_unplugged(power_supply: Path) -> None:
    plug(power_supply, connected=True)
    assert on_battery() is False
    plug(power_supply, connected=False)
    assert on_battery() is True


def test_a_battery_that_nobody_understands_is_no_reason_to_wait(power_supply: Path) -> None:
    plug(power_supply, connected=False)
    (power_supply / "BAT0" / "energy_now").write_text("much")
    (power_supply / "BAT0" / "power_now").write_text("?")
    (power_supply / "AC0" / "online").write_text("")
    assert on_battery() is False


def test_idle_means_half_a_core_of_load_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    load = psutil.getloadavg()[0] / (os.cpu_count() or 1)
    monkeypatch.setattr(manners, "IDLE_LOAD_PER_CORE", load + 5)
    assert is_idle() is True
    monkeypatch.setattr(manners, "IDLE_LOAD_PER_CORE", load - 5)
    assert is_idle() is False


def test_a_busy_machine_is_waited_for_an_hour() -> None:
    clock = Clock()
    answers = iter([False, False, True])
    assert wait_until_idle(lambda: next(answers), sleep=clock.sleep, clock=clock) is True
    assert clock.slept == [60, 60]
    assert wait_until_idle(lambda: False, sleep=clock.sleep, clock=clock) is False
    assert sum(clock.slept) == 120 + 3600


def test_a_scheduled_run_is_left_out_on_battery_without_waiting(power_supply: Path) -> None:
    assert why_not_now() == ""
    assert why_not_now(when_idle=True, idle=lambda: True) == ""
    plug(power_supply, connected=False)
    assert why_not_now() == "Not learning now: the machine is on battery."
    assert why_not_now(when_idle=True, idle=lambda: pytest.fail("asked")) == why_not_now()


def test_a_scheduled_run_is_left_out_when_the_plug_was_pulled_while_it_waited(power_supply: Path) -> None:
    plug(power_supply, connected=True)

    def pull() -> bool:
        plug(power_supply, connected=False)
        return True

    assert "on battery" in why_not_now(when_idle=True, idle=pull)


def test_a_scheduled_run_on_a_machine_that_stays_busy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manners, "wait_until_idle", lambda idle: False)
    assert why_not_now(when_idle=True) == "Not learning now: the machine was busy for an hour."


# --- stepping aside for drafts ----------------------------------------------------------------------------------


def test_a_run_steps_aside_while_a_draft_is_being_written(penpal_home: Path) -> None:
    """The drafting program and the run have a connection each, as they do in life."""
    writer, run = Store(penpal_home / "penpal.db"), Store(penpal_home / "penpal.db")
    turn_id = writer.add_turn(writer.add_conversation("t", origin="chat"), "Hi", [Message("user", "Hi")])
    draft_id = writer.add_draft(
        turn_id, side=0, z=None, encoder_id=None, backbone_id="b" * 64, sampling=Sampling(), seed=1
    )
    step_aside = Yielding(run.is_drafting)

    def finish() -> None:
        writer.finish_draft(draft_id, "Hello", tokens=1, finish="stop", duration_ms=300)

    thread = threading.Timer(0.3, finish)
    thread.start()
    started = time.monotonic()
    step_aside()
    assert 0.25 < time.monotonic() - started < 5
    assert 0.25 < step_aside.waited_s < 5
    thread.join()


def test_a_run_goes_on_while_nobody_drafts() -> None:
    clock = Clock()
    step_aside = Yielding(lambda: False, sleep=clock.sleep, clock=clock)
    step_aside()
    assert (clock.slept, step_aside.waited_s) == ([], 0)


def test_a_draft_that_never_ends_holds_a_run_up_for_two_minutes_at_most() -> None:
    clock = Clock()
    step_aside = Yielding(lambda: True, sleep=clock.sleep, clock=clock)
    step_aside()
    assert set(clock.slept) == {0.05}
    assert step_aside.waited_s == pytest.approx(120, abs=0.1)


def test_steps_in_quick_succession_ask_every_50_ms() -> None:
    clock, asked = Clock(), []
    step_aside = Yielding(lambda: bool(asked.append(clock())), sleep=clock.sleep, clock=clock)
    for _ in range(100):
        step_aside()
        clock.now_s += 0.002
    assert len(asked) == 4


# --- the time it was given --------------------------------------------------------------------------------------


def test_a_deadline_counts_down_and_passes() -> None:
    clock = Clock()
    deadline = Deadline(2, clock=clock)
    assert (deadline.left_s(), deadline.passed()) == (120, False)
    clock.sleep(119)
    assert (deadline.left_s(), deadline.passed()) == (1, False)
    clock.sleep(5)
    assert (deadline.left_s(), deadline.passed()) == (0, True)


def test_without_minutes_there_is_no_deadline() -> None:
    deadline = Deadline(None)
    assert deadline.left_s() == math.inf
    assert not deadline.passed()


def test_a_deadline_of_nothing_has_passed() -> None:
    assert Deadline(0).passed()

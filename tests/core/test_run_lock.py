"""One run at a time, tried with real processes: refused while one lives, free the moment it is dead."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from core.errors import BusyError
from core.paths import Home
from core.run_lock import LOCK_FILE, run_lock

ROOT = Path(__file__).resolve().parents[2]

OWNER = """
import sys
from core.errors import BusyError
from core.paths import penpal_home
from core.run_lock import run_lock
print("ready", flush=True)
sys.stdin.readline()
try:
    with run_lock(penpal_home()):
        print("held", flush=True)
        sys.stdin.readline()
except BusyError as error:
    print(error, flush=True)
"""

Process = subprocess.Popen[str]


@pytest.fixture
def home(penpal_home: Path) -> Home:
    return Home(penpal_home)


@pytest.fixture
def started() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream
            stream.close()


def start(started: list[Process]) -> Process:
    """A process that is one line of input away from taking the lock, and another one from giving it back."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    started.append(process)
    assert answer(process) == "ready"
    return process


def go_on(process: Process) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def answer(process: Process) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def owner(started: list[Process]) -> Process:
    process = start(started)
    go_on(process)
    assert answer(process) == "held"
    return process


def test_the_second_run_is_told_who_learns_since_when(home: Home, started: list[Process]) -> None:
    process = owner(started)
    with pytest.raises(BusyError) as refused, run_lock(home):
        pass
    expected = rf"Another run is learning since \d\d:\d\d \(process {process.pid}\): wait for it, or stop it\."
    assert refused.match(f"^{expected}$")
    assert refused.value.exit_code == 1


def test_a_run_that_ended_frees_the_lock(home: Home, started: list[Process]) -> None:
    process = owner(started)
    go_on(process)
    assert process.wait(10) == 0
    with run_lock(home):
        pass


def test_a_killed_run_frees_the_lock_and_is_taken_over_without_a_word(
    home: Home, started: list[Process], capfd: pytest.CaptureFixture[str]
) -> None:
    process = owner(started)
    process.kill()
    process.wait()
    assert str(process.pid) in (home.runs / LOCK_FILE).read_text()
    with run_lock(home):
        third = start(started)
        go_on(third)
        assert f"(process {os.getpid()})" in answer(third)
    assert capfd.readouterr() == ("", "")


def test_of_many_starters_at_once_one_gets_it(home: Home, started: list[Process]) -> None:
    processes = [start(started) for _ in range(6)]
    for process in processes:
        go_on(process)
    answers = [answer(process) for process in processes]
    assert answers.count("held") == 1
    assert all(text == "held" or text.startswith("Another run is learning") for text in answers)


def test_another_thread_of_the_same_program_is_refused(home: Home) -> None:
    refused: list[BusyError] = []

    def second() -> None:
        try:
            with run_lock(home):
                pass
        except BusyError as error:
            refused.append(error)

    with run_lock(home):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_an_error_in_a_run_frees_the_lock(home: Home) -> None:
    with pytest.raises(ZeroDivisionError), run_lock(home):
        _ = 1 / 0
    with run_lock(home):
        pass


def test_homes_are_locked_apart(home: Home, tmp_path: Path) -> None:
    with run_lock(home), run_lock(Home(tmp_path / "other")):
        pass


@pytest.mark.parametrize("content", ["", "\n", "\nnonsense", '\n{"pid": "me"}', "\n[]", "\n" + "9" * 5000])
def test_a_damaged_file_neither_locks_nor_hides_that_another_run_is_learning(home: Home, content: str) -> None:
    home.runs.mkdir(parents=True)
    file = home.runs / LOCK_FILE
    file.write_text(content)
    with run_lock(home):
        file.write_text(content)
        with pytest.raises(BusyError, match=r"^Another run is learning: wait for it, or stop it\.$"), run_lock(home):
            pass


def test_a_run_since_another_day_is_told_with_its_day(home: Home) -> None:
    with run_lock(home):
        (home.runs / LOCK_FILE).write_text('\n{"pid": 4242, "started_utc": "2026-03-05T12:00:00+00:00"}')
        local = datetime.fromisoformat("2026-03-05T12:00:00+00:00").astimezone()
        with pytest.raises(BusyError, match=rf"since {local:%d %b %H:%M} \(process 4242\)"), run_lock(home):
            pass


def test_the_file_is_the_persons_own(home: Home) -> None:
    with run_lock(home):
        assert (home.runs / LOCK_FILE).stat().st_mode & 0o077 == 0

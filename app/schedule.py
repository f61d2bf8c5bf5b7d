"""`penpal personalize --schedule`: the nightly run in the hands of the machine's own scheduler, shown before it is set.

What each scheduler is told is in app/timers.py; here is which one there is, what is set already, and the doing.
One nightly run per account: setting another one, for whichever home, replaces it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from app import timers
from app.timers import Job, Plan, Remove, Run, Step, Write
from app.watch import next_occurrence, parse_time, wall_clock
from core.errors import ScheduleError, UsageError
from core.paths import Home

COMMAND_TIMEOUT_S = 30.0
BETWEEN_TRIES_S = 0.5
NO_CRONTAB = ("no crontab", "no such file", "not allowed")
"""What `crontab -l` says to a person who has none."""


def schedule(
    home: Home,
    at: str,
    when_idle: bool,
    *,
    confirm: Callable[[str], bool],
    say: Callable[[str], None],
    platform: str = sys.platform,
) -> None:
    """Shows what it will write and run, asks, and sets the nightly run, in place of one that was set before.

    Raises UsageError for a bad time and ScheduleError when the machine has no scheduler or it refuses.
    """
    job = _job(home, at, when_idle, platform)
    say(_plan(job, platform).text)
    if _what_is_set(platform):
        say("This takes the place of the nightly run that is set now.")
    if only_here := sorted(name for name in os.environ if name.startswith("PENPAL_") and name != "PENPAL_HOME"):
        say(f"At night {', '.join(only_here)} will not be set: what shall hold then too belongs in {home.config_file}.")
    if not confirm("Install?"):
        say("Nothing was installed.")
        return
    home.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # where the run's log goes
    for _, removal in _what_is_set(platform):
        _take(removal)
    plan = _plan(job, platform)  # anew: the person may have changed the crontab before the answer
    try:
        _take(plan.steps)
    except (ScheduleError, OSError):
        _take(_forgiving(plan.undo))
        raise
    say(f"PenPal learns every day at {job.first:%H:%M}. To end that: penpal personalize --unschedule")


def unschedule(*, say: Callable[[str], None], platform: str = sys.platform) -> None:
    """Removes what `schedule` set, and says so, or that there is nothing."""
    found = _what_is_set(platform)
    for system, removal in found:
        _take(removal)
        say(f"Removed the {system}: PenPal no longer learns by itself.")
    if not found:
        say("There is no nightly run to remove.")


def scheduled(platform: str = sys.platform) -> list[str]:
    """The schedulers in which a nightly run is set: none, or one."""
    return [system for system, _ in _what_is_set(platform)]


def asking(*, yes: bool) -> Callable[[str], bool]:
    """What `schedule` asks with: the person at the terminal, or nobody when `yes` was said before.

    Where nobody can answer, asking raises UsageError.
    """

    def ask(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError("Nothing was installed, because nobody can be asked here: add --yes to install it.")
        import typer

        return typer.confirm(question, default=False)

    return ask


# --- which scheduler, and what it has ---------------------------------------------------------------------------


def _plan(job: Job, platform: str) -> Plan:
    if platform == "win32":
        return timers.windows_plan(job, scratch=Path(tempfile.gettempdir()))
    if platform == "darwin":
        return timers.launchd_plan(job, agents=_agents(), user_id=os.getuid())
    if _answers("systemctl", "--user", "show-environment"):
        return timers.systemd_plan(job, units=_units(), data=_systemd_data())
    if shutil.which("crontab"):
        return timers.cron_plan(job, crontab=_crontab())
    raise ScheduleError(
        "This machine has neither systemd nor cron for you: 'penpal personalize --watch' learns each night while it "
        "is left running."
    )


def _what_is_set(platform: str) -> list[tuple[str, tuple[Step, ...]]]:
    """Every scheduler that has a nightly run of ours, with the steps to remove it."""
    if platform == "win32":
        is_set = _answers("schtasks", "/Query", "/TN", timers.NAME)
        return [(timers.WINDOWS, timers.windows_removal())] if is_set else []
    found: list[tuple[str, tuple[Step, ...]]] = []
    if platform == "darwin" and (_agents() / f"{timers.LABEL}.plist").exists():
        found.append((timers.LAUNCHD, timers.launchd_removal(agents=_agents(), user_id=os.getuid())))
    if any((_units() / f"{timers.NAME}.{kind}").exists() for kind in ("timer", "service")):
        found.append((timers.SYSTEMD, timers.systemd_removal(units=_units(), data=_systemd_data())))
    crontab = _crontab() if shutil.which("crontab") else ""
    if timers.has_line(crontab):
        found.append((timers.CRON, timers.cron_removal(crontab=crontab)))
    return found


def _agents() -> Path:
    return Path.home() / "Library" / "LaunchAgents"


def _units() -> Path:
    return _xdg("XDG_CONFIG_HOME", ".config") / "systemd" / "user"


def _systemd_data() -> Path:
    return _xdg("XDG_DATA_HOME", ".local/share") / "systemd"


def _xdg(variable: str, usual: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / usual)


def _crontab() -> str:
    """As it is now; empty when the person has none. Raises ScheduleError when it cannot be told: it would be lost."""
    done = _run(("crontab", "-l"))
    complaint = _text(done.stderr).lower()
    if done.returncode and not any(none in complaint for none in NO_CRONTAB):
        raise ScheduleError(f"Your crontab cannot be read: {_reason(done)}.")
    return "" if done.returncode else _text(done.stdout)


# --- what is to be run ------------------------------------------------------------------------------------------


def _job(home: Home, at: str, when_idle: bool, platform: str) -> Job:
    folder = home.folder.absolute()
    program = _program_with_home(folder) if platform == "win32" else (str(_program()),)
    if odd := [word for word in (*program, str(folder)) if not word.isprintable()]:
        raise UsageError(f"{odd[0]!r} has a character in its path that schedulers cannot take: move it elsewhere.")
    return Job(program, folder, next_occurrence(parse_time(at), wall_clock()), when_idle)


def _program() -> Path:
    """The script `penpal` of the Python that runs now."""
    places = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    found = [place / "penpal" for place in places if (place / "penpal").is_file()]
    if not found:
        raise ScheduleError(f"There is no program 'penpal' beside {sys.executable}: install PenPal ('make setup').")
    return found[0].absolute()


def _program_with_home(folder: Path) -> tuple[str, ...]:
    windowless = Path(sys.executable).with_name("pythonw.exe")
    python = windowless if windowless.is_file() else Path(sys.executable)
    return (str(python.absolute()), "-c", timers.WITH_HOME, str(folder))


# --- doing ------------------------------------------------------------------------------------------------------


def _take(steps: Iterable[Step]) -> None:
    for step in steps:
        match step:
            case Write(path, text, encoding):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding=encoding)
            case Remove(path):
                path.unlink(missing_ok=True)
            case Run():
                _run_step(step)


def _run_step(step: Run) -> None:
    for left in reversed(range(step.tries)):
        done = _run(step.argv, step.stdin)
        if done.returncode == 0 or step.may_fail:
            return
        if not left:
            raise ScheduleError(f"'{' '.join(step.argv)}' failed: {_reason(done)}.")
        time.sleep(BETWEEN_TRIES_S)


def _forgiving(steps: Iterable[Step]) -> list[Step]:
    """The same, but no failure ends it."""
    return [Run(step.argv, step.stdin, may_fail=True) if isinstance(step, Run) else step for step in steps]


def _answers(*argv: str) -> bool:
    return shutil.which(argv[0]) is not None and _run(argv).returncode == 0


def _run(argv: tuple[str, ...], stdin: str | None = None) -> subprocess.CompletedProcess[bytes]:
    given = (stdin or "").encode("utf-8", "surrogateescape")
    try:
        # In English, so that "no crontab for ann" is understood.
        return subprocess.run(
            argv, input=given, capture_output=True, timeout=COMMAND_TIMEOUT_S, env={**os.environ, "LC_ALL": "C"}
        )
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, b"", f"{argv[0]}: {error.strerror}".encode())
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, b"", f"no answer within {COMMAND_TIMEOUT_S:.0f} s".encode())


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (_text(done.stderr) or _text(done.stdout)).strip().splitlines()
    return lines[-1].rstrip(".") if lines else f"exit code {done.returncode}"


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")

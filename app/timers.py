"""What each system's own scheduler is told, step by step and to the letter: systemd, launchd, Windows, cron.

Pure: reads nothing and runs nothing. app/schedule.py looks at the machine and takes the steps.
"""

from __future__ import annotations

import plistlib
import shlex
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

NAME = "penpal-personalize"
LABEL = "penpal.personalize"
CRON_MARK = "# penpal personalize"
"""The end of our line in a crontab, and how it is found again. To the shell it is a comment."""
LOG_FILE = "nightly.log"
WITH_HOME = (
    "import os, sys; home = os.environ['PENPAL_HOME'] = sys.argv.pop(1); "
    f"sys.stdout = sys.stderr = open(os.path.join(home, '{LOG_FILE}'), 'a', encoding='utf-8'); "
    "from app.cli import main; main()"
)
"""Windows tasks have no environment and nowhere to print: this gives Python both, the home as first argument."""


@dataclass(frozen=True)
class Write:
    """A file to write."""

    path: Path
    text: str
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Remove:
    """A file to remove, if it is there."""

    path: Path


@dataclass(frozen=True)
class Run:
    """A command. The failure of one that `may_fail` ends nothing; several `tries` come half a second apart."""

    argv: tuple[str, ...]
    stdin: str | None = None
    may_fail: bool = False
    tries: int = 1


Step = Write | Remove | Run


@dataclass(frozen=True)
class Job:
    """A nightly run. `program` is what starts PenPal, as absolute paths; `first` is the first night."""

    program: tuple[str, ...]
    home: Path
    first: datetime
    when_idle: bool

    def words(self, *, checks_idle: bool = True) -> list[str]:
        """The command, one word each. With `checks_idle` it waits for an idle machine by itself."""
        idle = ["--when-idle"] if self.when_idle and checks_idle else []
        return [*self.program, "personalize", "--on-schedule", *idle]

    @property
    def log(self) -> Path:
        return self.home / LOG_FILE


@dataclass(frozen=True)
class Plan:
    """How a nightly run is installed and how it is removed again."""

    system: str
    steps: tuple[Step, ...]
    undo: tuple[Step, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Everything that installing will do, for the person to read before."""
        parts = [_shown(step) for step in self.steps]
        return "\n".join([f"A {self.system}:", "", *(part for part in parts if part), *self.notes])


def _shown(step: Step) -> str:
    match step:
        case Write(path, text):
            return f"writes {path}\n\n{_indented(text)}\n"
        case Run(argv, None):
            joined = subprocess.list2cmdline(argv) if argv[0] == "schtasks" else shlex.join(argv)
            return f"runs {joined}\n"
        case Run(argv, str(text)):
            ours = [line for line in text.split("\n") if line.endswith(CRON_MARK)]
            return f"adds to your crontab\n\n{_indented(chr(10).join(ours))}\n"
    return ""  # what is removed on the way is a file of our own


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip("\n").split("\n"))


# --- systemd ----------------------------------------------------------------------------------------------------

SYSTEMD = "systemd user timer"


def systemd_plan(job: Job, *, units: Path, data: Path) -> Plan:
    """A user service with its timer. `units` is systemd's folder of the person's units, `data` that of its own data."""
    service = f"""\
[Unit]
Description=PenPal learns from what you chose
ConditionACPower=true

[Service]
Type=oneshot
ExecStart={_systemd_command(job.words())}
Environment={_systemd_quoted(f"PENPAL_HOME={job.home}")}
Nice=19
CPUSchedulingPolicy=idle
IOSchedulingClass=idle
CPUWeight=1
IOWeight=1
"""
    timer = f"""\
[Unit]
Description=PenPal learns every day at {job.first:%H:%M}

[Timer]
OnCalendar=*-*-* {job.first:%H:%M}:00
Persistent=true

[Install]
WantedBy=timers.target
"""
    steps = (
        Write(units / f"{NAME}.service", service),
        Write(units / f"{NAME}.timer", timer),
        Run(("systemctl", "--user", "daemon-reload")),
        Run(("systemctl", "--user", "enable", "--now", f"{NAME}.timer")),
    )
    notes = (
        "It is left out on battery, and made up for when the machine was off or asleep or you were logged out.",
        *_idle_note(job),
        f"What it says: journalctl --user -u {NAME}",
    )
    return Plan(SYSTEMD, steps, systemd_removal(units=units, data=data), notes)


def systemd_removal(*, units: Path, data: Path) -> tuple[Step, ...]:
    """Works without a systemd that answers, too."""
    return (
        Run(("systemctl", "--user", "disable", "--now", f"{NAME}.timer"), may_fail=True),
        Remove(units / "timers.target.wants" / f"{NAME}.timer"),
        Remove(units / f"{NAME}.timer"),
        Remove(units / f"{NAME}.service"),
        # Else a timer that is installed months later has months to make up for, and starts at once.
        Remove(data / "timers" / f"stamp-{NAME}.timer"),
        Run(("systemctl", "--user", "daemon-reload"), may_fail=True),
    )


def _systemd_command(words: list[str]) -> str:
    """systemd takes no program whose path has one of these characters; the shell does."""
    if any(character in words[0] for character in "'\"\\$"):
        words = ["/bin/sh", "-c", 'exec "$0" "$@"', *words]
    return " ".join(_systemd_quoted(word).replace("$", "$$") for word in words)


def _systemd_quoted(word: str) -> str:
    """In quotes, which C's escapes keep in one piece; a single % would begin a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


# --- launchd ----------------------------------------------------------------------------------------------------

LAUNCHD = "launchd agent"


def launchd_plan(job: Job, *, agents: Path, user_id: int) -> Plan:
    """An agent of the person. `agents` is their folder LaunchAgents."""
    about = {
        "Label": LABEL,
        "ProgramArguments": job.words(),
        "EnvironmentVariables": {"PENPAL_HOME": str(job.home)},
        "StartCalendarInterval": {"Hour": job.first.hour, "Minute": job.first.minute},
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Nice": 19,
        "StandardOutPath": str(job.log),
        "StandardErrorPath": str(job.log),
    }
    path = agents / f"{LABEL}.plist"
    steps = (
        Write(path, plistlib.dumps(about, sort_keys=False).decode()),
        # Fails for a moment while an agent of the same name, just booted out, is still going.
        Run(("launchctl", "bootstrap", f"gui/{user_id}", str(path)), tries=6),
    )
    notes = (
        "It is left out on battery, and made up for when the machine was asleep.",
        *_idle_note(job),
        f"What it says: {job.log}",
    )
    return Plan(LAUNCHD, steps, launchd_removal(agents=agents, user_id=user_id), notes)


def launchd_removal(*, agents: Path, user_id: int) -> tuple[Step, ...]:
    """Also for an agent that was booted out by hand."""
    return (
        Run(("launchctl", "bootout", f"gui/{user_id}/{LABEL}"), may_fail=True),
        Remove(agents / f"{LABEL}.plist"),
    )


# --- Windows ----------------------------------------------------------------------------------------------------

WINDOWS = "Windows task"


def windows_plan(job: Job, *, scratch: Path) -> Plan:
    """A task of the person, told in an XML file in the folder `scratch`: options do not reach idle and battery."""
    program, *arguments = job.words(checks_idle=False)
    task = f"""\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>PenPal learns from what you chose</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>{job.first:%Y-%m-%dT%H:%M:00}</StartBoundary>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>true</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfIdle>{str(job.when_idle).lower()}</RunOnlyIfIdle>
    <IdleSettings>
      <Duration>PT10M</Duration>
      <WaitTimeout>PT1H</WaitTimeout>
      <StopOnIdleEnd>false</StopOnIdleEnd>
      <RestartOnIdle>false</RestartOnIdle>
    </IdleSettings>
    <Priority>9</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{escape(program)}</Command>
      <Arguments>{escape(subprocess.list2cmdline(arguments))}</Arguments>
    </Exec>
  </Actions>
</Task>
"""
    path = scratch / f"{NAME}.xml"
    steps = (
        Write(path, task, "utf-16"),
        Run(("schtasks", "/Create", "/TN", NAME, "/XML", str(path), "/F")),
        Remove(path),
    )
    notes = (
        "It is left out on battery, and made up for when the machine was off or asleep.",
        *_idle_note(job),
        f"What it says: {job.log}",
    )
    return Plan(WINDOWS, steps, windows_removal(), notes)


def windows_removal() -> tuple[Step, ...]:
    """The task alone: its XML file was for installing only."""
    return (Run(("schtasks", "/Delete", "/TN", NAME, "/F")),)


# --- cron -------------------------------------------------------------------------------------------------------

CRON = "cron line"


def cron_plan(job: Job, *, crontab: str) -> Plan:
    """One more line in the person's crontab, given as it is now."""
    command = " ".join(
        [
            f"PENPAL_HOME={shlex.quote(str(job.home))} nice -n 19 {shlex.join(job.words())}",
            f">>{shlex.quote(str(job.log))} 2>&1 {CRON_MARK}",
        ]
    )
    # cron takes an unescaped % for the end of the line, within the shell's quotes too.
    line = f"{job.first.minute} {job.first.hour} * * * " + command.replace("%", r"\%")
    notes = (
        "It is left out on battery, and when the machine is asleep: cron makes up for nothing.",
        *_idle_note(job),
        f"What it says: {job.log}",
    )
    return Plan(CRON, (_crontab_run(f"{_without_ours(crontab)}{line}\n"),), cron_removal(crontab=crontab), notes)


def cron_removal(*, crontab: str) -> tuple[Step, ...]:
    """The crontab without our line; none at all when it held nothing else."""
    rest = _without_ours(crontab)
    return (_crontab_run(rest) if rest else Run(("crontab", "-r")),)


def has_line(crontab: str) -> bool:
    """Whether a crontab holds a nightly run of ours."""
    return any(line.endswith(CRON_MARK) for line in crontab.split("\n"))


def _crontab_run(text: str) -> Run:
    return Run(("crontab", "-"), stdin=text)


def _without_ours(crontab: str) -> str:
    rest = "\n".join(line for line in crontab.split("\n") if not line.endswith(CRON_MARK))
    return rest if not rest or rest.endswith("\n") else f"{rest}\n"


def _idle_note(job: Job) -> tuple[str, ...]:
    return ("It waits up to an hour until the machine has little to do.",) if job.when_idle else ()

"""What each scheduler is told, read back as that scheduler reads it, with paths that need every quote."""

from __future__ import annotations

import configparser
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import datetime
from pathlib import Path

import pytest

from app.timers import (
    CRON_MARK,
    NAME,
    WITH_HOME,
    Job,
    Plan,
    Remove,
    Run,
    Write,
    cron_plan,
    cron_removal,
    launchd_plan,
    systemd_plan,
    windows_plan,
)

ROOT = Path(__file__).resolve().parents[2]
NIGHT = datetime.fromisoformat("2026-03-02 02:30")
PLAIN = "/home/ann/.local/bin/penpal"
NASTY_FOLDERS = [
    "Ann Bo",
    "100% mine",
    "it's",
    'say "hi"',
    r"back\slash",
    "$HOME `id` $(id)",
    "a;b&c|d>e #f",
    "ünï 日本",
]
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def job(program: str = PLAIN, home: Path = Path("/home/ann/penpal"), *, when_idle: bool = False) -> Job:
    return Job((program,), home, NIGHT, when_idle)


def written(plan: Plan) -> dict[str, str]:
    return {step.path.name: step.text for step in plan.steps if isinstance(step, Write)}


def runs(plan: Plan) -> list[tuple[str, ...]]:
    return [step.argv for step in plan.steps if isinstance(step, Run)]


# --- systemd ----------------------------------------------------------------------------------------------------


def systemd(some_job: Job) -> Plan:
    return systemd_plan(some_job, units=Path("/u/systemd/user"), data=Path("/d/systemd"))


def unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's keys have capitals
    parser.read_string(text)
    return parser


def systemd_words(line: str) -> list[str]:
    """As systemd reads quoted words: C escapes, then %% for %."""
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
    return [re.sub(r"\\(.)", r"\1", word).replace("%%", "%") for word in quoted]


def test_the_systemd_service_runs_last_of_all_and_not_on_battery() -> None:
    service = unit(written(systemd(job()))[f"{NAME}.service"])
    assert service["Unit"]["ConditionACPower"] == "true"
    about = dict(service["Service"])
    assert systemd_words(about.pop("ExecStart")) == [PLAIN, "personalize", "--on-schedule"]
    assert systemd_words(about.pop("Environment")) == ["PENPAL_HOME=/home/ann/penpal"]
    assert about == {
        "Type": "oneshot",
        "Nice": "19",
        "CPUSchedulingPolicy": "idle",
        "IOSchedulingClass": "idle",
        "CPUWeight": "1",
        "IOWeight": "1",
    }


def test_the_systemd_timer_runs_at_the_time_and_catches_up() -> None:
    timer = unit(written(systemd(job()))[f"{NAME}.timer"])
    assert dict(timer["Timer"]) == {"OnCalendar": "*-*-* 02:30:00", "Persistent": "true"}
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_systemd_is_told_to_look_again_and_to_start_the_timer_and_all_of_it_is_undone() -> None:
    plan = systemd(job())
    assert runs(plan) == [
        ("systemctl", "--user", "daemon-reload"),
        ("systemctl", "--user", "enable", "--now", "penpal-personalize.timer"),
    ]
    removed = [str(step.path) for step in plan.undo if isinstance(step, Remove)]
    assert removed == [
        "/u/systemd/user/timers.target.wants/penpal-personalize.timer",
        "/u/systemd/user/penpal-personalize.timer",
        "/u/systemd/user/penpal-personalize.service",
        "/d/systemd/timers/stamp-penpal-personalize.timer",
    ]


@pytest.mark.parametrize("folder", NASTY_FOLDERS)
def test_systemd_reads_back_any_path(folder: str) -> None:
    some_job = job(f"/opt/{folder}/penpal", Path("/home") / folder)
    about = unit(written(systemd(some_job))[f"{NAME}.service"])["Service"]
    program, *_, last = systemd_words(about["ExecStart"].replace("$$", "$"))
    assert last == "--on-schedule"
    assert f"/opt/{folder}/penpal" in systemd_words(about["ExecStart"].replace("$$", "$"))
    assert not set(program) & set("'\"\\$")
    assert systemd_words(about["Environment"]) == [f"PENPAL_HOME=/home/{folder}"]


def test_a_path_that_systemd_refuses_is_started_by_the_shell(tmp_path: Path) -> None:
    program = tmp_path / """it's "$HOME" """ / "penpal"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    program.chmod(0o755)
    line = unit(written(systemd(job(str(program))))[f"{NAME}.service"])["Service"]["ExecStart"]
    words = systemd_words(line.replace("$$", "$"))
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.splitlines() == [str(program), "personalize", "--on-schedule"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("folder", ["plain", *NASTY_FOLDERS])
def test_systemd_itself_finds_no_fault(tmp_path: Path, folder: str) -> None:
    """It looks for the program too, so that a path that it misreads is a fault."""
    program = tmp_path / folder / "penpal"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = tmp_path / "units"
    units.mkdir()
    for name, text in written(systemd(job(str(program), tmp_path / folder, when_idle=True))).items():
        (units / name).write_text(text)
    files = sorted(map(str, units.iterdir()))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False, timeout=60
    )
    assert [line for line in done.stderr.splitlines() if NAME in line] == []
    assert "not executable" not in done.stderr


# --- launchd ----------------------------------------------------------------------------------------------------


def launchd(some_job: Job) -> Plan:
    return launchd_plan(some_job, agents=Path("/Users/ann/Library/LaunchAgents"), user_id=501)


@pytest.mark.parametrize("folder", ["penpal", *NASTY_FOLDERS, "<Bo & Co>"])
def test_the_launchd_agent_says_all_of_it(folder: str) -> None:
    plan = launchd(job(f"/opt/{folder}/penpal", Path("/Users") / folder, when_idle=True))
    (text,) = written(plan).values()
    assert plistlib.loads(text.encode()) == {
        "Label": "penpal.personalize",
        "ProgramArguments": [f"/opt/{folder}/penpal", "personalize", "--on-schedule", "--when-idle"],
        "EnvironmentVariables": {"PENPAL_HOME": f"/Users/{folder}"},
        "StartCalendarInterval": {"Hour": 2, "Minute": 30},
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Nice": 19,
        "StandardOutPath": f"/Users/{folder}/nightly.log",
        "StandardErrorPath": f"/Users/{folder}/nightly.log",
    }


def test_launchd_loads_the_agent_for_the_person_and_undoes_it() -> None:
    plan = launchd(job())
    path = "/Users/ann/Library/LaunchAgents/penpal.personalize.plist"
    assert runs(plan) == [("launchctl", "bootstrap", "gui/501", path)]
    assert plan.undo == (
        Run(("launchctl", "bootout", "gui/501/penpal.personalize"), may_fail=True),
        Remove(Path(path)),
    )


# --- Windows ----------------------------------------------------------------------------------------------------


def windows(some_job: Job) -> ET.Element:
    (text,) = written(windows_plan(some_job, scratch=Path("/tmp"))).values()
    return ET.fromstring(text.encode("utf-16"))


def text_of(task: ET.Element, path: str) -> str | None:
    return task.findtext("/".join(f"{TASK}{part}" for part in path.split("/")))


def test_the_windows_task_is_polite() -> None:
    task = windows(job())
    settings = {path: text_of(task, f"Settings/{path}") for path in ("StartWhenAvailable", "RunOnlyIfIdle", "Priority")}
    assert settings == {"StartWhenAvailable": "true", "RunOnlyIfIdle": "false", "Priority": "9"}
    assert text_of(task, "Settings/DisallowStartIfOnBatteries") == "true"
    assert text_of(task, "Triggers/CalendarTrigger/StartBoundary") == "2026-03-02T02:30:00"
    assert text_of(task, "Triggers/CalendarTrigger/ScheduleByDay/DaysInterval") == "1"
    assert text_of(task, "Principals/Principal/RunLevel") == "LeastPrivilege"


def test_windows_itself_waits_for_an_idle_machine() -> None:
    task = windows(job(when_idle=True))
    assert text_of(task, "Settings/RunOnlyIfIdle") == "true"
    assert text_of(task, "Settings/IdleSettings/WaitTimeout") == "PT1H"
    assert "--when-idle" not in str(text_of(task, "Actions/Exec/Arguments"))


@pytest.mark.parametrize("folder", ["plain", "Ann Bo", "Bo & Co <x>", 'a "quoted" one', "ends in backslash \\", "ünï"])
def test_the_windows_command_line_is_quoted(folder: str) -> None:
    program = (f"C:\\{folder}\\pythonw.exe", "-c", WITH_HOME, f"C:\\Users\\{folder}")
    task = windows(Job(program, Path("C:/home"), NIGHT, when_idle=False))
    assert text_of(task, "Actions/Exec/Command") == program[0]
    arguments = [*program[1:], "personalize", "--on-schedule"]
    assert text_of(task, "Actions/Exec/Arguments") == subprocess.list2cmdline(arguments)


def test_windows_is_told_by_a_file_that_is_gone_afterwards() -> None:
    plan = windows_plan(job(), scratch=Path("/tmp"))
    assert plan.steps[1:] == (
        Run(("schtasks", "/Create", "/TN", NAME, "/XML", f"/tmp/{NAME}.xml", "/F")),
        Remove(Path(f"/tmp/{NAME}.xml")),
    )
    assert plan.undo == (Run(("schtasks", "/Delete", "/TN", NAME, "/F")),)


def test_the_program_of_a_windows_task_finds_its_home_and_writes_its_log(tmp_path: Path) -> None:
    """The words that the task starts, started here."""
    home = tmp_path / "Ann's 100% home"
    home.mkdir()
    words = [sys.executable, "-c", WITH_HOME, str(home), "encoder", "use", "unheard-of"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.stderr) == ("", "")
    assert (home / "penpal.db").is_file()
    assert "penpal: " in (home / "nightly.log").read_text(encoding="utf-8")


# --- cron -------------------------------------------------------------------------------------------------------


def crontab_after(plan: Plan) -> str:
    (step,) = plan.steps
    assert isinstance(step, Run)
    assert step.stdin is not None
    return step.stdin


def test_the_cron_line_runs_at_the_time_and_can_be_found_again() -> None:
    line = crontab_after(cron_plan(job(when_idle=True), crontab=""))
    found = re.fullmatch(r"30 2 \* \* \* PENPAL_HOME=(\S+) nice -n 19 (.+) >>(\S+) 2>&1 # penpal personalize\n", line)
    assert found
    assert found[1] == "/home/ann/penpal"
    assert shlex.split(found[2]) == [PLAIN, "personalize", "--on-schedule", "--when-idle"]
    assert found[3] == "/home/ann/penpal/nightly.log"


@pytest.mark.parametrize("folder", ["plain", *NASTY_FOLDERS])
def test_the_shell_of_cron_runs_the_program_in_its_home_and_logs(tmp_path: Path, folder: str) -> None:
    """As cron does it: an escaped % is a %, an unescaped one would end the line, and sh does the rest."""
    home = tmp_path / folder
    home.mkdir()
    program = home / "penpal"
    program.write_text('#!/bin/sh\necho "$PENPAL_HOME|$*|$(nice)"\n')
    program.chmod(0o755)
    line = crontab_after(cron_plan(job(str(program), home), crontab="")).rstrip("\n")
    assert not re.search(r"(?<!\\)%", line)
    command = line.split(" ", 5)[5].replace(r"\%", "%")
    subprocess.run(["/bin/sh", "-c", command], check=True, timeout=20, cwd="/")
    assert (home / "nightly.log").read_text() == f"{home}|personalize --on-schedule|19\n"


@pytest.mark.parametrize(
    "before", ["", "# mine\n@daily backup\n", "MAILTO=ann\n\n0 9 * * * echo a%b\n\n", "0 1 * * * no newline"]
)
def test_other_lines_of_a_crontab_stay_as_they_are(before: str) -> None:
    after = crontab_after(cron_plan(job(), crontab=before))
    kept = before if not before or before.endswith("\n") else f"{before}\n"
    assert after.startswith(kept)
    assert after.count(CRON_MARK) == 1
    (step,) = cron_removal(crontab=after)
    assert step == (Run(("crontab", "-"), stdin=kept) if kept else Run(("crontab", "-r")))


def test_a_second_cron_line_takes_the_place_of_the_first() -> None:
    first = crontab_after(cron_plan(job(), crontab="@daily backup\n"))
    later = Job((PLAIN,), Path("/home/ann"), NIGHT.replace(hour=4), when_idle=False)
    second = crontab_after(cron_plan(later, crontab=first))
    assert [line.split()[:2] for line in second.splitlines()] == [["@daily", "backup"], ["30", "4"]]


# --- what is shown ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        systemd(job(when_idle=True)),
        launchd(job(when_idle=True)),
        windows_plan(job(when_idle=True), scratch=Path("/tmp")),
        cron_plan(job(when_idle=True), crontab="@daily backup\n"),
    ],
    ids=lambda plan: plan.system,
)
def test_a_person_sees_every_file_and_command_before(plan: Plan) -> None:
    shown = plan.text
    assert plan.system in shown
    for step in plan.steps:
        if isinstance(step, Write):
            assert f"writes {step.path}" in shown
            assert [line for line in step.text.splitlines() if line.strip() not in shown] == []
        elif isinstance(step, Run) and step.stdin is None:
            assert f"runs {' '.join(step.argv)}" in shown
    assert "on battery" in shown


def test_of_a_crontab_only_the_new_line_is_shown() -> None:
    shown = cron_plan(job(), crontab="@daily secret\n").text
    assert "secret" not in shown
    assert "    30 2 * * * PENPAL_HOME=/home/ann/penpal nice -n 19" in shown

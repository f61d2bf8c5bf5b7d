"""Setting and removing the nightly run, through stand-ins for each system's own programs on the PATH.

The stand-ins are small shell scripts that keep state as the real ones do, and write down what they were called with.
"""

from __future__ import annotations

import io
import plistlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app import schedule as module
from app.schedule import asking, schedule, scheduled, unschedule
from core.errors import ScheduleError, UsageError
from core.paths import Home
from tests.app.conftest import Terminal

SYSTEMCTL = r"""
units="$XDG_CONFIG_HOME/systemd/user"; timer=penpal-personalize.timer
case "$*" in
    "--user show-environment") [ ! -e "$STATE/no-bus" ] || { echo "Failed to connect to bus" >&2; exit 1; } ;;
    "--user daemon-reload") ;;
    "--user enable --now $timer")
        [ ! -e "$STATE/refuse" ] || { echo "Failed to enable unit: Access denied" >&2; exit 1; }
        [ -e "$units/$timer" ] && [ -e "$units/penpal-personalize.service" ] || exit 1
        /bin/mkdir -p "$units/timers.target.wants" "$XDG_DATA_HOME/systemd/timers"
        /bin/ln -sf "$units/$timer" "$units/timers.target.wants/$timer"
        : >"$XDG_DATA_HOME/systemd/timers/stamp-$timer" ;;
    "--user disable --now $timer") [ -e "$units/$timer" ] && /bin/rm -f "$units/timers.target.wants/$timer" ;;
    *) exit 64 ;;
esac
"""

CRONTAB = r"""
tab="$STATE/crontab"
case "$*" in
    -l) [ ! -e "$STATE/refuse-list" ] || { echo "crontab: out of memory" >&2; exit 1; }
        [ -e "$tab" ] || { echo "no crontab for ann" >&2; exit 1; }
        /bin/cat "$tab" ;;
    -)  [ ! -e "$STATE/refuse" ] || { echo "bad minute" >&2; exit 1; }
        /bin/cat >"$tab" ;;
    -r) /bin/rm "$tab" ;;
    *) exit 64 ;;
esac
"""

LAUNCHCTL = r"""
loaded="$STATE/loaded"
case "$1" in
    bootstrap)
        [ ! -e "$STATE/busy" ] || { /bin/rm "$STATE/busy"; echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; }
        [ ! -e "$loaded" ] && [ -e "$3" ] && : >"$loaded" ;;
    bootout) [ -e "$loaded" ] || { echo "Boot-out failed: 3: No such process" >&2; exit 3; }; /bin/rm "$loaded" ;;
    *) exit 64 ;;
esac
"""

SCHTASKS = r"""
task="$STATE/task.xml"
case "$1" in
    /Query) [ -e "$task" ] ;;
    /Create) [ "$4" = /XML ] && [ "$6" = /F ] && /bin/cp "$5" "$task" ;;
    /Delete) /bin/rm "$task" ;;
    *) exit 64 ;;
esac
"""


class Machine:
    """A person's machine with some of these programs; what they do and are told is kept in `state`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.state = folder / "bin", folder / "state"
        self.user, self.home = folder / "Ann's 100% own", Home(folder / "my home")
        for place in (self.bin, self.state, self.user):
            place.mkdir()
        for name, value in {
            "PATH": self.bin,
            "STATE": self.state,
            "HOME": self.user,
            "XDG_CONFIG_HOME": self.user / ".config",
            "XDG_DATA_HOME": self.user / ".local" / "share",
        }.items():
            monkeypatch.setenv(name, str(value))
        self.said: list[str] = []

    def has(self, name: str, script: str) -> None:
        program = self.bin / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"$STATE/calls"\n{script}')
        program.chmod(0o755)

    def calls(self) -> list[str]:
        """Everything that changed something, since the last look."""
        log = self.state / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if not re.search(r"show-environment|crontab -l|/Query", line)]

    def crontab(self) -> str | None:
        file = self.state / "crontab"
        return file.read_text() if file.exists() else None

    def files(self) -> list[str]:
        """What the person's folder holds; links too."""
        return sorted(
            path.relative_to(self.user).as_posix()
            for path in self.user.rglob("*")
            if path.is_symlink() or path.is_file()
        )

    def schedule(
        self, at: str = "02:30", *, when_idle: bool = False, platform: str = "linux", answer: bool = True
    ) -> None:
        schedule(self.home, at, when_idle, confirm=lambda _: answer, say=self.said.append, platform=platform)

    def unschedule(self, platform: str = "linux") -> str:
        self.said.clear()
        unschedule(say=self.said.append, platform=platform)
        return "\n".join(self.said)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.fixture
def systemd(machine: Machine) -> Machine:
    machine.has("systemctl", SYSTEMCTL)
    machine.has("crontab", CRONTAB)
    return machine


@pytest.fixture
def cron(machine: Machine) -> Machine:
    machine.has("crontab", CRONTAB)
    return machine


SYSTEMD_FILES = [
    ".config/systemd/user/penpal-personalize.service",
    ".config/systemd/user/penpal-personalize.timer",
    ".config/systemd/user/timers.target.wants/penpal-personalize.timer",
    ".local/share/systemd/timers/stamp-penpal-personalize.timer",
]
ENABLE = ["systemctl --user daemon-reload", "systemctl --user enable --now penpal-personalize.timer"]
DISABLE = ["systemctl --user disable --now penpal-personalize.timer", "systemctl --user daemon-reload"]


# --- systemd ----------------------------------------------------------------------------------------------------


def test_a_machine_with_systemd_gets_a_timer(systemd: Machine) -> None:
    systemd.schedule(when_idle=True)
    assert systemd.calls() == ENABLE
    assert systemd.files() == SYSTEMD_FILES
    service = (systemd.user / SYSTEMD_FILES[0]).read_text()
    penpal = Path(sys.executable).parent / "penpal"
    assert f'ExecStart="{penpal}" "personalize" "--on-schedule" "--when-idle"\n' in service
    assert f'Environment="PENPAL_HOME={systemd.home.folder}"\n' in service
    assert scheduled("linux") == ["systemd user timer"]
    assert systemd.said[-1] == "PenPal learns every day at 02:30. To end that: penpal personalize --unschedule"


def test_everything_that_was_set_is_removed_again(systemd: Machine) -> None:
    systemd.schedule()
    systemd.calls()
    assert systemd.unschedule() == "Removed the systemd user timer: PenPal no longer learns by itself."
    assert systemd.calls() == DISABLE
    assert (systemd.files(), systemd.crontab(), scheduled("linux")) == ([], None, [])
    assert systemd.unschedule() == "There is no nightly run to remove."


def test_another_time_replaces_the_first(systemd: Machine) -> None:
    systemd.schedule("02:30")
    systemd.calls()
    systemd.schedule("4:05")
    assert systemd.calls() == DISABLE + ENABLE
    assert systemd.files() == SYSTEMD_FILES
    assert "OnCalendar=*-*-* 04:05:00\n" in (systemd.user / SYSTEMD_FILES[1]).read_text()
    assert "This takes the place of the nightly run that is set now." in systemd.said


def test_units_are_removed_although_systemd_does_not_answer(systemd: Machine) -> None:
    systemd.schedule()
    (systemd.bin / "systemctl").unlink()
    assert "Removed" in systemd.unschedule()
    assert systemd.files() == []


def test_a_refused_timer_leaves_nothing_behind(systemd: Machine) -> None:
    (systemd.state / "refuse").touch()
    with pytest.raises(ScheduleError, match=r"^'systemctl --user enable .*' failed: Failed to enable .* denied\.$"):
        systemd.schedule()
    assert (systemd.files(), scheduled("linux")) == ([], [])


def test_without_xdg_variables_the_usual_folders_are_used(systemd: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd.schedule()
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert scheduled("linux") == ["systemd user timer"]


# --- cron -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, "# mine\n@daily backup\n", "MAILTO=\xe4nn\n\n"])
def test_a_machine_with_cron_gets_a_line_and_is_as_before_without_it(cron: Machine, before: str | None) -> None:
    if before is not None:
        (cron.state / "crontab").write_text(before)
    cron.schedule("2:30")
    after = cron.crontab() or ""
    assert after.startswith(before or "")
    assert after.removeprefix(before or "").startswith("30 2 * * * PENPAL_HOME=")
    assert cron.unschedule() == "Removed the cron line: PenPal no longer learns by itself."
    assert cron.crontab() == before


def test_a_crontab_in_no_known_encoding_comes_back_byte_for_byte(cron: Machine) -> None:
    (cron.state / "crontab").write_bytes(b"# caf\xe9\r\n@daily x\n")
    cron.schedule()
    cron.unschedule()
    assert (cron.state / "crontab").read_bytes() == b"# caf\xe9\r\n@daily x\n"


def test_another_time_replaces_the_cron_line(cron: Machine) -> None:
    cron.schedule("02:30")
    cron.schedule("23:59", when_idle=True)
    (line,) = (cron.crontab() or "").splitlines()
    assert line.startswith("59 23 * * * ")
    assert "--on-schedule --when-idle" in line


def test_a_systemd_that_does_not_answer_means_cron(systemd: Machine) -> None:
    (systemd.state / "no-bus").touch()
    systemd.schedule()
    assert scheduled("linux") == ["cron line"]


def test_a_systemd_that_answers_again_takes_over_from_cron(systemd: Machine) -> None:
    (systemd.state / "no-bus").touch()
    systemd.schedule()
    (systemd.state / "no-bus").unlink()
    systemd.schedule()
    assert scheduled("linux") == ["systemd user timer"]
    assert systemd.crontab() is None


def test_a_crontab_that_cannot_be_read_is_not_overwritten(cron: Machine) -> None:
    (cron.state / "crontab").write_text("@daily backup\n")
    (cron.state / "refuse-list").touch()
    with pytest.raises(ScheduleError, match=r"^Your crontab cannot be read: crontab: out of memory\.$"):
        cron.schedule()
    assert cron.crontab() == "@daily backup\n"


def test_a_refused_line_leaves_the_crontab_as_it_was(cron: Machine) -> None:
    (cron.state / "crontab").write_text("@daily backup\n")
    (cron.state / "refuse").touch()
    with pytest.raises(ScheduleError, match=r"'crontab -' failed: bad minute\."):
        cron.schedule()
    assert cron.crontab() == "@daily backup\n"


def test_a_crontab_that_is_edited_while_the_person_thinks_keeps_the_edit(cron: Machine) -> None:
    def edit_and_agree(question: str) -> bool:
        (cron.state / "crontab").write_text("@daily new\n")
        return True

    schedule(cron.home, "02:30", False, confirm=edit_and_agree, say=cron.said.append, platform="linux")
    assert (cron.crontab() or "").startswith("@daily new\n30 2 ")


# --- macOS and Windows ------------------------------------------------------------------------------------------


def test_a_mac_gets_an_agent(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BETWEEN_TRIES_S", 0.01)
    machine.has("launchctl", LAUNCHCTL)
    machine.schedule(platform="darwin")
    (machine.state / "busy").touch()  # the agent of before is still going when the next one is loaded
    machine.schedule("04:05", platform="darwin")
    assert (machine.state / "loaded").exists()
    assert machine.files() == ["Library/LaunchAgents/penpal.personalize.plist"]
    about = plistlib.loads((machine.user / machine.files()[0]).read_bytes())
    assert about["StartCalendarInterval"] == {"Hour": 4, "Minute": 5}
    assert machine.unschedule("darwin").startswith("Removed the launchd agent")
    assert (machine.files(), (machine.state / "loaded").exists()) == ([], False)
    assert machine.unschedule("darwin") == "There is no nightly run to remove."


def test_windows_gets_a_task(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    machine.has("schtasks", SCHTASKS)
    machine.schedule(platform="win32")
    machine.schedule("04:05", platform="win32")
    task = (machine.state / "task.xml").read_bytes()
    assert task.startswith((b"\xff\xfe", b"\xfe\xff"))
    assert "T04:05:00</StartBoundary>" in task.decode("utf-16")
    assert str(machine.home.folder) in task.decode("utf-16")
    assert list(tmp_path.glob("*.xml")) == []
    assert machine.unschedule("win32").startswith("Removed the Windows task")
    assert not (machine.state / "task.xml").exists()
    assert machine.unschedule("win32") == "There is no nightly run to remove."


# --- before anything is done ------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_everything_is_shown_and_nothing_done_without_a_yes(machine: Machine, platform: str) -> None:
    for name, script in {"systemctl": SYSTEMCTL, "launchctl": LAUNCHCTL, "schtasks": SCHTASKS}.items():
        machine.has(name, script)
    machine.schedule(platform=platform, answer=False)
    shown = machine.said[0]
    assert str(machine.home.folder) in shown
    assert "runs " in shown
    assert machine.said[-1] == "Nothing was installed."
    assert (machine.calls(), machine.files()) == ([], [])


def test_a_machine_without_a_scheduler_is_pointed_to_the_watch(machine: Machine) -> None:
    with pytest.raises(ScheduleError, match="penpal personalize --watch"):
        machine.schedule()
    assert machine.unschedule() == "There is no nightly run to remove."


def test_a_time_that_is_none_is_refused_before_anything_is_shown(systemd: Machine) -> None:
    with pytest.raises(UsageError, match=r"'2\.30' is no time of day"):
        systemd.schedule("2.30")
    assert (systemd.said, systemd.files()) == ([], [])


def test_a_path_with_a_line_break_is_refused(cron: Machine, tmp_path: Path) -> None:
    cron.home = Home(tmp_path / "two\nlines")
    with pytest.raises(UsageError, match="character in its path"):
        cron.schedule()
    assert cron.crontab() is None


def test_a_home_given_from_here_is_found_from_everywhere(cron: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cron.user)
    cron.home = Home(Path("penpal"))
    cron.schedule()
    assert str(cron.user).replace("'", "'\"'\"'").replace("%", r"\%") + "/penpal" in (cron.crontab() or "")


def test_settings_of_this_shell_alone_are_named(cron: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENPAL_BACKBONE", "/my.gguf")
    cron.schedule()
    (told,) = [text for text in cron.said if "PENPAL_BACKBONE" in text]
    assert told.startswith("At night PENPAL_BACKBONE will not be set")
    assert "PENPAL_HOME" not in told


# --- asking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "expected"), [("y\n", True), ("yes\n", True), ("\n", False), ("n\n", False)])
def test_the_person_is_asked_and_no_is_the_answer_by_default(
    typed: str, expected: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert asking(yes=False)("Install?") is expected
    assert "Install? [y/N]" in capsys.readouterr().out


def test_without_a_terminal_it_is_shown_and_yes_must_be_said(systemd: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    ask: Callable[[str], bool] = asking(yes=False)
    with pytest.raises(UsageError, match=r"^Nothing was installed.*add --yes") as refused:
        schedule(systemd.home, "02:30", False, confirm=ask, say=systemd.said.append, platform="linux")
    assert refused.value.exit_code == 2
    assert "OnCalendar" in systemd.said[0]
    assert systemd.files() == []
    schedule(systemd.home, "02:30", False, confirm=asking(yes=True), say=systemd.said.append, platform="linux")
    assert systemd.files() == SYSTEMD_FILES

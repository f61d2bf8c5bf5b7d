"""Texts out of PenPal: the clipboard and files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, Static

from app.tui.clipboard import clipboard_program, copy_with
from app.tui.screens.ask_line import AskLineScreen
from app.tui.text_file import file_name_for, path_of, save_text
from core.errors import UsageError
from tests.scripted_decoder import WARM_AND_DRY

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]
WARM, DRY = WARM_AND_DRY
EVERY_PROGRAM = {"wl-copy", "xclip", "xsel", "pbcopy", "clip.exe"}


def found(environment: dict[str, str], programs: set[str] = EVERY_PROGRAM, system: str = "linux") -> str | None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("app.tui.clipboard.sys.platform", system)
        command = clipboard_program(environment, lambda name: name if name in programs else None)
    return command[0] if command else None


def test_the_clipboard_program_fits_the_desktop() -> None:
    assert found({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}) == "wl-copy"
    assert found({"DISPLAY": ":0"}) == "xclip"
    assert found({"DISPLAY": ":0"}, {"xsel"}) == "xsel"
    assert found({"WSL_DISTRO_NAME": "Debian"}) == "clip.exe"
    assert found({}, system="darwin") == "pbcopy"
    assert found({}) is None
    assert found({"DISPLAY": ":0"}, set()) is None
    assert found({"DISPLAY": ":0", "SSH_CONNECTION": "1.2.3.4"}) is None  # that display is not where the person sits


def test_a_program_that_fails_hangs_or_is_missing_did_not_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.tui.clipboard.PATIENCE_S", 0.2)
    target = tmp_path / "clipboard"
    assert copy_with(["tee", str(target)], "Grüße 🌱")
    assert target.read_text(encoding="utf-8") == "Grüße 🌱"
    assert not copy_with(["false"], "x")
    assert not copy_with(["sleep", "5"], "x")
    assert not copy_with([str(tmp_path / "none")], "x")


async def test_copy_says_which_way_it_went(
    open_chat: OpenChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    way: list[list[str] | None] = [None]
    monkeypatch.setattr("app.tui.handing_out.clipboard_program", lambda: way[0])
    async with open_chat() as chat:
        monkeypatch.setattr(chat.screen, "notify", lambda text, **options: said.append(text))
        await chat.drafts()
        await chat.press("right", "y")
        assert chat.pilot.app.clipboard == DRY
        assert "through the terminal" in said[-1]
        way[0] = ["tee", str(tmp_path / "clipboard")]
        await chat.press("left", "y")
        assert said[-1].endswith("with tee.")
        assert (tmp_path / "clipboard").read_text() == WARM
        way[0] = ["false"]
        await chat.press("y")
        assert "through the terminal" in said[-1]


async def test_a_draft_is_saved_and_another_file_only_replaced_when_asked_for(
    open_chat: OpenChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.txt").write_text("precious")
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("right", "w")
        asked = chat.pilot.app.screen
        assert isinstance(asked, AskLineScreen)
        said, line = asked.query_one("#ask-said", Static), asked.query_one(Input)
        line.value = "no such folder/x.txt"
        await chat.press("enter")
        assert "There is no folder" in str(said.content)
        line.value = "old.txt"
        await chat.press("enter")
        assert "is there already" in str(said.content)
        assert (tmp_path / "old.txt").read_text() == "precious"
        await chat.press("enter")
        assert (tmp_path / "old.txt").read_text() == f"{DRY}\n"
        assert chat.pilot.app.screen is chat.screen


async def test_a_kept_text_is_saved_from_the_thread(
    open_chat: OpenChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "a")
        assert chat.screen.status.hint == "tab, then y copies what you kept"
        chat.screen.thread.focus()
        await chat.press("w", "escape")
        assert list(tmp_path.glob("*.txt")) == []
        await chat.press("w", "enter")
        (file,) = tmp_path.glob("*.txt")
        assert file.read_text() == f"{WARM}\n"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Dear Anna, thank you", "dear-anna-thank-you.txt"),
        ("../../etc", "etc.txt"),
        ("…", "draft.txt"),
        ("日本", "日本.txt"),
    ],
)
def test_a_name_is_made_of_words(title: str, name: str) -> None:
    assert file_name_for(title) == name


def test_what_is_no_file_name_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a name"):
        path_of("  ")
    with pytest.raises(UsageError, match="is a folder"):
        path_of(str(tmp_path))
    assert path_of("~/x.txt") == Path.home() / "x.txt"


def test_saving_fails_in_words_and_leaves_the_old_file(tmp_path: Path) -> None:
    old = tmp_path / "old.txt"
    old.write_text("precious")
    old.chmod(0o640)
    with pytest.raises(FileExistsError):
        save_text(old, "new", replace=False)
    with pytest.raises(UsageError, match="File name too long"):
        save_text(tmp_path / ("x" * 300), "new", replace=False)
    with pytest.raises(UsageError, match="There is no folder"):
        save_text(tmp_path / "none" / "x", "new", replace=True)
    assert old.read_text() == "precious"
    save_text(old, "new", replace=True)
    assert (old.read_text(), stat.S_IMODE(old.stat().st_mode)) == ("new\n", 0o640)
    assert os.listdir(tmp_path) == ["old.txt"]

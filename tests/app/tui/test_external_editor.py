"""The person's own editor: real little scripts stand where vim would."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from app.tui.external_editor import edit_outside, editor_command
from core.errors import UsageError

Script = Callable[[str], Path]


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Makes a shell script the person's editor; "$1" is the text's file."""
    monkeypatch.delenv("EDITOR", raising=False)

    def make(body: str, *, name: str = "my-editor") -> Path:
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o700)
        monkeypatch.setenv("VISUAL", str(script))
        return script

    return make


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("true", None),
        ('echo >> "$1"', None),
        ('printf "A warm draft, mine." > "$1"', "A warm draft, mine."),
        ('printf "Mine.\\n\\nReally.\\n" > "$1"', "Mine.\n\nReally."),
        ('printf "Mine.\\r\\nReally.\\r\\n" > "$1"', "Mine.\nReally."),
        ('printf "\\357\\273\\277Gr\\303\\274\\303\\237e" > "$1"', "Grüße"),
    ],
)
def test_what_came_back(editor: Script, body: str, text: str | None) -> None:
    editor(body)
    assert edit_outside("A warm draft.") == text


def test_a_text_with_a_final_newline_or_foreign_line_ends_is_unchanged_too(editor: Script) -> None:
    editor("true")
    assert edit_outside("One.\r\nTwo.\n") is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (': > "$1"', "empty"),
        ('echo "  " > "$1"', "empty"),
        ('echo new > "$1"; exit 1', r"ended with an error \(1\)"),
        ("kill -9 $$", r"ended with an error \(-9\)"),
        ('rm "$1"', "left no text behind"),
        ('printf "\\377" > "$1"', "no UTF-8"),
    ],
)
def test_a_text_that_is_not_taken_back(editor: Script, body: str, said: str) -> None:
    editor(body)
    with pytest.raises(UsageError, match=said) as error:
        edit_outside("A warm draft.")
    assert "\n" not in str(error.value)


def test_nobody_else_can_read_the_file_and_nothing_is_left_of_it(editor: Script, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    editor(f'cp "$1" "$1~"; stat -c "%a %n" "$1" > {seen}; cat "$1" >> {seen}')
    edit_outside("Private.")
    line, text = seen.read_text().splitlines()
    mode, _, name = line.partition(" ")
    assert (mode, text) == ("600", "Private.")
    assert not Path(name).parent.exists()


def test_the_folder_of_the_file_is_private(editor: Script, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    editor(f'stat -c "%a" "$(dirname "$1")" > {seen}')
    edit_outside("Private.")
    assert int(seen.read_text(), 8) == stat.S_IRWXU


def test_ctrl_c_in_the_editor_is_not_for_penpal(editor: Script) -> None:
    editor(f'kill -INT {os.getpid()}; printf "Mine." > "$1"')
    assert edit_outside("Yours.") == "Mine."


def test_visual_comes_before_editor_and_may_have_options(editor: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    script = editor('[ "$1" = --calm ] && printf "Mine." > "$2"')
    monkeypatch.setenv("VISUAL", f"'{script}' --calm")
    monkeypatch.setenv("EDITOR", "false")
    assert edit_outside("Yours.") == "Mine."
    monkeypatch.delenv("VISUAL")
    assert editor_command() == ["false"]


def test_an_editor_with_a_window_of_its_own_is_told_to_wait(editor: Script) -> None:
    script = editor("true", name="code")
    assert editor_command() == [str(script), "--wait"]


@pytest.mark.parametrize("there", ["nano", "vi"])
def test_without_a_word_from_the_person_an_editor_is_found(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / there).touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VISUAL", " ")
    monkeypatch.delenv("EDITOR", raising=False)
    assert editor_command() == [str(tmp_path / there)]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [("no-such-editor -x", "'no-such-editor' was not found"), ("it's", "cannot be read"), ("", "no editor")],
)
def test_no_editor_is_said_in_one_line(chosen: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VISUAL", chosen)
    monkeypatch.delenv("EDITOR", raising=False)
    with pytest.raises(UsageError, match=said):
        edit_outside("A text.")

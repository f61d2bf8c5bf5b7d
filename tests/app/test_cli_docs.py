"""docs/cli.md is what `penpal --help` says, and every option says what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer._click import Command
from typer.core import TyperGroup
from typer.main import get_command

from app.cli.commands import application
from app.cli.reference import reference

ROOT = Path(__file__).resolve().parents[2]


def commands(command: Command) -> Iterator[Command]:
    yield command
    if isinstance(command, TyperGroup):
        for below in command.commands.values():
            yield from commands(below)


def test_the_reference_is_not_stale() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m app.cli.reference > docs/cli.md"


def test_the_reference_does_not_depend_on_the_terminals_width(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference()
    monkeypatch.setenv("COLUMNS", "40")
    assert reference() == before


def test_every_command_and_option_has_help() -> None:
    every = list(commands(get_command(application)))
    assert len(every) > 10
    assert [command.name for command in every if not command.help] == []
    silent = [
        f"{command.name} {parameter.name}"
        for command in every
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []

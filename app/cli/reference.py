"""The reference of all commands as Markdown, from their own help: `python -m app.cli.reference > docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterator

from typer._click import Command, Context
from typer.core import TyperGroup
from typer.main import get_command

from app.cli.commands import application

WIDTH = 100
INTRODUCTION = """# Commands

<!-- Made by `python -m app.cli.reference > docs/cli.md`; a test fails when it is stale. Do not edit. -->

Every command has `--help`. Exit codes: 0 done, 1 something outside the command is wrong (a damaged file, a locked
database, nothing to learn from yet), 2 the command itself is wrong (an empty prompt, an unknown draft, a bad option),
130 stopped with Ctrl-C. Results go to stdout, notices and errors to stderr.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_sections("penpal", get_command(application), None)])


def _sections(name: str, command: Command, parent: Context | None) -> Iterator[str]:
    """A command's help, then that of the commands below it."""
    context = command.make_context(name, [], parent, resilient_parsing=True, terminal_width=WIDTH)
    level = 1 + len(context.command_path.split())
    yield f"{'#' * level} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, TyperGroup):
        for below in command.list_commands(context):
            yield from _sections(below, command.commands[below], context)


if __name__ == "__main__":
    print(reference(), end="")

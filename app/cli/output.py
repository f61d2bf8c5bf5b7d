"""What commands print: JSON for programs on stdout, notices for people on stderr, and a progress bar between them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a script.")]

SHOWN = 12
"""Characters of an id that people see; commands accept any unique start."""


def print_json(value: object) -> None:
    """One JSON value on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def notice(text: str) -> None:
    """A line beside the result: on stderr, so that it never ends up in a pipe."""
    typer.echo(f"penpal: {text}", err=True)


def counted(number: int, noun: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Yields what takes a stage and a share from 0 to 1. Draws on stderr, and only if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda stage, share: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Starting", total=1.0)
        yield lambda stage, share: progress.update(task, description=stage, completed=share)

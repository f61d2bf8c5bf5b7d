"""What commands print: JSON for programs on stdout, notices for people on stderr, and a progress bar between them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

from app.harmless import escaped, harmless

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a script.")]

SHOWN = 12
"""Characters of an id that people see; commands accept any unique start."""


def print_json(value: object) -> None:
    """One JSON value on stdout; on a terminal, what that would act upon stands as its number."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    typer.echo(escaped(text) if sys.stdout.isatty() else text)


def print_text(text: str, *, nl: bool = True) -> None:
    """A text that somebody wrote, on stdout: to the letter into a pipe or a file, harmless on a terminal."""
    typer.echo(harmless(text) if sys.stdout.isatty() else text, nl=nl, color=True)


def notice(text: str) -> None:
    """A line beside the result: on stderr, so that it never ends up in a pipe."""
    typer.echo(f"penpal: {harmless(text)}", err=True)


def counted(number: int, noun: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(counts: Mapping[str, int]) -> str:
    """`pick 10, edit 3`."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def excerpt(text: str, width: int) -> str:
    """The start of a text on one line, without what a terminal would act upon."""
    flat = "".join(c if c.isprintable() else " " for c in text[: 4 * width])
    flat = " ".join(flat.split())
    return flat if len(flat) <= width else f"{flat[: width - 1].rstrip()}…"


def time_left(share: float, elapsed_s: float) -> str:
    """How long the rest takes at the speed so far; empty while that is only a guess."""
    if share < 0.05 or share >= 1 or elapsed_s < 2:
        return ""
    left_s = elapsed_s * (1 - share) / share
    return f"about {left_s:.0f} s left" if left_s < 90 else f"about {left_s / 60:.0f} min left"


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Yields what takes a stage and a share from 0 to 1. Draws on stderr, and only if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda stage, share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}")
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Starting", total=1.0, left="")

        def show(stage: str, share: float) -> None:
            progress.update(task, description=stage, completed=share, left=time_left(share, time.monotonic() - started))

        yield show

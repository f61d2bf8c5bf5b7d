"""The command that hands out what a person made, for other programs and for reading."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import AsJson, print_json
from core.errors import UsageError

group = typer.Typer(help="What you wrote, in files that other programs read.", no_args_is_help=True)


@group.callback()
def _group() -> None:
    """Without it a group of one command would be that command."""


@group.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Only what was written from this day on."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Write everything you made as JSON lines, and every conversation as a Markdown file.

    Nothing is left out but caches: docs/data-format.md describes each file. The files are not locked; for a copy to
    keep safe use 'penpal backup'.
    """
    from app.data_export import export_data
    from app.wiring import open_penpal

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder: choose a new one.")
    with closing(open_penpal()) as penpal:
        counts = export_data(penpal.store, penpal.home, folder, since=_in_utc(since))
    if json:
        print_json({"folder": str(folder), "files": counts})
        return
    for name, count in counts.items():
        typer.echo(f"{count:>8}  {folder / name}")


def _in_utc(day: datetime | None) -> str:
    """Midnight here, as the database writes times; empty for always."""
    return "" if day is None else day.astimezone(UTC).isoformat(timespec="milliseconds")

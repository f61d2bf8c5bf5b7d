"""`penpal bench`: does it help? An answer from the person's own choices."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from app.cli.output import AsJson, print_json, progress_bar


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="A few seconds: writes no drafts, asks your choices and edits alone.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Find out whether your voice helps you.

    Learns from a part of what you chose and asks about the rest, looks at how much you change before you keep a text,
    and at how its drafts read. You are asked nothing, and nothing is changed.
    """
    from app.usefulness import usefulness
    from app.wiring import open_penpal

    with closing(open_penpal()) as penpal, progress_bar() as progress:
        found = usefulness(penpal, drafts=not quick, progress=progress)
    if json:
        print_json(found.shown)
    else:
        for line in found.lines():
            typer.echo(line)

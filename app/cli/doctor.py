"""The command that says whether everything works, on one page that holds no personal text."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict

import typer

from app.cli.output import AsJson, print_json


def doctor(json: AsJson = False) -> None:
    """Check that everything works, and how fast.

    Looks at versions, database, weights and speed, and at whether both decoders write the same drafts.
    Takes about half a minute. Ends with exit code 1 when something is wrong. Nothing you wrote is in the output, so
    you can paste it into a question.
    """
    from app.doctor import examine
    from app.wiring import open_penpal

    with closing(open_penpal()) as penpal:
        report = examine(penpal)
    if json:
        print_json({**asdict(report), "passed": report.passed})
    else:
        for name, value in report.lines():
            typer.echo(f"{name:<22}{value}")
        for problem in report.problems:
            typer.echo(f"{'PROBLEM':<22}{problem}")
        typer.echo("All is well." if report.passed else "Something is wrong: see above.")
    if not report.passed:
        raise typer.Exit(1)

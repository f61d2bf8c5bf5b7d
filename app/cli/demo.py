"""The command that plays the whole loop without a person."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.output import AsJson, counted, print_json, print_text, progress_bar
from core.errors import UsageError

if TYPE_CHECKING:
    from app.demo import DemoReport


def _known_tastes() -> list[str]:
    from app.tastes import TASTES

    return list(TASTES)


def demo(
    taste: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the simulated person likes; --list shows all. Without it, first-person.",
            autocompletion=_known_tastes,
        ),
    ] = "",
    pairs: Annotated[int, typer.Option(metavar="N", min=4, max=1000, help="How many times the person chooses.")] = 60,
    prompts: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Unseen prompts to compare drafts on.")
    ] = 60,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="The same seed, the same demo.")] = 0,
    show_list: Annotated[bool, typer.Option("--list", help="List the tastes and stop.")] = False,
    json: AsJson = False,
) -> None:
    """Watch PenPal learn from a simulated person's choices.

    The person chooses between drafts again and again, PenPal personalizes, and the drafts change.
    Runs in a temporary folder and leaves your own texts and voices alone. Takes a few minutes.
    """
    from app.tastes import DEFAULT_TASTE, TASTES

    if show_list:
        for name, described in TASTES.items():
            typer.echo(f"{name:<16}{described.description}")
        return
    taste = taste or DEFAULT_TASTE
    if taste not in TASTES:
        raise UsageError(f"There is no taste '{taste}'{_closest(taste, list(TASTES))} 'penpal demo --list' shows all.")
    from app.demo import run_demo
    from app.wiring import open_penpal
    from core.paths import Home

    with (
        TemporaryDirectory(prefix="penpal-demo-") as folder,
        closing(open_penpal(Home(Path(folder)))) as penpal,
        progress_bar() as progress,
    ):
        report = run_demo(penpal, taste=taste, pairs=pairs, prompts=prompts, seed=seed, progress=progress)
    if json:
        print_json(asdict(report))
    else:
        _show(report)


def _closest(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, known, n=1)
    return f"; did you mean '{found[0]}'?" if found else "."


def _show(report: DemoReport) -> None:
    for example in report.examples:
        print_text(f"> {example.prompt}\n\nbefore: {example.before}\n\nafter:  {example.after}\n")
    ties = f" and saw no difference {counted(report.ties, 'time')}" if report.ties else ""
    typer.echo(f"The person ({report.description}) picked {counted(report.pairs, 'time')}{ties}.")
    typer.echo(f"The new voice: {report.reason}.")
    typer.echo(
        f"On {report.prompts} unseen prompts its drafts win {report.win_rate:.0%} "
        f"({report.win_rate_ties_half:.0%} with ties as halves)."
    )
    typer.echo(f"Perplexity: before {report.perplexity_generic:.1f}, after {report.perplexity_personal:.1f}.")
    typer.echo(
        f"{report.seconds['label']:.0f} s for choosing, {report.seconds['personalize']:.0f} s for learning, "
        f"{report.seconds['compare']:.0f} s for comparing."
    )

"""`penpal personalize`: learn now, say what there is to learn from, or have it done every night."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.encoders import known_encoders
from app.cli.output import SHOWN, AsJson, counted, listed, print_json, progress_bar
from app.harmless import harmless
from core.errors import BusyError, LearnError, UsageError

if TYPE_CHECKING:
    from app.learning import PersonalizeReport, Plan
    from app.wiring import PenPal

OF_A_RUN = ("--context", "--max-minutes", "--device", "--no-drafts", "--force", "--start")
GOES_WITH = {
    "--dry-run": (*OF_A_RUN, "--json"),
    "--schedule": ("--when-idle", "--yes"),
    "--unschedule": (),
    "--watch": (*OF_A_RUN, "--when-idle"),
    "--on-schedule": (*OF_A_RUN, "--json", "--when-idle"),
    "": (*OF_A_RUN, "--json"),
}
"""What each way of running takes; without any of these options it learns now."""


@dataclass(frozen=True)
class _Wanted:
    """What a run shall do."""

    context: str | None
    max_minutes: float | None
    device: Literal["auto", "cpu"]
    drafts: bool
    force: bool
    when_idle: bool
    json: bool
    start: str | None


def personalize(
    context: Annotated[
        str | None,
        typer.Option(metavar="TAG", help="Learn this kind of writing only, and leave the others as they are."),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(metavar="M", min=0, help="Give up after so many minutes; the next run goes on from there."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu"],
        typer.Option(
            help="Where layers of your own are trained, once there are very many answers: the fastest device, or the "
            "CPU. All else is so small that a GPU would not be faster."
        ),
    ] = "auto",
    no_drafts: Annotated[
        bool,
        typer.Option("--no-drafts", help="Leave the language model out: nothing shown, drafts not checked; faster."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Use the new voice although the check says no.")] = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Start from a voice that you imported, and so do runs after it while its voice is in use; 'generic' "
            "starts from nothing again.",
            autocompletion=known_encoders,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is to learn from.")] = False,
    json: AsJson = False,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="HH:MM", help="Have the machine learn every night; shows what it will set, and asks."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --schedule: do not ask.")] = False,
    unschedule: Annotated[bool, typer.Option("--unschedule", help="Take the nightly run away again.")] = False,
    watch: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="Learn every night for as long as this command is running.")
    ] = None,
    when_idle: Annotated[
        bool, typer.Option("--when-idle", help="At night, wait up to an hour until the machine has little to do.")
    ] = False,
    on_schedule: Annotated[
        bool, typer.Option("--on-schedule", help="What the nightly run calls: does nothing while on battery.")
    ] = False,
) -> None:
    """Learn from your picks, edits and stars.

    The new voice is used from then on if it foresees choices it has not seen and its drafts read well; if not, it is
    kept aside and you are told why. 'penpal encoder rollback' goes back.
    """
    from core.contexts import clean_tag

    options = {
        "--context": context, "--max-minutes": max_minutes is not None, "--device": device != "auto",
        "--no-drafts": no_drafts, "--force": force, "--dry-run": dry_run, "--json": json, "--schedule": schedule,
        "--yes": yes, "--unschedule": unschedule, "--watch": watch, "--when-idle": when_idle,
        "--on-schedule": on_schedule, "--start": start is not None,
    }  # fmt: skip
    mode = _mode([name for name, given in options.items() if given])
    if start is not None and context is not None:
        raise UsageError("--start and --context do not go together: one kind of writing starts from your own voice.")
    wanted = _Wanted(clean_tag(context), max_minutes, device, not no_drafts, force, when_idle, json, start)
    if mode == "--schedule":
        _schedule(schedule or "", when_idle=when_idle, yes=yes)
    elif mode == "--unschedule":
        _unschedule()
    elif mode == "--watch":
        _watch(watch or "", wanted)
    elif mode == "--on-schedule":
        _learn_at_night(wanted)
    elif mode == "--dry-run":
        _say_plan_only(wanted)
    else:
        _learn_now(wanted)


def _mode(given: Collection[str]) -> str:
    """The option that says how to run. Raises UsageError for two that do not go together."""
    mode = next((name for name in GOES_WITH if name in given), "")
    odd = next((name for name in given if name != mode and name not in GOES_WITH[mode]), None)
    if odd and mode:
        raise UsageError(f"{mode} and {odd} do not go together.")
    if odd:
        raise UsageError(f"{odd} goes with {' or '.join(name for name, takes in GOES_WITH.items() if odd in takes)}.")
    return mode


def _schedule(at: str, *, when_idle: bool, yes: bool) -> None:
    from app.schedule import asking, schedule
    from core.paths import penpal_home

    schedule(penpal_home(), at, when_idle, confirm=asking(yes=yes), say=typer.echo)


def _unschedule() -> None:
    from app.schedule import unschedule

    unschedule(say=typer.echo)


def _watch(at: str, wanted: _Wanted) -> None:
    from app.watch import parse_time, watch

    watch(parse_time(at), lambda: _learn_at_night(wanted), say=typer.echo)


def _learn_at_night(wanted: _Wanted) -> None:
    """One line for a log: what came of it, or why it was not now."""
    from app.manners import why_not_now
    from app.nightly_log import shorten
    from app.watch import wall_clock
    from app.wiring import open_penpal
    from core.paths import penpal_home

    shorten(penpal_home())
    report, told = None, why_not_now(when_idle=wanted.when_idle)
    if not told:
        try:
            with closing(open_penpal()) as penpal:
                report = _learned(penpal, wanted)
            told = f"Voice {report.encoder_id[:SHOWN]}: {report.reason}. Report: {report.markdown}"
        except (LearnError, BusyError) as error:
            told = str(error)
    if wanted.json:
        print_json(asdict(report) if report else {"not_learned": told})
    else:
        typer.echo(f"{wall_clock():%Y-%m-%d %H:%M}  {told}")


def _say_plan_only(wanted: _Wanted) -> None:
    from app.learning import plan
    from app.wiring import open_penpal

    with closing(open_penpal()) as penpal:
        found = plan(penpal, context=wanted.context)
    if wanted.json:
        print_json(asdict(found))
    else:
        typer.echo("\n".join([*_plan_lines(found), "Nothing was changed."]))


def _learn_now(wanted: _Wanted) -> None:
    from app.learning import plan
    from app.wiring import open_penpal

    with closing(open_penpal()) as penpal:
        if not wanted.json:
            typer.echo("\n".join([*_plan_lines(plan(penpal, context=wanted.context)), ""]))
        report = _learned(penpal, wanted)
    if wanted.json:
        print_json(asdict(report))
    else:
        _show(report)


def _learned(penpal: PenPal, wanted: _Wanted) -> PersonalizeReport:
    """A run, at low priority: from here on this process lets every other one go first."""
    from app.learning import personalize as learn
    from app.manners import be_nice

    be_nice()
    with progress_bar() as progress:
        return learn(
            penpal, drafts=wanted.drafts, force=wanted.force, context=wanted.context,
            max_minutes=wanted.max_minutes, device=wanted.device, start=wanted.start, progress=progress,
        )  # fmt: skip


def _plan_lines(plan: Plan) -> Iterator[str]:
    yield f"There {'is' if plan.evidence == 1 else 'are'} {counted(plan.evidence, 'answer')} to learn from."
    if plan.by_source:
        yield f"  by kind of answer: {listed(plan.by_source)}"
        yield f"  by kind of writing: {listed(plan.by_context)}"
    if plan.left_out:
        yield f"Left out: {plan.left_out} ('penpal pairs list' tells why)."
    if plan.to_read:
        yield f"To be read first: {counted(plan.to_read, 'text')}."
    yield f"Computed on {plan.device}."


def _show(report: PersonalizeReport) -> None:
    """The report, laid out where there is a terminal."""
    from app.learning_report import as_markdown

    text = as_markdown(report)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(harmless(text)))
    else:
        typer.echo(text)
    typer.echo(f"Report: {report.markdown}")

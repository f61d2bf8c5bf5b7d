"""`penpal forget`: shows what would go, asks, erases every trace of it in the home, and says what it cannot reach."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import SHOWN, AsJson, counted, excerpt, print_json
from core.errors import PenPalError, UsageError

if TYPE_CHECKING:
    from app.wiring import PenPal
    from core.forget_rows import Marked
    from core.forgetting import Forgotten, Wanted
    from core.store import Turn

LISTED = 10
EXCERPT = 60
"""Characters of each prompt."""
EVERYTHING = "forget"
"""What is typed to forget everything."""
OUT_OF_REACH = (
    "Out of PenPal's reach is what left its folder: texts that you copied or saved elsewhere, your shell's history, "
    "backups ('penpal backup', or of this computer). A file of 'penpal export' holds none of your texts, but numbers "
    "learned from your choices, and what you called your kinds of writing."
)


def forget(
    draft: Annotated[
        list[int] | None,
        typer.Option("--draft", metavar="N", min=1, help="This draft, your versions of it and what you said about it."),
    ] = None,
    conversation: Annotated[
        list[int] | None,
        typer.Option("--conversation", metavar="N", min=1, help="This conversation; --search shows its number."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="DATE", help="What you wrote on this day or later: 2026-11-21.")
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="DATE", help="What you wrote before this day.")] = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Whatever has all these words in it: a prompt, a draft, your own version."),
    ] = None,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="The conversations that you deleted in chat, which still could come back.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="All that you wrote, and the voices learned from it. Settings stay.")
    ] = False,
    retrain: Annotated[
        bool | None,
        typer.Option(
            "--retrain/--no-retrain", help="Learn again without it at once, if a voice was trained on it; else asked."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Forget for good: a draft, a conversation, a time, a word, or everything.

    Shows what would go and asks. It leaves no trace in PenPal's folder, and cannot be undone: to have a conversation
    only out of sight, delete it in chat. A voice that was trained on it is marked, until you learn again without it.
    All other PenPals must be closed. Examples:

    penpal forget --search "anna smith"

    penpal forget --before 2026-01-01
    """
    from app.wiring import open_penpal
    from core.forgetting import find, finish

    wanted = _wanted(draft, conversation, after, before, search, deleted=deleted, everything=everything)
    with closing(open_penpal()) as penpal:
        interrupted = not penpal.store.is_swept()
        if interrupted:
            finish(penpal.store, penpal.home)
            typer.echo("What was left of an interrupted forgetting is gone now.", err=json)
        if wanted is None:
            if not interrupted:
                raise UsageError("Say what to forget: --search WORDS, --conversation N, --before DATE, ... ('--help').")
            return
        marked = find(penpal.store, wanted)
        if not marked and not everything:
            _say_nothing_found(json=json)
            return
        if not json:
            typer.echo("\n".join(_shown(penpal, marked)))
        if not yes and not _agreed(everything=everything):
            typer.echo("Nothing was forgotten.")
            return
        forgotten = _forgotten(penpal, wanted)
        if json:
            print_json(_as_json(forgotten))
        else:
            typer.echo("\n".join(_told(penpal, forgotten)))
        if _shall_retrain(forgotten, retrain, ask=not yes and not json):
            _retrain(penpal, json=json)


def _wanted(
    draft: list[int] | None,
    conversation: list[int] | None,
    after: str | None,
    before: str | None,
    search: str | None,
    *,
    deleted: bool,
    everything: bool,
) -> Wanted | None:
    """None when nothing was named. Raises UsageError for several things, and for a day that is none."""
    from core.forgetting import ALWAYS, NEVER, Wanted

    named = {
        "--draft": draft, "--conversation": conversation, "--search": search is not None, "--deleted": deleted,
        "--everything": everything, "--after and --before": after is not None or before is not None,
    }  # fmt: skip
    given = [name for name, value in named.items() if value]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} do not go together: forget one after the other.")
    match given:
        case ["--draft"]:
            return Wanted("draft", tuple(draft or ()))
        case ["--conversation"]:
            return Wanted("conversation", tuple(conversation or ()))
        case ["--search"]:
            return Wanted("search", words=search or "")
        case ["--deleted"]:
            return Wanted("deleted")
        case ["--everything"]:
            return Wanted("everything")
        case ["--after and --before"]:
            first, end = _time(after, ALWAYS), _time(before, NEVER)
            if first >= end:
                raise UsageError(f"There is no time after {after} and before {before}.")
            return Wanted("range", after=first, before=end)
    return None


def _time(day: str | None, without: str) -> str:
    """A day, or a time of this machine's clock, as the store writes times."""
    from datetime import UTC

    if day is None:
        return without
    try:
        return datetime.fromisoformat(day).astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError) as error:
        raise UsageError(f"'{day}' is no date: write it as 2026-11-21, or 2026-11-21T18:30.") from error


def _agreed(*, everything: bool) -> bool:
    """Raises UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError("Nothing was forgotten, because nobody can be asked here: add --yes to forget it.")
    if everything:
        typed = typer.prompt(f"This cannot be undone. Type '{EVERYTHING}' to go on", default="", show_default=False)
        return bool(typed.strip().lower() == EVERYTHING)
    return typer.confirm("Forget this for good?", default=False)


def _forgotten(penpal: PenPal, wanted: Wanted) -> Forgotten:
    from core.forgetting import forget as run
    from models.text_vectors import text_key

    try:
        return run(penpal.store, penpal.home, wanted, key_of=text_key)
    except PenPalError as error:
        if penpal.store.is_swept():
            raise
        # The rows are gone, but their pages may still lie in the file.
        raise type(error)(
            f"{error} It is forgotten, but traces may still lie in the file: 'penpal forget' alone removes them."
        ) from error


def _shall_retrain(forgotten: Forgotten, wanted: bool | None, *, ask: bool) -> bool:
    if not forgotten.choices:
        return False
    if wanted is None and ask and sys.stdin.isatty():
        return typer.confirm("Learn again without it now?", default=True)
    return bool(wanted)


def _retrain(penpal: PenPal, *, json: bool) -> None:
    """A run like any other one; what it could not do is told, and the forgetting stands."""
    from app.cli.output import notice, progress_bar
    from app.learning import personalize

    try:
        with progress_bar() as progress:
            report = personalize(penpal, progress=progress)
    except PenPalError as error:
        notice(f"Not learned again: {error} 'penpal encoder use generic' writes without any voice of yours.")
        return
    if not json:
        typer.echo(f"Voice {report.encoder_id[:SHOWN]}: {report.reason}.")
    if not report.activated:
        notice("The voice in use is still the one from before: 'penpal encoder use generic' writes without it.")


# --- in words ---------------------------------------------------------------------------------------------------


def _say_nothing_found(*, json: bool) -> None:
    if json:
        print_json({"forgotten": {}, "files": [], "voices": {}})
    else:
        typer.echo("There is nothing like that: nothing was forgotten.")


def _counts(marked: Marked) -> dict[str, int]:
    return {
        "conversations": len(marked.conversations), "prompts": len(marked.turns), "drafts": len(marked.drafts),
        "answers": len(marked.acts), "unsent texts": len(marked.places),
    }  # fmt: skip


def _counted(marked: Marked) -> str:
    found = [counted(number, name.removesuffix("s")) for name, number in _counts(marked).items() if number]
    return ", ".join(found) or "nothing that you wrote"


def _shown(penpal: PenPal, marked: Marked) -> Iterator[str]:
    """What would go: how much, the newest prompts of it, and what holds copies of it."""
    from core.home_files import copies

    store = penpal.store
    yield f"This would be forgotten: {_counted(marked)}."
    prompts = {turn.prompt: turn for turn, _, _ in store.whole_turns(marked.turns)}
    if not prompts and marked.drafts:
        yield from (f"  draft {number}: {excerpt(store.draft(number).text, EXCERPT)}" for number in marked.drafts)
    newest = sorted(prompts.values(), key=lambda turn: turn.id, reverse=True)
    yield from (_line(turn) for turn in newest[:LISTED])
    if len(newest) > LISTED:
        yield f"  and {len(newest) - LISTED} more"
    older = {path.relative_to(penpal.home.backups).parts[0] for path in copies(penpal.home) if _is_backup(penpal, path)}
    if older:
        yield "What an upgrade or a restore set aside would go as a whole, since it holds copies:"
        yield from (f"  {penpal.home.backups.name}/{name}" for name in sorted(older))


def _is_backup(penpal: PenPal, path: Path) -> bool:
    return path.is_relative_to(penpal.home.backups)


def _line(turn: Turn) -> str:
    day = datetime.fromisoformat(turn.created_utc).astimezone()
    return f"  {day:%d %b %Y}  conversation {turn.conversation_id}: {excerpt(turn.prompt, EXCERPT)}"


def _told(penpal: PenPal, forgotten: Forgotten) -> Iterator[str]:
    yield f"Forgotten for good: {_counted(forgotten.marked)}."
    if forgotten.files:
        yield f"Removed with it, for what they copy, quote or learned: {counted(len(forgotten.files), 'file')}."
        yield from (f"  {file.relative_to(penpal.home.folder)}" for file in forgotten.files)
    active = penpal.store.active_encoder()
    for encoder_id, count in forgotten.choices.items():
        used = " (in use)" if active and active.id == encoder_id else ""
        yield f"Voice {encoder_id[:SHOWN]}{used} was trained on {counted(count, 'choice')} of these."
    if forgotten.choices:
        yield "'penpal personalize' learns again without them; 'penpal encoder remove' deletes a voice not in use."
    yield OUT_OF_REACH


def _as_json(forgotten: Forgotten) -> dict[str, Any]:
    return {
        "forgotten": _counts(forgotten.marked),
        "files": [str(file) for file in forgotten.files],
        "voices": forgotten.choices,
    }

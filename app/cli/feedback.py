"""Commands that answer a draft from a script: pick, edit, star. They need no backbone and return at once."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.output import AsJson, counted, print_json
from core.errors import UsageError

if TYPE_CHECKING:
    from core.feedback import Draft
    from core.store import Store

group = typer.Typer(
    help="Tell PenPal what you think of a draft.\n\n'penpal personalize' learns from it.", no_args_is_help=True
)

DraftId = Annotated[int, typer.Argument(help="Number of the draft, as 'penpal write' printed it.", min=1)]
Note = Annotated[
    str | None,
    typer.Option(metavar="WHY", help="Why: 'wrong fact' keeps it out of what is learned about style."),
]


@group.command()
def pick(draft_id: DraftId, note: Note = None, json: AsJson = False) -> None:
    """You like this draft better than the one beside it."""
    from app.wiring import open_penpal
    from core.recorder import Recorder

    with closing(open_penpal()) as penpal:
        act_id = Recorder(penpal.store).pick(draft_id, note=note)
        _say("pick", f"Recorded: you picked draft {draft_id}.", act_id, penpal.store, draft_id, json=json)


@group.command()
def edit(
    draft_id: DraftId,
    text: Annotated[str | None, typer.Option(help="Your version of the draft.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file with your version of the draft.")] = None,
    note: Note = None,
    json: AsJson = False,
) -> None:
    """This is how you would have written this draft. Without --text and --file, your version is read from a pipe."""
    from app.wiring import open_penpal
    from core.recorder import Recorder

    edited = _edited(text, file)
    with closing(open_penpal()) as penpal:
        act_id = Recorder(penpal.store).edit(draft_id, edited, note=note)
        told = f"Recorded: your version of draft {draft_id}."
        if act_id is None:
            told = f"Draft {draft_id} already reads like that: nothing was recorded."
        _say("edit", told, act_id, penpal.store, draft_id, json=json)


@group.command()
def star(draft_id: DraftId, json: AsJson = False) -> None:
    """This draft is just right."""
    from app.wiring import open_penpal
    from core.recorder import Recorder

    with closing(open_penpal()) as penpal:
        act_id = Recorder(penpal.store).star(draft_id)
        _say("star", f"Recorded: a star for draft {draft_id}.", act_id, penpal.store, draft_id, json=json)


def _edited(text: str | None, file: Path | None) -> str:
    from app.cli.prompts import read_piped, read_text

    if text is not None and file is not None:
        raise UsageError("Give your version with --text or with --file, not both.")
    if text is not None:
        return text
    if file is not None:
        return read_text(file).removesuffix("\n")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("Give your version of the draft with --text or --file, or pipe it in.")
    return read_piped().removesuffix("\n")


def _say(kind: str, told: str, act_id: int | None, store: Store, draft_id: int, *, json: bool) -> None:
    """What was recorded, and how much there is to learn from now."""
    draft: Draft = store.draft(draft_id)
    pairs = store.count_lessons(backbone_id=draft.backbone_id)
    if json:
        recorded = kind if act_id is not None else None
        print_json(
            {"recorded": recorded, "act_id": act_id, "draft_id": draft.id, "turn_id": draft.turn_id, "pairs": pairs}
        )
    else:
        typer.echo(f"{told} There {'is' if pairs == 1 else 'are'} now {counted(pairs, 'pair')} to learn from.")

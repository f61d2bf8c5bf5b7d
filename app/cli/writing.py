"""Commands that write: chat, rate, write."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.interrupt import first_interrupt
from app.cli.output import AsJson, notice, print_json
from core.errors import PromptTooLongError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.wiring import PenPal
    from core.session import Proposal, Writer
    from core.store import Store

Context = Annotated[
    str | None,
    typer.Option(
        metavar="TAG",
        help="The kind of writing, to be learned apart: mail, chat, review, ... Without it, PenPal goes by the prompt.",
    ),
]
OWN_PROMPTS_FOR_RATING = 10
"""With fewer prompts of the person's own, made-up writing tasks are rated."""
TASKS_FOR_RATING = 200


def chat(context: Context = None) -> None:
    """Write with two drafts side by side: pick one, edit it."""
    from app.tui import run_chat
    from app.wiring import open_penpal
    from core.contexts import clean_tag

    tag = clean_tag(context)
    with closing(open_penpal()) as penpal:
        run_chat(penpal, context=tag)


def rate(
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Prompts to rate drafts for: a text file with one prompt a line, or a .jsonl file whose lines have a "
            "field 'prompt'. Without it: your own earlier prompts, or made-up ones while you have few.",
        ),
    ] = None,
    context: Context = None,
) -> None:
    """Teach PenPal your taste: pairs of drafts, one key each."""
    from app.cli.prompts import read_prompts
    from app.tui import run_rate
    from app.wiring import open_penpal
    from core.contexts import clean_tag

    wanted, tag = read_prompts(prompts) if prompts else None, clean_tag(context)
    with closing(open_penpal()) as penpal:
        run_rate(penpal, wanted or _usual_prompts(penpal.store), context=tag)


def write(
    prompt: Annotated[
        str, typer.Argument(help="What to write. Text piped in is put below it.", show_default=False)
    ] = "",
    drafts: Annotated[
        int, typer.Option("-n", "--drafts", metavar="N", min=1, max=8, help="How many drafts to write.")
    ] = 1,
    generic: Annotated[bool, typer.Option("--generic", help="Write without your personal voice.")] = False,
    json: AsJson = False,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=2**31 - 1, help="The same seed, the same drafts.")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1024, help="The longest draft, in tokens (about 4 letters each)."),
    ] = None,
    cut: Annotated[bool, typer.Option("--cut", help="Cut the middle out of a prompt that is too long.")] = False,
    context: Context = None,
) -> None:
    """Write drafts for one prompt and print them.

    One draft comes as your voice would write it; with -n 2 or more they vary, so that choosing between them teaches
    ('penpal feedback'). Ctrl-C stops writing and keeps what is there. Example:

    cat mail.txt | penpal write "Reply kindly that I cannot come."
    """
    from app.wiring import open_penpal
    from core.contexts import clean_tag

    text, tag = _with_piped(prompt), clean_tag(context)
    if not text.strip():
        raise UsageError("There is nothing to write about: give a prompt, or pipe a text in.")
    with closing(open_penpal()) as penpal:
        sampling = penpal.settings.drafts.sampling()
        if max_tokens:
            sampling = replace(sampling, max_tokens=max_tokens)
        writer = penpal.writer(generic=generic, sampling=sampling)
        if penpal.latents_off and not generic:
            notice(penpal.latents_off)
        proposal = _propose(writer, text, drafts=drafts, cut=cut, context=tag, seed=seed)
        live = drafts == 1 and not json and sys.stdout.isatty()
        with first_interrupt() as interrupted:
            seconds = _written(proposal, show=_show_live if live else None, cancelled=interrupted)
            stopped = interrupted()
        _print_drafts(penpal, proposal, seconds, json=json, live=live)
    if stopped:
        raise typer.Exit(130)


def _usual_prompts(store: Store) -> list[str]:
    from models.writing_tasks import writing_tasks

    own = store.own_prompts()
    return own if len(own) >= OWN_PROMPTS_FOR_RATING else writing_tasks("held_out", limit=TASKS_FOR_RATING)


def _with_piped(prompt: str) -> str:
    """The prompt, and what was piped in below it."""
    if sys.stdin is None or sys.stdin.isatty():
        return prompt
    from app.cli.prompts import read_piped

    return "\n\n".join(part for part in (prompt.strip(), read_piped().strip()) if part)


def _propose(writer: Writer, text: str, *, drafts: int, cut: bool, context: str | None, seed: int | None) -> Proposal:
    try:
        return writer.propose(
            text, origin="write", drafts=drafts, explore=drafts > 1, cut=cut, context=context, seed=seed
        )
    except PromptTooLongError as error:
        raise PromptTooLongError(
            f"The prompt is too long: {error.tokens} tokens, {error.room_tokens} fit. "
            "Shorten it, or add --cut to leave out its middle.",
            tokens=error.tokens,
            room_tokens=error.room_tokens,
        ) from error


def _written(proposal: Proposal, *, show: Callable[[str], None] | None, cancelled: Callable[[], bool]) -> list[float]:
    """Writes all drafts to the end; returns after how many seconds each was finished."""
    started = time.monotonic()
    seconds = [0.0 for _ in proposal.draft_ids]
    for chunk in proposal.stream(cancelled=cancelled):
        seconds[chunk.draft] = time.monotonic() - started
        if show:
            show(chunk.text)
    return seconds


def _show_live(text: str) -> None:
    typer.echo(text, nl=False)


def _print_drafts(penpal: PenPal, proposal: Proposal, seconds: list[float], *, json: bool, live: bool) -> None:
    written = [penpal.store.draft(draft_id) for draft_id in proposal.draft_ids]
    if json:
        shown: list[dict[str, Any]] = [
            {
                "id": draft.id,
                "turn_id": draft.turn_id,
                "text": draft.text,
                "status": draft.status,
                "encoder": draft.encoder_id or "generic",
                "seed": draft.seed,
                "tokens": draft.tokens,
                "seconds": round(took, 3),
                "notice": penpal.latents_off or None,
            }
            for draft, took in zip(written, seconds, strict=True)
        ]
        print_json(shown)
    elif len(written) == 1:
        typer.echo("" if live else written[0].text)
        if sys.stderr.isatty():
            notice(f"this was draft {written[0].id}; 'penpal feedback --help' tells how to answer it.")
    else:
        for draft in written:
            typer.echo(f"--- draft {draft.id} ---\n{draft.text}\n")

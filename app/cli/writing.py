"""Commands that write: chat, rate, write."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.encoders import known_encoders
from app.cli.interrupt import first_interrupt
from app.cli.output import AsJson, notice, print_json, print_text
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
Plain = Annotated[
    bool,
    typer.Option(
        "--plain",
        help="Plain lines instead of a drawn screen: for screen readers, and for pipes (one answer a line).",
    ),
]
Strength = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        min=0,
        max=1.5,
        help="How much of your voice, this time: 0 is generic, 1 as it was learned, up to 1.5 is more than that.",
    ),
]
VoiceToTry = Annotated[
    str | None,
    typer.Option(
        "--voice",
        metavar="ID",
        help="Try another voice, this time only: the start of its id, or 'generic'.",
        autocompletion=known_encoders,
    ),
]
TASKS_FOR_RATING = 200


def chat(
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="A text to write about: it goes below your first prompt. May be given several times.",
        ),
    ] = None,
    plain: Plain = False,
    context: Context = None,
    voice: VoiceToTry = None,
    strength: Strength = None,
) -> None:
    """Write with two drafts side by side: pick one, edit it.

    A text that is piped in goes below your first prompt, like a --file. Examples:

    penpal chat --file letter.txt

    cat mail.txt | penpal chat
    """
    from app.attachments import read_attachments, take_piped_text
    from app.wiring import open_penpal
    from core.contexts import clean_tag

    tag, attached = clean_tag(context), read_attachments(files or [])
    if plain:
        from app.plain_chat import run_plain_chat

        with closing(open_penpal()) as penpal:
            _set_voice(penpal, voice, strength)
            code = run_plain_chat(penpal, attached, context=tag)
        raise typer.Exit(code)
    from app.tui import run_chat

    if not sys.stdin.isatty() and sys.stdout.isatty():
        attached.append(take_piped_text())
    with closing(open_penpal()) as penpal:
        _set_voice(penpal, voice, strength)
        run_chat(penpal, attached, context=tag)


def rate(
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Prompts to rate drafts for: a text file with one prompt a line, or a .jsonl file whose lines have a "
            "field 'prompt'. Without it: your own earlier prompts, or made-up ones while you have few.",
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Pairs that you bring instead of PenPal's drafts: a .jsonl file whose lines have 'prompt', 'a' and "
            "'b', or 'prompt', 'chosen' and 'rejected'. Those you answered before are left out.",
        ),
    ] = None,
    goal: Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="How many you want to answer today.")] = 20,
    plain: Plain = False,
    context: Context = None,
    strength: Strength = None,
) -> None:
    """Teach PenPal your taste: pairs of drafts, one key each.

    The next pair is the one that tells PenPal most about you. Stop whenever you like: every answer is kept. Example:

    penpal rate --from pairs.jsonl
    """
    from app.cli.pairs_file import read_pairs
    from app.cli.prompts import read_prompts
    from app.tui import run_rate
    from app.wiring import open_penpal
    from core.contexts import clean_tag

    if prompts and pairs:
        raise UsageError("--prompts and --from do not go together: a file of pairs brings its own prompts.")
    tag = clean_tag(context)
    found = read_pairs(pairs) if pairs else []
    wanted = read_prompts(prompts) if prompts else []
    with closing(open_penpal()) as penpal:
        _set_voice(penpal, None, strength)
        wanted = wanted or _usual_prompts(penpal.store)
        if plain:
            from app.pair_sources import pair_source
            from app.plain_rate import run_plain_rate

            raise typer.Exit(run_plain_rate(penpal, pair_source(wanted, found, context=tag), goal=goal))
        run_rate(penpal, wanted, found, context=tag, goal=goal)


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
    voice: VoiceToTry = None,
    strength: Strength = None,
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
    if generic and (voice is not None or strength is not None):
        raise UsageError("--generic writes in no voice: leave out --voice and --strength.")
    with closing(open_penpal()) as penpal:
        _set_voice(penpal, voice, strength)
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


def _set_voice(penpal: PenPal, voice: str | None, strength: float | None) -> None:
    """For this process only. Raises UsageError for an unknown voice."""
    if voice is not None:
        penpal.try_voice(voice)
    if strength is not None:
        penpal.set_strength(strength)


def _usual_prompts(store: Store) -> list[str]:
    from app.rating_prompts import rating_prompts
    from models.writing_tasks import writing_tasks

    return rating_prompts(store.own_prompts(), writing_tasks("held_out", limit=TASKS_FOR_RATING))


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
    print_text(text, nl=False)


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
        print_text("" if live else written[0].text)
        if sys.stderr.isatty():
            notice(f"this was draft {written[0].id}; 'penpal feedback --help' tells how to answer it.")
    else:
        for draft in written:
            print_text(f"--- draft {draft.id} ---\n{draft.text}\n")

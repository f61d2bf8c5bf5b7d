"""The command that lists what PenPal learns from: every piece of evidence, what is left out with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import AsJson, counted, excerpt, print_json, progress_bar
from core.errors import UsageError

if TYPE_CHECKING:
    from app.wiring import PenPal
    from core.evidence import Evidence, Side

NEWEST = 50
EXCERPT = 30
"""Characters of each text."""
HEADER = ("act", "day", "answer", "kind", "weight", "reason", "chosen | rejected")

group = typer.Typer(help="What PenPal learns from.", no_args_is_help=True)


def _known_sources() -> list[str]:
    from typing import get_args

    from core.evidence import Source

    return list(get_args(Source))


@group.command("list")
def list_(
    context: Annotated[
        str | None, typer.Option(metavar="TAG", help="Only this kind of writing: mail, review, ...")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Only this kind of answer: pick, repeat, edit, merge, redo, star, tie or 'both bad'.",
            autocompletion=_known_sources,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=f"Show all, not only the newest {NEWEST}.")] = False,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Show the newest N.", show_default=str(NEWEST))
    ] = None,
    json: AsJson = False,
) -> None:
    """List what your answers say about your taste, the newest first.

    Each with its weight and the reason for it; those of weight 0 are not learned from, and the reason says why. JSON
    has the whole texts.
    """
    from app.wiring import open_penpal
    from core.contexts import clean_tag

    if every and limit:
        raise UsageError("--all and --limit do not go together.")
    wanted = (source or "").replace("-", " ").strip().lower()
    if wanted and wanted not in _known_sources():
        raise UsageError(f"There is no kind of answer '{source}': choose {', '.join(_known_sources())}.")
    with closing(open_penpal()) as penpal:
        evidence = _weighed(penpal)
    tag = clean_tag(context)
    found = [e for e in evidence if tag in (None, e.context) and wanted in ("", e.source)]
    shown = found if every else found[: limit or NEWEST]
    if json:
        print_json([_row(e) for e in shown])
    else:
        _show(found, shown)


def _weighed(penpal: PenPal) -> list[Evidence]:
    """All evidence of this home, newest first, that of other backbones without weight."""
    from app.answers import answers_for
    from models.personalize import weighed

    ours = answers_for(penpal)
    turns = {e.turn_id for e in ours}
    others = [
        replace(e, weight=0.0, reason="drafts of another backbone")
        for e in penpal.store.evidence(backbone_id=None)
        if e.turn_id not in turns
    ]
    with progress_bar() as progress:
        vectors = penpal.text_vectors(progress=lambda share: progress("Reading your choices", share))
        found = weighed(ours, vectors) + others
    # By the order of acts, not by the clock, which may have been set back.
    return sorted(found, key=lambda e: e.act_id, reverse=True)


def _row(evidence: Evidence) -> dict[str, Any]:
    """Everything but the latents."""
    return {
        "act_id": evidence.act_id,
        "turn_id": evidence.turn_id,
        "created_utc": evidence.created_utc,
        "source": evidence.source,
        "context": evidence.context,
        "weight": evidence.weight,
        "reason": evidence.reason,
        "tie": evidence.tie,
        "messages": [asdict(message) for message in evidence.messages],
        "chosen": evidence.chosen.text if evidence.chosen else None,
        "rejected": evidence.rejected.text if evidence.rejected else None,
    }


def _show(found: Sequence[Evidence], shown: Sequence[Evidence]) -> None:
    for line in _aligned([HEADER, *(_cells(e) for e in shown)]) if shown else ():
        typer.echo(line)
    left_out = sum(e.weight == 0 for e in found)
    told = f"{counted(len(found), 'answer')}, {left_out} of them left out."
    typer.echo(f"{told} Shown are the newest {len(shown)}; --all shows all." if len(shown) < len(found) else told)


def _aligned(lines: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """All columns but the last are as wide as their longest cell; numbers stand on the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [
            cell.rjust(width) if name in ("act", "weight") else cell.ljust(width)
            for name, cell, width in zip(HEADER, line, widths, strict=True)
        ]
        yield "  ".join(padded).rstrip()


def _cells(evidence: Evidence) -> tuple[str, ...]:
    texts = f"{_excerpt(evidence.chosen)} | {_excerpt(evidence.rejected)}"
    return (
        str(evidence.act_id), evidence.created_utc[:10], evidence.source, evidence.context, f"{evidence.weight:.2f}",
        excerpt(evidence.reason, 2 * EXCERPT), texts,
    )  # fmt: skip


def _excerpt(side: Side | None) -> str:
    return "-" if side is None else excerpt(side.text, EXCERPT)

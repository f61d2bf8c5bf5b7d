"""Commands about your voice: personalize, encoder list|use|rollback, export, import."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import SHOWN, AsJson, counted, print_json, progress_bar
from core.errors import PenPalError, UsageError

if TYPE_CHECKING:
    from app.learning import PersonalizeReport
    from app.wiring import PenPal
    from core.store import EncoderRecord
GENERIC = "generic"

encoder = typer.Typer(help="The voices PenPal has learned: list, use, roll back.", no_args_is_help=True)


def _known_encoders() -> list[str]:
    """For the shell's completion, which has no place for an error."""
    from app.wiring import open_penpal

    try:
        with closing(open_penpal()) as penpal:
            return [GENERIC, *(record.id[:SHOWN] for record in penpal.store.encoders())]
    except PenPalError:
        return [GENERIC]


EncoderId = Annotated[
    str,
    typer.Argument(
        help="The start of the encoder's id, as 'penpal encoder list' shows it, or 'generic'.",
        autocompletion=_known_encoders,
    ),
]


def personalize(
    json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is to learn from.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Use the new voice although the check says no.")] = False,
) -> None:
    """Learn from your picks, edits and stars.

    The new voice is used from then on if it foresees choices it has not seen and its drafts read well; if not, it is
    kept aside and you are told why. 'penpal encoder rollback' goes back.
    """
    from app.learning import personalize as learn
    from app.wiring import open_penpal

    with closing(open_penpal()) as penpal:
        if dry_run:
            _say_what_is_there(penpal, json=json)
            return
        with progress_bar() as progress:
            report = learn(penpal, force=force, progress=progress)
    if json:
        print_json(asdict(report))
    else:
        typer.echo(_told(report))


def _say_what_is_there(penpal: PenPal, *, json: bool) -> None:
    by_source = Counter(pair.source for pair in penpal.store.pairs(backbone_id=penpal.backbone.id))
    pairs = by_source.total()
    if json:
        print_json({"pairs": pairs, "by_source": dict(by_source)})
        return
    parts = ", ".join(f"{number} from {source}" for source, number in by_source.most_common())
    typer.echo(f"{counted(pairs, 'pair')} to learn from{': ' + parts if parts else ''}. Nothing was changed.")


def _told(report: PersonalizeReport) -> str:
    lines = [
        f"Learned from {counted(report.pairs, 'pair')} in {report.seconds['learn']:.0f} s.",
        f"Choices foreseen: before {report.accuracy_generic:.0%}, now {report.accuracy:.0%}.",
    ]
    if report.perplexity_generic is not None and report.perplexity_personal is not None:
        lines.append(f"Perplexity: before {report.perplexity_generic:.1f}, now {report.perplexity_personal:.1f}.")
    return "\n".join([*lines, f"Voice {report.encoder_id[:SHOWN]}: {report.reason}."])


def _percent(share: object) -> str:
    return f"{share:.0%}" if isinstance(share, int | float) else "not measured"


@encoder.command("list")
def list_(json: AsJson = False) -> None:
    """Show every voice, the one in use marked with a star."""
    from app.wiring import open_penpal

    with closing(open_penpal()) as penpal:
        records, active = penpal.store.encoders(), penpal.store.active_encoder()
    rows = [
        _row(None, active=active is None),
        *(_row(r, active=active is not None and r.id == active.id) for r in records),
    ]
    if json:
        print_json(rows)
        return
    typer.echo(f"  {'id':<{SHOWN}}  {'origin':<12}  {'status':<8}  {'pairs':>5}  {'right':>5}  made")
    for row in rows:
        right = _percent(row["accuracy"]) if row["accuracy"] is not None else ""
        pairs = "" if row["pairs"] is None else row["pairs"]
        typer.echo(
            f"{'*' if row['active'] else ' '} {row['id'][:SHOWN]:<{SHOWN}}  {row['origin']:<12}  {row['status']:<8}  "
            f"{pairs:>5}  {right:>5}  {(row['created_utc'] or '')[:10]}".rstrip()
        )


def _row(record: EncoderRecord | None, *, active: bool) -> dict[str, Any]:
    """One voice for people and programs alike; without a record, the generic one."""
    if record is None:
        row = {"id": GENERIC, "origin": "built in", "status": "kept", "pairs": None, "accuracy": None}
        return {**row, "created_utc": None, "active": active}
    return {
        "id": record.id,
        "origin": record.origin,
        "status": record.status,
        "pairs": record.pairs,
        "accuracy": record.report.get("accuracy_after", record.report.get("accuracy")),
        "created_utc": record.created_utc,
        "active": active,
    }


@encoder.command()
def use(encoder_id: EncoderId, json: AsJson = False) -> None:
    """Write in this voice from now on."""
    from app.wiring import open_penpal
    from core.voices import use_encoder

    with closing(open_penpal()) as penpal:
        _say_active(use_encoder(penpal.store, encoder_id), json=json)


@encoder.command()
def rollback(json: AsJson = False) -> None:
    """Go back to the voice before; twice goes two voices back."""
    from app.wiring import open_penpal
    from core.voices import roll_back

    with closing(open_penpal()) as penpal:
        _say_active(roll_back(penpal.store), json=json)


def _say_active(record: EncoderRecord | None, *, json: bool) -> None:
    if json:
        print_json(_row(record, active=True))
    else:
        typer.echo(f"PenPal now writes in {f'voice {record.id[:SHOWN]}' if record else 'the generic voice'}.")


def export(
    file: Annotated[Path, typer.Argument(help="Where to write it, for example me.penpal.")],
    encoder_id: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="The start of an encoder's id; without it, the one in use.",
            autocompletion=_known_encoders,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    json: AsJson = False,
) -> None:
    """Put your voice into a file for another machine.

    The file holds numbers and none of your texts.
    """
    from app.wiring import open_penpal
    from core.voices import find_encoder
    from exporters.pack import export_pack

    if file.exists() and not force:
        raise UsageError(f"{file} exists: choose another name, or add --force to replace it.")
    with closing(open_penpal()) as penpal:
        store = penpal.store
        record = find_encoder(store, encoder_id) if encoder_id else store.active_encoder()
        if record is None:
            raise UsageError(
                "The generic voice is part of every PenPal, there is nothing to export: 'penpal personalize' makes "
                "one of your own."
            )
        manifest = export_pack(record, penpal.home.encoders, file, latent_size=penpal.clap.latent_size)
    if json:
        print_json({"file": str(file), "encoder_id": record.id, "manifest": manifest.about()})
    else:
        typer.echo(f"Wrote voice {record.id[:SHOWN]} to {file}. {manifest.card}")


def import_(
    file: Annotated[Path, typer.Argument(help="A file that 'penpal export' wrote.")],
    use: Annotated[bool, typer.Option("--use", help="Write in this voice from now on.")] = False,
    json: AsJson = False,
) -> None:
    """Take a voice from a file.

    The file is checked first, and the voice is only used if you say so.
    """
    from app.wiring import open_penpal
    from core.voices import use_encoder
    from exporters.pack import import_pack, read_pack

    with closing(open_penpal()) as penpal:
        clap = penpal.clap
        pack = read_pack(file, backbone_id=penpal.backbone.id, clap_id=clap.id, latent_size=clap.latent_size)
        record = import_pack(pack, penpal.store, penpal.home.encoders)
        if use:
            use_encoder(penpal.store, record.id)
    if json:
        print_json({**_row(record, active=use), "manifest": pack.manifest.about()})
        return
    typer.echo(f"Imported voice {record.id[:SHOWN]}. {pack.manifest.card}")
    typer.echo("It is in use now." if use else f"To write in it: penpal encoder use {record.id[:SHOWN]}")

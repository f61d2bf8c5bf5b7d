"""Commands that take a voice along: export, import."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from app.cli.encoders import known_encoders, row
from app.cli.output import SHOWN, AsJson, print_json
from core.errors import UsageError


def export(
    file: Annotated[Path, typer.Argument(help="Where to write it, for example me.penpal.")],
    encoder_id: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="The start of an encoder's id; without it, the one in use.",
            autocompletion=known_encoders,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    json: AsJson = False,
) -> None:
    """Put your voice into a file for another machine.

    The file holds numbers and none of your texts, but the names of the kinds of writing that it knows.
    """
    from app.wiring import open_penpal
    from core.voices import usable_encoder
    from exporters.pack import export_pack

    if file.exists() and not force:
        raise UsageError(f"{file} exists: choose another name, or add --force to replace it.")
    with closing(open_penpal()) as penpal:
        store, encoders = penpal.store, penpal.home.encoders
        record = usable_encoder(store, encoder_id, encoders) if encoder_id else store.active_encoder()
        if record is None:
            raise UsageError(
                "The generic voice is part of every PenPal, there is nothing to export: 'penpal personalize' makes "
                "one of your own."
            )
        manifest = export_pack(record, encoders, file, latent_size=penpal.clap.latent_size)
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
        clap, encoders = penpal.clap, penpal.home.encoders
        pack = read_pack(
            file, backbone_id=penpal.backbone.id, clap_id=clap.id,
            latent_size=clap.latent_size, encoder_shapes=clap.encoder_shapes,
        )  # fmt: skip
        record = import_pack(pack, penpal.store, encoders)
        if use:
            use_encoder(penpal.store, record.id, encoders)
    if json:
        print_json({**row(record, active=use), "manifest": pack.manifest.about()})
        return
    typer.echo(f"Imported voice {record.id[:SHOWN]}. {pack.manifest.card}")
    typer.echo("It is in use now." if use else f"To write in it: penpal encoder use {record.id[:SHOWN]}")

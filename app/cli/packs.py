"""Commands that take a voice along: export, import."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import formats
from app.cli.encoders import known_encoders, row
from app.cli.giving_away import Delta, MembershipTest, Private, as_json, as_lines, looked_through, private_voice
from app.cli.output import SHOWN, AsJson, print_json
from app.cli.passphrase import PassphraseFile, WithPassphrase
from app.cli.sealing import (
    SigningKey,
    forget_old_signature,
    opened,
    refuse_existing,
    seal,
    signing_key,
    write_signature,
)
from core.errors import UsageError

if TYPE_CHECKING:
    from core.store import EncoderRecord


def export(
    file: Annotated[Path | None, typer.Argument(help="Where to write it, for example me.penpal.")] = None,
    encoder_id: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="The start of an encoder's id; without it, the one in use.",
            autocompletion=known_encoders,
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What others may do with it, such as CC0-1.0; else: personal use only."),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0, max=1.5, help="How much of the voice: 0 is generic, 1 as learned; set for good."
        ),
    ] = None,
    private: Private = None,
    delta: Delta = None,
    membership_test: MembershipTest = True,
    sign: SigningKey = None,
    with_passphrase: WithPassphrase = False,
    passphrase_file: PassphraseFile = None,
    onnx: formats.Onnx = None,
    gguf: formats.Gguf = None,
    freeze: formats.Freeze = False,
    prompt: formats.Prompt = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    json: AsJson = False,
) -> None:
    """Put your voice into a file for another machine, or into a folder for other programs (--onnx, --gguf).

    The file holds numbers and none of your texts, but the names of the kinds of writing that it knows. What whoever has
    it can read from it is printed, and tested: see --private if that is too much.
    """
    from app.wiring import open_penpal
    from core.voices import usable_encoder
    from exporters.pack import export_pack
    from exporters.signature import signature_file

    formats.refuse_misuse(file, onnx, gguf, freeze=freeze, prompt=prompt)
    if file is None:
        if private is not None or sign is not None or with_passphrase or passphrase_file is not None:
            raise UsageError("--private, --sign and passphrases go with a file, not with --onnx or --gguf.")
        formats.export_folder(
            encoder_id, 1.0 if strength is None else strength, onnx=onnx, gguf=gguf, freeze=freeze, prompt=prompt,
            force=force, json=json,
        )  # fmt: skip
        return
    refuse_existing(file, force=force)
    key, signer, lock = signing_key(sign), None, seal(passphrase_file, ask=with_passphrase)
    with closing(open_penpal()) as penpal:
        store, encoders = penpal.store, penpal.home.encoders
        made = private_voice(penpal, private, delta, encoder_id=encoder_id)
        if made is not None:
            record: EncoderRecord | None = made.record
        else:
            record = usable_encoder(store, encoder_id, encoders) if encoder_id else store.active_encoder()
        if record is None:
            raise UsageError(
                "The generic voice is part of every PenPal, there is nothing to export: 'penpal personalize' makes "
                "one of your own."
            )
        manifest = export_pack(
            record, encoders, file, space=penpal.space, licence=licence,
            strength=1.0 if strength is None else strength, seal=lock,
        )  # fmt: skip
        forget_old_signature(file)
        if key is not None:
            signer = write_signature(file, key).fingerprint
        given = looked_through(penpal, record, test=membership_test)
    if json:
        facts = {"file": str(file), "encoder_id": record.id, "manifest": manifest.about(), "signed_by": signer}
        print_json({**facts, **as_json(given, made)})
    else:
        typer.echo(f"Wrote voice {record.id[:SHOWN]} to {file}. {manifest.card}")
        if signer is not None:
            typer.echo(f"Signed by {signer}: {signature_file(file)} goes with it.")
        typer.echo("\n".join(as_lines(given, made)))


def import_(
    file: Annotated[Path, typer.Argument(help="A file that 'penpal export' wrote.")],
    use: Annotated[bool, typer.Option("--use", help="Write in this voice from now on.")] = False,
    passphrase_file: PassphraseFile = None,
    json: AsJson = False,
) -> None:
    """Take a voice from a file.

    The file is checked first, and the voice is a guest: it is only used if you say so. A signature that lies beside it
    must be of this very file.
    """
    from app.wiring import open_penpal
    from core.voices import use_encoder
    from exporters.pack import import_pack, pack_of

    found = opened(file, passphrase_file)
    signer = found.signer.fingerprint if found.signer else None
    with closing(open_penpal()) as penpal:
        encoders = penpal.home.encoders
        pack = pack_of(found.data, penpal.space, source=str(file))
        record = import_pack(pack, penpal.store, encoders, signed_by=signer)
        if use:
            use_encoder(penpal.store, record.id, encoders)
    if json:
        print_json({**row(record, active=use), "manifest": pack.manifest.about(), "signed_by": signer})
        return
    shown = record.id[:SHOWN]
    typer.echo(f"Imported voice {shown}. {pack.manifest.card}")
    if signer is not None:
        typer.echo(f"Signed by {signer}. Whose key that is, its owner can tell: 'ssh-keygen -l' shows it.")
    if use:
        typer.echo("It is in use now.")
        return
    typer.echo(f"To try it once: penpal chat --voice {shown}")
    typer.echo(f"To see how well it foresees your own choices: penpal encoder compare {shown}")
    typer.echo(f"To write in it: penpal encoder use {shown}")

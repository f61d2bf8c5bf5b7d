"""Commands about the files that carry voices: pack show, verify, mix. They change nothing in this home."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.encoders import interval_told, percent
from app.cli.output import SHOWN, AsJson, counted, print_json
from app.cli.passphrase import PassphraseFile
from app.cli.sealing import Opened, forget_old_signature, opened, refuse_existing
from core.errors import UsageError

if TYPE_CHECKING:
    from exporters.manifest import Manifest

group = typer.Typer(help="Files with a voice in them: look inside, check, mix.", no_args_is_help=True)

Key = Annotated[
    str | None,
    typer.Option(
        metavar="PUBKEY", help="It must be signed by this key: a public SSH key (Ed25519), or the file that it is in."
    ),
]
PackPath = Annotated[Path, typer.Argument(help="A file that 'penpal export' wrote.")]


@group.command()
def show(file: PackPath, passphrase_file: PassphraseFile = None, json: AsJson = False) -> None:
    """Show what a file says about the voice in it.

    It may be of another backbone. Nothing in it is used; 'penpal pack verify' checks that it is what it says.
    """
    from app.wiring import open_penpal
    from exporters.pack import looked_at, misfit

    read = opened(file, passphrase_file)
    found, manifest = looked_at(read.data, source=str(file))
    with closing(open_penpal()) as penpal:
        why_not = misfit(manifest, penpal.space)
    contexts = sorted(name.removeprefix("context.") for name in found.shapes if name.startswith("context."))
    if json:
        facts = {"file": str(file), "sha256": read.sha256, "size_bytes": read.size_bytes, "contexts": contexts,
                 "signed_by": read.signer.fingerprint if read.signer else None}  # fmt: skip
        print_json({**facts, "fits": why_not is None, "why_not": why_not, "manifest": manifest.about()})
        return
    typer.echo(f"{file}: a PenPal voice (format {manifest.format_version}), {read.size_bytes:,} bytes")
    for name, value in _lines(manifest, contexts, why_not):
        typer.echo(f"{name:<14}{value}")
    typer.echo(f"{'SHA-256':<14}{read.sha256}")
    typer.echo(f"{'signed':<14}{_signature_told(read)}")


@group.command()
def verify(file: PackPath, key: Key = None, passphrase_file: PassphraseFile = None, json: AsJson = False) -> None:
    """Check everything about a file that can be checked, and say what it was.

    Its form, its sizes, the SHA-256 of its numbers, that they are numbers that training makes, and whether it fits
    this home; and the signature, if one lies beside it. Ends with exit code 1 and one line when something is wrong.
    """
    from app.wiring import open_penpal
    from exporters.pack import checked_elsewhere, looked_at, misfit, pack_of

    read = opened(file, passphrase_file, key=key)
    found, manifest = looked_at(read.data, source=str(file))
    with closing(open_penpal()) as penpal:
        why_not = misfit(manifest, penpal.space)
        if why_not is None:
            pack_of(read.data, penpal.space, source=str(file))
        else:
            checked_elsewhere(found, manifest)
    checks = {
        "file": f"SHA-256 {read.sha256}",
        "form": f"{counted(len(found.shapes), 'array')}, without gaps or overlaps, all of known types",
        "numbers": f"SHA-256 {manifest.arrays_sha256}, as the file says"
        if manifest.arrays_sha256
        else "as training makes them; the file is of an older format, which names no SHA-256 for them",
        "fits": f"no: it {why_not}; all else was checked" if why_not else "this home's backbone and CLaP",
        "signed": _signature_told(read, asked=key is not None),
    }
    if json:
        print_json({"file": str(file), "good": True, "fits": why_not is None, "checks": checks})
        return
    typer.echo(f"{file} is whole, and what it says it is.")
    for name, value in checks.items():
        typer.echo(f"{name:<14}{value}")


@group.command()
def mix(
    files: Annotated[list[Path], typer.Argument(help="Two files or more, of this home's backbone.")],
    weights: Annotated[str, typer.Option(metavar="W,W", help="How much of each, such as .7,.3.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the mix.")],
    passphrase_file: PassphraseFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    json: AsJson = False,
) -> None:
    """Mix voices into a new one.

    The mix prefers one text to another by the weighted mean of what each voice prefers it by. A weight of 1 gives that
    voice exactly. Example:

    penpal pack mix ann.penpal ben.penpal --weights .7,.3 --out both.penpal
    """
    from app.wiring import open_penpal
    from exporters.pack import mix_packs, pack_of

    shares = _numbers(weights)
    refuse_existing(out, force=force)
    data = [opened(file, passphrase_file).data for file in files]
    with closing(open_penpal()) as penpal:
        space = penpal.space
        packs = [pack_of(each, space, source=str(file)) for each, file in zip(data, files, strict=True)]
        manifest = mix_packs(packs, shares, out, space=space)
        forget_old_signature(out)
    if json:
        print_json({"file": str(out), "manifest": manifest.about()})
    else:
        typer.echo(f"Wrote the mix to {out}. {manifest.card}\nTo write in it: penpal import {out}")


def _signature_told(read: Opened, *, asked: bool = False) -> str:
    if read.signer is None:
        return "no"
    by = f"by {read.signer.fingerprint}"
    return f"{by}, as asked" if asked else f"{by}; --key of 'penpal pack verify' asks whether that is the right one"


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"'{text[:40]}' is no list of weights: write numbers with commas, such as .7,.3.") from error


def _lines(manifest: Manifest, contexts: list[str], why_not: str | None) -> Iterator[tuple[str, str]]:
    from app.learning_report import CAPACITIES

    yield "what", str(CAPACITIES.get(manifest.capacity, manifest.capacity))
    yield "learned from", f"{counted(manifest.pairs, 'answer')} by {manifest.created}"
    if manifest.accuracy is not None:
        interval = interval_told(manifest.accuracy_interval)
        yield "foresees", f"{percent(manifest.accuracy)} of choices it had not seen{interval}"
    if manifest.strength != 1:
        yield "strength", f"{manifest.strength:.0%} of what was learned"
    for voice, weight in manifest.mixed_of:
        yield "mixed of", f"{weight:.0%} {voice[:SHOWN]}"
    if manifest.epsilon is not None:
        yield "privacy", f"epsilon {manifest.epsilon:g} for each choice"
    if contexts:
        yield "kinds", ", ".join(contexts)
    yield "licence", manifest.licence or "nothing was said"
    yield "backbone", manifest.backbone
    yield "CLaP", manifest.clap
    yield "fits", f"no: it {why_not}" if why_not else "yes: it is for this home's backbone and CLaP"
    yield "card", manifest.card

"""`penpal encoder migrate`: take a voice along to another backbone or latent space."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.cli.encoders import known_encoders
from app.cli.output import AsJson, print_json, progress_bar
from app.cli.sealing import opened


def migrate(
    encoder_id: Annotated[
        str | None,
        typer.Argument(
            help="The start of the encoder's id, or a file that 'penpal export' wrote; without it, the one in use, or "
            "the newest that is left behind.",
            autocompletion=known_encoders,
            show_default=False,
        ),
    ] = None,
    from_clap: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The weights of the latent space that it was made in, where PenPal does not find them by itself.",
        ),
    ] = None,
    no_drafts: Annotated[
        bool,
        typer.Option("--no-drafts", help="Leave the language model out: drafts of the new voice not checked; faster."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Take a voice along after the backbone or its latent space changed.

    A voice of your own is learned anew from all that you answered, also about drafts of the backbone before. One from
    somebody else is mapped, by texts that both latent spaces read. How much of it was kept is told; the old one stays
    on your list.
    """
    from app.migration import guest_from, to_migrate, told
    from app.migration import migrate as take_along
    from app.wiring import open_penpal

    path = Path(encoder_id) if encoder_id else None
    found = opened(path, None) if path is not None and path.is_file() else None
    with closing(open_penpal()) as penpal, progress_bar() as progress:
        if found is not None:
            signer = found.signer.fingerprint if found.signer else None
            record = guest_from(penpal, found.data, source=str(path), from_clap=from_clap, signed_by=signer)
        else:
            record = to_migrate(penpal, encoder_id)
        done = take_along(penpal, record, from_clap=from_clap, drafts=not no_drafts, progress=progress)
    if json:
        facts = {name: value for name, value in asdict(done).items() if name not in ("old", "new")}
        print_json({"old": done.old.id, "new": done.new.id, **facts, "kept": done.kept})
    else:
        typer.echo("\n".join(told(done)))

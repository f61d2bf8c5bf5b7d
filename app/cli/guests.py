"""`penpal encoder compare`: how well a voice from somebody else foresees this person's own choices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from app.cli.encoders import EncoderId, interval_told
from app.cli.output import SHOWN, AsJson, counted, print_json
from core.errors import UsageError

if TYPE_CHECKING:
    from app.guests import Comparison
    from models.personalize import Share


def compare(encoder_id: EncoderId, json: AsJson = False) -> None:
    """Ask a voice from somebody else what it makes of your choices, beside your own and the generic one.

    It is asked about texts that you have chosen between already; nothing is written and nothing changes.
    """
    from app.guests import IMPORTED, compare
    from app.wiring import open_penpal
    from core.voices import usable_encoder

    with closing(open_penpal()) as penpal:
        record = usable_encoder(penpal.store, encoder_id, penpal.home.encoders)
        if record is None:
            raise UsageError("The generic voice has no preference: it foresees half of any choices.")
        if record.origin != IMPORTED:
            raise UsageError(
                f"Voice {record.id[:SHOWN]} has learned from your choices, so that it knows them: 'penpal encoder show "
                f"{record.id[:SHOWN]}' tells how well it did on those that were kept from it."
            )
        found = compare(penpal, record)
    if json:
        intervals = {"guest_interval": found.guest.interval, "generic": 0.5}
        print_json({"id": record.id, **asdict(found), **intervals})
    else:
        typer.echo("\n".join(_told(record.id[:SHOWN], found)))


def _told(guest: str, found: Comparison) -> Iterator[str]:
    low, high = found.guest.interval
    choices = counted(found.guest.count, "choice")
    yield f"Of your {choices} between two texts, voice {guest} foresees {_share(found.guest)}."
    yield "The generic voice has no preference: it foresees half of them."
    if found.active is not None:
        when = interval_told(found.active_interval)
        yield f"Your own voice foresaw {found.active:.0%} of choices that were kept from it{when}."
    if found.since is not None:
        theirs, yours = found.since
        yield (
            f"Of the {counted(theirs.count, 'choice')} that neither has learned from, voice {guest} foresees "
            f"{theirs.right}, the voice in use {yours.right}."
        )
    if low > 0.5:
        yield f"So it likes much of what you like. To learn on from it: penpal personalize --start {guest}"
    elif high < 0.5:
        yield "So it likes what you do not: it would lead your drafts the wrong way."
    else:
        yield "So far that could be luck: more choices will tell."


def _share(share: Share) -> str:
    return f"{share.right}, {share.share:.0%}{interval_told(share.interval)}"

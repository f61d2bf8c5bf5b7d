"""What `penpal export` says about privacy: what the file gives away, and a voice that gives away less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import progress_bar
from core.errors import UsageError

if TYPE_CHECKING:
    from app.giveaway import GiveAway
    from app.private_voice import PrivateVoice
    from app.wiring import PenPal
    from core.store import EncoderRecord

MembershipTest = Annotated[
    bool,
    typer.Option(
        "--membership-test/--no-membership-test",
        help="Test whether the file shows which choices it was learned from; takes up to half a minute.",
    ),
]
Private = Annotated[
    float | None,
    typer.Option(
        metavar="EPSILON",
        help="Train anew so that no single choice shows (differential privacy): 1 hides well, 8 hides little, all of "
        "them cost accuracy. The new voice is exported instead of the one in use.",
        show_default=False,
    ),
]
Delta = Annotated[
    float | None,
    typer.Option(
        metavar="D",
        help="With --private: how probable it may be that this fails; 1e-5 unless given.",
        show_default=False,
    ),
]


def private_voice(
    penpal: PenPal, epsilon: float | None, delta: float | None, *, encoder_id: str | None
) -> PrivateVoice | None:
    """Made when a person asked for it. Raises UsageError for options that make no sense."""
    if epsilon is None:
        if delta is not None:
            raise UsageError("--delta goes with --private.")
        return None
    from app.private_voice import budget_of, make_private_voice
    from models.private_learning import DEFAULT_DELTA

    if encoder_id is not None:
        raise UsageError("--private and --encoder do not go together: a private voice is trained anew.")
    budget = budget_of(epsilon, DEFAULT_DELTA if delta is None else delta)
    with progress_bar() as progress:
        return make_private_voice(penpal, budget, progress=progress)


def looked_through(penpal: PenPal, record: EncoderRecord, *, test: bool) -> GiveAway:
    """What its file gives away."""
    from app.giveaway import give_away

    with progress_bar() as progress:
        return give_away(
            penpal, record, test=test, progress=lambda share: progress("Testing what the file gives away", share)
        )


def as_json(given: GiveAway, made: PrivateVoice | None) -> dict[str, Any]:
    """Fields beside the manifest."""
    found: dict[str, Any] = {"gives_away": given.shown()}
    if made is not None:
        found["private"] = {name: value for name, value in asdict(made).items() if name != "record"}
    return found


def as_lines(given: GiveAway, made: PrivateVoice | None) -> Iterator[str]:
    """The same for a person."""
    from app.giveaway import told
    from app.private_voice import told as told_privately

    if made is not None:
        yield from told_privately(made)
    yield from told(given)

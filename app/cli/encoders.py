"""Commands about the voices that were learned: encoder list, show, diff, use, rollback, remove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import SHOWN, AsJson, counted, listed, print_json, print_text
from core.errors import PenPalError

if TYPE_CHECKING:
    from app.wiring import PenPal
    from core.store import EncoderRecord
    from models.learner import Parts
    from models.voice_difference import Difference

GENERIC = "generic"
COMPARED = (
    "pairs", "accuracy", "p_value", "shift", "strength", "perplexity_personal", "distinct2_personal", "flip_rate",
    "half_life",
)  # fmt: skip
"""Numbers of two reports that stand beside each other."""

group = typer.Typer(help="The voices PenPal has learned: list, look, compare, use, roll back.", no_args_is_help=True)


def known_encoders() -> list[str]:
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
        autocompletion=known_encoders,
    ),
]


def row(record: EncoderRecord | None, *, active: bool, removed: bool = False) -> dict[str, Any]:
    """One voice for people and programs alike; without a record, the generic one."""
    if record is None:
        found = {"id": GENERIC, "origin": "built in", "status": "kept", "pairs": None, "accuracy": None}
        return {**found, "created_utc": None, "active": active}
    return {
        "id": record.id,
        "origin": record.report.get("made", record.origin),
        "status": "removed" if removed else record.status,
        "pairs": record.pairs,
        "accuracy": record.report.get("accuracy"),
        "created_utc": record.created_utc,
        "active": active,
    }


@group.command("list")
def list_(json: AsJson = False) -> None:
    """Show every voice, the one in use marked with a star."""
    from app.wiring import open_penpal

    with closing(open_penpal()) as penpal:
        rows = [_row_of(penpal, record) for record in (None, *penpal.store.encoders())]
    if json:
        print_json(rows)
        return
    typer.echo(f"  {'id':<{SHOWN}}  {'origin':<12}  {'status':<8}  {'pairs':>5}  {'right':>5}  made")
    guests = [each for each in rows if each["origin"] == "imported"]
    for each in rows:
        if each not in guests:
            typer.echo(_listed_row(each))
    if guests:
        typer.echo("\nFrom others ('penpal encoder compare ID' tells how well one foresees your own choices):")
    for each in guests:
        typer.echo(_listed_row(each))
    for each in rows:
        if each["forgotten"]:
            typer.echo(f"Voice {each['id'][:SHOWN]} {_trained_on_forgotten(each['forgotten'])}.")


def _listed_row(each: dict[str, Any]) -> str:
    pairs = "" if each["pairs"] is None else each["pairs"]
    return (
        f"{'*' if each['active'] else ' '} {each['id'][:SHOWN]:<{SHOWN}}  {each['origin']:<12}  "
        f"{each['status']:<8}  {pairs:>5}  {percent(each['accuracy']):>5}  {(each['created_utc'] or '')[:10]}".rstrip()
    )


@group.command()
def show(encoder_id: EncoderId, json: AsJson = False) -> None:
    """Show what a voice was made from, how good it is, and how far it leans."""
    from app.wiring import open_penpal
    from core.voices import find_encoder

    with closing(open_penpal()) as penpal:
        record = find_encoder(penpal.store, encoder_id)
        found = _described(penpal, record)
    if json:
        print_json(found)
        return
    typer.echo(f"{_voice(record).capitalize()}{' (in use)' if found['active'] else ''}")
    for name, value in _lines(found):
        print_text(f"{name:<14}{value}")


@group.command()
def diff(a: EncoderId, b: EncoderId, json: AsJson = False) -> None:
    """Compare two voices: how far apart they lean, and their numbers."""
    from app.wiring import open_penpal
    from core.voices import usable_encoder
    from models.voice_difference import difference

    with closing(open_penpal()) as penpal:
        records = [usable_encoder(penpal.store, name, penpal.home.encoders) for name in (a, b)]
        first, second = (_parts(penpal, record) for record in records)
    found = difference(first, second)
    reports = [record.report | {"pairs": record.pairs} if record else {} for record in records]
    numbers = {name: [report.get(name) for report in reports] for name in COMPARED}
    if json:
        ids = [record.id if record else GENERIC for record in records]
        print_json({"a": ids[0], "b": ids[1], **asdict(found), "report": numbers})
        return
    names = [_voice(record) for record in records]
    typer.echo("\n".join(_difference_told(names, (first, second), found)))
    shown = {name: pair for name, pair in numbers.items() if pair != [None, None]}
    if shown:
        ids = [name.removeprefix("voice ").removeprefix("the ") for name in names]
        typer.echo(f"\n{'':<20}{ids[0]:>14}  {ids[1]:>14}")
    for name, pair in shown.items():
        typer.echo(f"{name.replace('_', ' '):<20}{_number(pair[0]):>14}  {_number(pair[1]):>14}".rstrip())


@group.command()
def use(encoder_id: EncoderId, json: AsJson = False) -> None:
    """Write in this voice from now on."""
    from app.wiring import open_penpal
    from core.voices import use_encoder

    with closing(open_penpal()) as penpal:
        _say_active(use_encoder(penpal.store, encoder_id, penpal.home.encoders), json=json)


@group.command()
def rollback(json: AsJson = False) -> None:
    """Go back to the voice before; twice goes two voices back."""
    from app.wiring import open_penpal
    from core.voices import roll_back

    with closing(open_penpal()) as penpal:
        _say_active(roll_back(penpal.store, penpal.home.encoders), json=json)


@group.command()
def remove(
    encoder_id: EncoderId,
    force: Annotated[bool, typer.Option("--force", help="Remove it although 'rollback' leads to it.")] = False,
    json: AsJson = False,
) -> None:
    """Delete a voice for good.

    What it was stays on the list: your drafts name it. 'penpal export' before keeps a copy.
    """
    from app.wiring import open_penpal
    from core.voices import remove_encoder

    with closing(open_penpal()) as penpal:
        record = remove_encoder(penpal.store, encoder_id, penpal.home.encoders, force=force)
    if json:
        print_json(row(record, active=False, removed=True))
    else:
        typer.echo(f"Removed voice {record.id[:SHOWN]}.")


# --- what is known of a voice -----------------------------------------------------------------------------------


def _row_of(penpal: PenPal, record: EncoderRecord | None) -> dict[str, Any]:
    from core.voices import is_removed

    active = penpal.store.active_encoder()
    is_active = (record.id if record else None) == (active.id if active else None)
    found = row(record, active=is_active, removed=record is not None and is_removed(record, penpal.home.encoders))
    return {**found, "forgotten": penpal.store.forgotten_choices().get(found["id"], 0)}


def _described(penpal: PenPal, record: EncoderRecord | None) -> dict[str, Any]:
    """All that `show` tells; what needs the numbers of a removed voice, or of one of another backbone, is None."""
    found = _row_of(penpal, record)
    if record is None:
        return found
    report = record.report
    file, markdown = penpal.home.encoders / record.file, penpal.home.runs / str(report.get("markdown", ""))
    fits = penpal.fits(record)
    leaning = _leaning(_parts(penpal, record)) if fits and found["status"] != "removed" else {}
    return {
        **found,
        "capacity": report.get("capacity"),
        "pairs_by_source": report.get("pairs_by_source"),
        "accuracy_interval": report.get("accuracy_interval"),
        "reason": report.get("reason") or report.get("card"),
        "drift": report.get("shift"),
        "contexts": None,
        **leaning,
        "parent_id": record.parent_id,
        "backbone_id": record.backbone_id,
        "clap_id": record.clap_id,
        "fits": fits,
        "file": str(file),
        "size_bytes": file.stat().st_size if file.is_file() else None,
        "report_file": str(markdown) if markdown.is_file() else None,
        "report": report,
    }


def _leaning(parts: Parts) -> dict[str, Any]:
    from models.voice_difference import lean

    drift, contexts = lean(parts)
    return {"drift": drift, "contexts": contexts}


def _parts(penpal: PenPal, record: EncoderRecord | None) -> Parts:
    """Raises PackError for a damaged voice, or one of another backbone."""
    from models.learner import Parts

    return penpal.load_encoder(record).parts if record else Parts.generic(penpal.clap.latent_size)


# --- the same in words ------------------------------------------------------------------------------------------


def _voice(record: EncoderRecord | None) -> str:
    return f"voice {record.id[:SHOWN]}" if record else "the generic voice"


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and value of everything that is known."""
    from app.learning_report import CAPACITIES

    if found["id"] == GENERIC:
        yield "what", "how the backbone writes for anybody; every voice starts here"
        return
    yield "made", f"{found['created_utc'][:10]}, {found['origin']}"
    sources = f": {listed(found['pairs_by_source'])}" if found["pairs_by_source"] else ""
    yield "learned from", f"{counted(found['pairs'], 'answer')}{sources}"
    if found["forgotten"]:
        yield "forgotten", f"it {_trained_on_forgotten(found['forgotten'])}"
    if found["capacity"]:
        yield "what", str(CAPACITIES.get(found["capacity"], found["capacity"]))
    if found["accuracy"] is not None:
        interval = interval_told(found["accuracy_interval"])
        yield "foresees", f"{percent(found['accuracy'])} of choices it has not seen{interval}"
    if found["drift"] is not None:
        yield "leans", f"{found['drift']:.1f} away from the generic voice"
    if found["contexts"]:
        kinds = ", ".join(f"{name} {length:.1f}" for name, length in found["contexts"].items())
        yield "kinds", f"{kinds} (how far each leads away from the rest)"
    if (licence := found["report"].get("licence")) is not None:
        signer = found["report"].get("signed_by")
        yield "licence", licence or "nothing was said"
        yield "signed", f"by {signer}" if signer else "no"
    yield "status", f"{found['status']}{f' ({reason})' if (reason := found['reason']) else ''}"
    if not found["fits"]:
        yield "backbone", f"{found['backbone_id'][:SHOWN]}, another one than here: it cannot be used"
    yield "comes after", _voice_id(found["parent_id"])
    yield "file", found["file"] if found["size_bytes"] is None else f"{found['file']}, {found['size_bytes']} bytes"
    if found["report_file"]:
        yield "report", found["report_file"]


def _trained_on_forgotten(choices: int) -> str:
    return f"was trained on {counted(choices, 'choice')} that you have forgotten: 'penpal personalize' learns anew"


def _voice_id(encoder_id: str | None) -> str:
    return f"voice {encoder_id[:SHOWN]}" if encoder_id else "the generic voice"


def interval_told(interval: Sequence[float] | None) -> str:
    """In words, after a share; empty when it is not known."""
    return f" (95% interval {interval[0]:.0%} to {interval[1]:.0%})" if interval else ""


def _difference_told(names: list[str], parts: tuple[Parts, Parts], found: Difference) -> Iterator[str]:
    one, other = names
    way = "" if found.cosine is None else f": they lean {_way(found.cosine)} (cosine {found.cosine:.2f})"
    yield f"{one.capitalize()} leans {found.distance:.1f} away from {other}{way}."
    for kind, distance in found.contexts.items():
        known = [kind in each.contexts for each in parts]
        alone = "" if all(known) else f"; only {names[known.index(True)]} has a way of its own for it"
        yield f"For {kind} they are {distance:.1f} apart{alone}."
    if any(found.prompts):
        who = "Both follow" if all(found.prompts) else f"Only {names[found.prompts.index(True)]} follows"
        yield f"{who} the prompt too, which these numbers leave out."


def _way(cosine: float) -> str:
    if cosine > 0.9:
        return "nearly the same way"
    if cosine > 0.5:
        return "much the same way"
    return "different ways" if cosine > -0.5 else "opposite ways"


def percent(share: object) -> str:
    """'75%'; empty when it is not known."""
    return f"{share:.0%}" if isinstance(share, int | float) else ""


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def _say_active(record: EncoderRecord | None, *, json: bool) -> None:
    if json:
        print_json(row(record, active=True))
    else:
        typer.echo(f"PenPal now writes in {_voice(record)}.")

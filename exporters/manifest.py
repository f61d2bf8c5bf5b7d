"""What a pack says about itself: readable by a person and checked field by field. Never a text or a path of theirs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, get_args

from core.errors import PackError
from core.store import EncoderRecord
from models.learner import CapacityName
from models.personal_encoder import GaussianEncoder

FORMAT = "penpal-encoder"
FORMAT_VERSION = 1
SHOWN = 12
"""Characters of a hash that messages show."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_CARD_CHARACTERS = 2000
_MAX_PAIRS = 10**9


@dataclass(frozen=True)
class Manifest:
    """The header of a pack."""

    backbone: str
    """SHA-256 of the GGUF that it writes with."""
    clap: str
    """SHA-256 of the CLaP weights whose latent space it leans in."""
    pairs: int
    accuracy: float | None
    """Share of held-out choices that it ordered as the person did; None if it was not measured."""
    created: str
    """The day only, as in 2026-11-21."""
    card: str
    """What this is, in plain words."""
    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    capacity: CapacityName = "shift"
    """What the arrays are, at most."""

    def about(self) -> dict[str, Any]:
        """The JSON of the header."""
        return asdict(self)


def manifest_of(record: EncoderRecord, encoder: GaussianEncoder) -> Manifest:
    """What may be told about an encoder of this home: numbers, hashes, a day, and the names of kinds of writing."""
    accuracy = record.report.get("accuracy")
    known = float(accuracy) if isinstance(accuracy, int | float) and not math.isnan(accuracy) else None
    created = record.created_utc[:10]
    return Manifest(
        backbone=record.backbone_id,
        clap=record.clap_id,
        pairs=record.pairs,
        accuracy=known,
        created=created,
        card=_card(record.pairs, known, created, list(encoder.parts.contexts)),
        capacity=capacity_of(encoder),
    )


def capacity_of(encoder: GaussianEncoder) -> CapacityName:
    """By its parts: one that was learned kind by kind may have more of them than its last run chose."""
    parts = encoder.parts
    if encoder.layers:
        return "layers"
    if parts.head is not None:
        return "head"
    if parts.contexts:
        return "contexts"
    return "shift and scale" if parts.log_variance.any() else "shift"


def read_manifest(about: object, *, source: str) -> Manifest:
    """Raises PackError unless `about` is a manifest of this version and every field is what it should be."""
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise PackError(f"{source} is not a PenPal encoder: use a file that 'penpal export' wrote.")
    version = about.get("format_version")
    if version != FORMAT_VERSION:
        raise PackError(
            f"{source} has format version {_shown(version)}, this PenPal reads version {FORMAT_VERSION}: update PenPal."
        )
    for name, is_right in _CHECKS.items():
        if name not in about or not is_right(about[name]):
            raise PackError(f"{source} is damaged: its field '{name}' is {_shown(about.get(name))}.")
    unknown = sorted(set(about) - set(Manifest.__dataclass_fields__))
    if unknown:
        raise PackError(f"{source} has a field that version {FORMAT_VERSION} does not know: {_shown(unknown[0])}.")
    return Manifest(**about)


def _card(pairs: int, accuracy: float | None, created: str, contexts: Sequence[str]) -> str:
    agreed, kinds = "", ""
    if accuracy is not None:
        agreed = f" On choices it had not seen, it agreed with the person {accuracy:.0%} of the time."
    if contexts:
        kinds = f" but the names of the kinds of writing it knows ({', '.join(contexts)})"
    return (
        f"A PenPal voice: how one person likes their drafts, learned from {pairs} choices by {created}.{agreed} "
        f"It holds lists of numbers and no text{kinds}. It fits only the backbone and the CLaP that are named here."
    )


def _shown(value: object) -> str:
    """A stranger's value, short and without control characters."""
    return ascii(value)[:40]


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _MAX_PAIRS


def _is_share(value: object) -> bool:
    return value is None or (type(value) in (int, float) and isinstance(value, int | float) and 0 <= value <= 1)


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_card(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_CARD_CHARACTERS and value.isprintable()


_CHECKS: dict[str, Callable[[object], bool]] = {
    "backbone": _is_sha256,
    "clap": _is_sha256,
    "pairs": _is_count,
    "accuracy": _is_share,
    "created": _is_day,
    "card": _is_card,
    "capacity": lambda value: isinstance(value, str) and value in get_args(CapacityName),
}

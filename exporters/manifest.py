"""What a pack says about itself: readable by a person and checked field by field. Never a text or a path of theirs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any, get_args

from core.errors import PackError, UsageError
from core.store import EncoderRecord
from exporters.pack_file import arrays_sha256
from models.checkpoint import Arrays
from models.learner import CapacityName
from models.personal_encoder import GaussianEncoder

FORMAT = "penpal-encoder"
FORMAT_VERSION = 2
SHOWN = 12
"""Characters of a hash that messages show."""
LICENCE = "for personal use; ask the author for anything else"
"""What an export says when its author says nothing."""
MAX_STRENGTH = 1.5

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_CARD_CHARACTERS = 2000
_MAX_LICENCE_CHARACTERS = 400
MAX_PAIRS = 10**9
_MAX_MIXED = 16
SIZES = ("bytes", "contexts", "hidden", "latent", "layers")


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
    # --- since version 2; the defaults are what is known of a file of version 1 ---
    licence: str = ""
    """What others may do with it, in its author's words; empty: nothing was said."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Of the latent, of the features that a head reads (0: no head), numbers of layers and contexts, bytes of all."""
    arrays_sha256: str = ""
    accuracy_interval: list[float] | None = None
    """95%."""
    strength: float = 1.0
    """How strong it is against what was learned."""
    mixed_of: list[list[Any]] = field(default_factory=list)
    """Of a mix: `arrays_sha256` and weight of each voice."""
    epsilon: float | None = None
    """Its differential privacy for each pair, if it was trained for that."""

    def about(self) -> dict[str, Any]:
        """The JSON of the header."""
        told = asdict(self)
        return {name: told[name] for name in _CHECKS[self.format_version]} | {
            "format": self.format,
            "format_version": self.format_version,
        }

    def describing(self, encoder: GaussianEncoder, arrays: Arrays) -> Manifest:
        """The same of this version about these arrays, as the file will hold them, of this encoder."""
        parts = encoder.parts
        sizes = {
            "bytes": sum(array.nbytes for array in arrays.values()),
            "contexts": len(parts.contexts),
            "hidden": 0 if parts.center is None else len(parts.center),
            "latent": len(parts.mean),
            "layers": len({name.split(".")[-4] for name in arrays if name.endswith("up_proj.weight")}),
        }
        return replace(
            self, format_version=FORMAT_VERSION, capacity=capacity_of(encoder), sizes=sizes,
            arrays_sha256=arrays_sha256(arrays), licence=self.licence or LICENCE,
        )  # fmt: skip


def manifest_of(record: EncoderRecord, encoder: GaussianEncoder, *, licence: str | None = None) -> Manifest:
    """What may be told about an encoder of this home: numbers, hashes, a day, and the names of kinds of writing.

    Its arrays are described by `Manifest.describing`. Raises UsageError for a licence that is no line of text.
    """
    accuracy = record.report.get("accuracy")
    interval = record.report.get("accuracy_interval")
    made = Manifest(
        backbone=record.backbone_id,
        clap=record.clap_id,
        pairs=record.pairs,
        accuracy=float(accuracy) if _is_share(accuracy) and isinstance(accuracy, int | float) else None,
        created=record.created_utc[:10],
        card="",
        capacity=capacity_of(encoder),
        licence=LICENCE if licence is None else checked_licence(licence),
        accuracy_interval=[float(each) for each in interval] if _is_interval(interval) and interval else None,
        epsilon=record.report.get("epsilon") if _is_positive(record.report.get("epsilon")) else None,
    )
    return replace(made, card=card(made, list(encoder.parts.contexts)))


def checked_licence(text: str) -> str:
    """One line of text. Raises UsageError for anything else."""
    line = " ".join(text.split())
    if not _is_licence(line):
        raise UsageError(f"A licence is a line of up to {_MAX_LICENCE_CHARACTERS} characters, such as 'CC0-1.0'.")
    return line


def weakened(manifest: Manifest, strength: float, contexts: Sequence[str]) -> Manifest:
    """The manifest of the same voice at another strength: what was measured of it is no longer known."""
    if strength == 1:
        return manifest
    made = replace(manifest, strength=manifest.strength * strength, accuracy=None, accuracy_interval=None)
    return replace(made, card=card(made, contexts))


def capacity_of(encoder: GaussianEncoder) -> CapacityName:
    """By its parts: one that was learned kind by kind may have more of them than its last run chose."""
    parts = encoder.parts
    if parts.head is not None:
        return "layers" if encoder.layers else "head"
    if parts.contexts:
        return "contexts"
    return "shift and scale" if parts.log_variance.any() else "shift"


def read_manifest(about: object, *, source: str) -> Manifest:
    """Raises PackError unless `about` is a manifest of a known version and every field is what it should be."""
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise PackError(f"{source} is not a PenPal encoder: use a file that 'penpal export' wrote.")
    version = about.get("format_version")
    if type(version) is not int or version not in _CHECKS:
        raise PackError(
            f"{source} has format version {_shown(version)}, this PenPal reads versions up to {FORMAT_VERSION}: "
            "update PenPal."
        )
    for name, is_right in _CHECKS[version].items():
        if name not in about or not is_right(about[name]):
            raise PackError(f"{source} is damaged: its field '{name}' is {_shown(about.get(name))}.")
    unknown = sorted(set(about) - set(_CHECKS[version]) - {"format", "format_version"})
    if unknown:
        raise PackError(f"{source} has a field that version {version} does not know: {_shown(unknown[0])}.")
    return Manifest(**about)


def card(manifest: Manifest, contexts: Sequence[str]) -> str:
    """The model card: what this is, what it is for, what it holds, in plain words."""
    agreed, kinds, strength, private = "", "", "", ""
    if manifest.accuracy is not None:
        agreed = f" On choices it had not seen, it agreed with the person {manifest.accuracy:.0%} of the time."
    if manifest.strength != 1:
        strength = f" It is set to {manifest.strength:.0%} of what was learned."
    if manifest.epsilon is not None:
        private = f" It was trained with differential privacy, epsilon {manifest.epsilon:g} for each choice."
    if contexts:
        kinds = f" but the names of the kinds of writing it knows ({', '.join(contexts)})"
    who = "how one person likes their drafts"
    if manifest.mixed_of:
        weights = ", ".join(f"{weight:.0%}" for _, weight in manifest.mixed_of)
        who = f"a mix of {len(manifest.mixed_of)} voices ({weights})"
    return (
        f"A PenPal voice: {who}, learned from {manifest.pairs} choices by {manifest.created}.{agreed}{strength}"
        f"{private} It holds lists of numbers and no text{kinds}. It fits only the backbone and the CLaP that are "
        "named here. It leans drafts a certain way and knows nothing itself; what is written with it is the backbone's."
    )


def _shown(value: object) -> str:
    """A stranger's value, short and without control characters."""
    return ascii(value)[:40]


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_PAIRS


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and isinstance(value, int | float) and math.isfinite(value)


def _is_share(value: object) -> bool:
    return value is None or (_is_number(value) and isinstance(value, int | float) and 0 <= value <= 1)


def _is_interval(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return all(each is not None and _is_share(each) for each in value) and bool(value[0] <= value[1])


def _is_positive(value: object) -> bool:
    return value is None or (_is_number(value) and isinstance(value, int | float) and 0 < value <= 10**6)


def _is_strength(value: object) -> bool:
    return _is_number(value) and isinstance(value, int | float) and 0 <= value <= 100


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_card(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_CARD_CHARACTERS and value.isprintable()


def _is_licence(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_LICENCE_CHARACTERS and value.isprintable()


def _is_sizes(value: object) -> bool:
    return isinstance(value, dict) and sorted(value) == list(SIZES) and all(map(_is_count, value.values()))


def _is_mix(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_MIXED
        and all(isinstance(v, list) and len(v) == 2 and _is_sha256(v[0]) and _is_share(v[1]) and v[1] for v in value)
    )


_FIRST: dict[str, Callable[[object], bool]] = {
    "backbone": _is_sha256,
    "clap": _is_sha256,
    "pairs": _is_count,
    "accuracy": _is_share,
    "created": _is_day,
    "card": _is_card,
    "capacity": lambda value: isinstance(value, str) and value in get_args(CapacityName),
}
_CHECKS: dict[int, dict[str, Callable[[object], bool]]] = {
    1: _FIRST,
    2: {
        **_FIRST,
        "licence": _is_licence,
        "sizes": _is_sizes,
        "arrays_sha256": _is_sha256,
        "accuracy_interval": _is_interval,
        "strength": _is_strength,
        "mixed_of": _is_mix,
        "epsilon": _is_positive,
    },
}
"""Every field of each version, and what it may be."""

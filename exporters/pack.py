"""A pack: one personal encoder in one file, for another PENPAL_HOME with the same backbone and CLaP.

A pack is what an encoder in `PENPAL_HOME/encoders` is too: safetensors with a JSON `about` in the header. Only its
manifest is stricter. Nothing in it is run, and nothing is believed before it was checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError
from safetensors.numpy import load

from core.errors import PackError
from core.files import write_atomically
from core.store import EncoderRecord, Store, now_utc
from exporters.manifest import SHOWN, Manifest, capacity_of, manifest_of, read_manifest
from models.learner import CapacityName
from models.personal_encoder import LAYER_NAMES, GaussianEncoder

MAX_BYTES: dict[CapacityName, int] = {
    "shift": 64_000,
    "shift and scale": 64_000,
    "contexts": 64_000,
    "head": 1_000_000,
    "layers": 40_000_000,
}
"""Far more than each capacity needs (0.6 kB, 10 kB with 32 contexts, 80 kB, 15 MB over the embedded backbone): anything
larger is something else. A head over a backbone that is 2,048 wide has 270 kB."""
MAX_HEADER_BYTES = 256_000
MAX_ARRAYS = 200
MAX_NAME_CHARACTERS = 80


@dataclass(frozen=True)
class Pack:
    """A checked pack, in memory."""

    manifest: Manifest
    encoder: GaussianEncoder
    data: bytes

    @property
    def id(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()


def export_pack(record: EncoderRecord, encoders: Path, destination: Path, *, latent_size: int) -> Manifest:
    """Writes a pack of an encoder that lies in the folder `encoders`. Raises PackError when it is damaged."""
    source = encoders / record.file
    encoder, about = GaussianEncoder.load(source, latent_size=latent_size)
    # One that came as a pack leaves with the card it came with.
    imported = record.origin == "imported"
    manifest = read_manifest(about, source=str(source)) if imported else manifest_of(record, encoder)
    encoder.save(destination, manifest.about())
    return manifest


def read_pack(
    path: Path, *, backbone_id: str, clap_id: str, latent_size: int, encoder_shapes: Mapping[str, tuple[int, ...]]
) -> Pack:
    """Raises PackError when the file is missing, damaged, not a pack, or made for another backbone or CLaP.

    `encoder_shapes`: of the frozen encoder's layers and norm, in whose place a personal encoder's own are put.
    """
    data = _bytes(path)
    header = _header(data, path)
    manifest = read_manifest(_about(header, path), source=str(path))
    for what, theirs, ours in (("backbone", manifest.backbone, backbone_id), ("CLaP", manifest.clap, clap_id)):
        if theirs != ours:
            raise PackError(
                f"{path} was made for {what} {theirs[:SHOWN]}, this home has {what} {ours[:SHOWN]}: "
                "it can only be used where it was made for."
            )
    _refuse_larger(data, MAX_BYTES[manifest.capacity], path)
    _refuse_odd_arrays(header, path)
    try:
        arrays = load(data)
    except (SafetensorError, ValueError) as error:
        raise PackError(f"{path} is damaged: its numbers cannot be read.") from error
    encoder = GaussianEncoder.from_arrays(arrays, latent_size=latent_size, source=str(path))
    _refuse_misfit(encoder, manifest, encoder_shapes, path)
    return Pack(manifest, encoder, data)


def _refuse_odd_arrays(header: dict[str, Any], path: Path) -> None:
    """What NumPy lacks, and names that should not reach a terminal; which arrays there should be is seen later."""
    if len(header) > MAX_ARRAYS:
        raise PackError(f"{path} is damaged: it holds {len(header)} arrays.")
    for name, entry in header.items():
        if not (name.isascii() and name.isprintable() and len(name) <= MAX_NAME_CHARACTERS):
            raise PackError(f"{path} is damaged: it holds {ascii(name)[:40]}.")
        if name != "__metadata__" and (not isinstance(entry, dict) or entry.get("dtype") not in ("F32", "F16")):
            raise PackError(f"{path} is damaged: {name[:40]} is not float32.")


def _refuse_misfit(
    encoder: GaussianEncoder, manifest: Manifest, encoder_shapes: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    """What the arrays' own shapes do not show."""
    holds, ranks = capacity_of(encoder), get_args(CapacityName)
    if ranks.index(holds) > ranks.index(manifest.capacity):
        raise PackError(f"{path} is damaged: it says '{manifest.capacity}' and holds '{holds}'.")
    center, hidden_size = encoder.parts.center, encoder_shapes["norm.weight"][0]
    if center is not None and len(center) != hidden_size:
        raise PackError(f"{path} is damaged: it reads {len(center)} features of a prompt, there are {hidden_size}.")
    layers = {name: array.shape for name, array in (encoder.layers or {}).items()}
    if layers and layers != {name: encoder_shapes[name] for name in encoder_shapes if name.startswith(LAYER_NAMES)}:
        raise PackError(f"{path} is damaged: its layers are not of the size that this CLaP's are.")


def import_pack(pack: Pack, store: Store, encoders: Path) -> EncoderRecord:
    """Keeps a pack as an encoder of this home, without activating it. The same pack twice is one encoder."""
    file = f"{pack.id}.safetensors"
    write_atomically(encoders / file, pack.data)
    record = EncoderRecord(
        id=pack.id,
        file=file,
        origin="imported",
        parent_id=None,
        backbone_id=pack.manifest.backbone,
        clap_id=pack.manifest.clap,
        pairs=pack.manifest.pairs,
        status="kept",
        report={name: getattr(pack.manifest, name) for name in ("accuracy", "created", "card", "capacity")},
        created_utc=now_utc(),
    )
    store.add_encoder(record)
    return record


def _bytes(path: Path) -> bytes:
    """The whole file, unless it is far too large to be a pack."""
    largest = max(MAX_BYTES.values())
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror}.") from error
    _refuse_larger(data, largest, path)
    return data


def _refuse_larger(data: bytes, size_bytes: int, path: Path) -> None:
    if len(data) > size_bytes:
        raise PackError(f"{path} is not a PenPal encoder: it is larger than {size_bytes // 1000} kB.")


def _header(data: bytes, path: Path) -> dict[str, Any]:
    """The JSON at the start of a safetensors file: its length in 8 bytes, then the text."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise PackError(f"{path} is not a PenPal encoder, or it was cut short.")
    header = _json(data[8 : 8 + size], path) if size <= MAX_HEADER_BYTES else None
    if not isinstance(header, dict):
        raise PackError(f"{path} is not a PenPal encoder, or it is damaged.")
    return header


def _about(header: dict[str, Any], path: Path) -> object:
    metadata = header.get("__metadata__")
    about = metadata.get("about") if isinstance(metadata, dict) else None
    if not isinstance(about, str):
        raise PackError(f"{path} is not a PenPal encoder: use a file that 'penpal export' wrote.")
    return _json(about.encode("utf-8", "replace"), path)


def _json(text: bytes, path: Path) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PackError(f"{path} is not a PenPal encoder, or it is damaged.") from error

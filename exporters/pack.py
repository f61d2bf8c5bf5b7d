"""A pack: one personal encoder in one file, for another PENPAL_HOME with the same backbone and CLaP.

A pack is what an encoder in `PENPAL_HOME/encoders` is too: safetensors with a JSON `about` in the header. Only its
manifest is stricter, and its arrays are in their small form (`models.compact`). Nothing in it is run, and nothing is
believed before it was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import numpy as np

from core.errors import PackError, UsageError
from core.files import write_atomically
from core.store import EncoderRecord, Store, now_utc
from exporters.manifest import MAX_PAIRS, SHOWN, Manifest, capacity_of, card, manifest_of, read_manifest, weakened
from exporters.pack_file import MAX_FILE_BYTES, PackFile, pack_file, read_bytes
from models.checkpoint import Arrays, arrays_as_bytes
from models.compact import DIFFERENCE, compacted, restored
from models.learner import CapacityName
from models.mixing import mixed, normalised
from models.personal_encoder import LAYER_NAMES, GaussianEncoder

MAX_BYTES: dict[CapacityName, int] = {
    "shift": 64_000,
    "shift and scale": 64_000,
    "contexts": 64_000,
    "head": 1_000_000,
    "layers": MAX_FILE_BYTES,
}
"""Far more than each capacity needs (2 kB, 9 kB with 32 contexts, 41 kB, 7.1 MB over the embedded backbone): anything
larger is something else."""

Seal = Callable[[bytes], bytes]
"""What is done with a file's bytes before they are written, such as locking them."""


@dataclass(frozen=True)
class Space:
    """The latent space that this home's voices lie in."""

    backbone_id: str
    clap_id: str
    latent_size: int
    layers: Arrays
    """The layers of its frozen encoder, and their last norm, by their names in an encoder with layers of its own."""

    @property
    def hidden_size(self) -> int:
        """Of the states that a head reads."""
        return len(self.layers["norm.weight"])


@dataclass(frozen=True)
class Pack:
    """A checked pack, in memory."""

    manifest: Manifest
    encoder: GaussianEncoder
    file: PackFile

    @property
    def id(self) -> str:
        """SHA-256 of the file."""
        return self.file.sha256


def export_pack(
    record: EncoderRecord,
    encoders: Path,
    destination: Path,
    *,
    space: Space,
    licence: str | None = None,
    strength: float = 1.0,
    seal: Seal = bytes,
) -> Manifest:
    """Writes a pack of an encoder that lies in the folder `encoders`, at this strength of what was learned.

    One that came as a pack leaves with the card and the licence that it came with, and unchanged at strength 1. `seal`
    has the last word about the bytes. Raises PackError when it is damaged, or has layers and is of another CLaP than
    `space`; UsageError for another licence of one that came as a pack.
    """
    source = encoders / record.file
    encoder, about = GaussianEncoder.load(source, latent_size=space.latent_size, base=space.layers)
    if record.origin == "imported":
        if licence is not None:
            raise UsageError("This voice came from somebody else: its licence stays as it is.")
        manifest = read_manifest(about, source=str(source))
        if strength == 1:
            write_atomically(destination, seal(read_bytes(source)))
            return manifest
    else:
        manifest = manifest_of(record, encoder, licence=licence)
    if encoder.layers and (record.backbone_id, record.clap_id) != (space.backbone_id, space.clap_id):
        raise PackError(  # its layers would be compared with those of a CLaP that they do not come from
            f"Voice {record.id[:SHOWN]} belongs to backbone {record.backbone_id[:SHOWN]} with CLaP "
            f"{record.clap_id[:SHOWN]}: set those again to export it."
        )
    manifest = weakened(manifest, strength, list(encoder.parts.contexts))
    return _write(destination, encoder.scaled(strength), manifest, space, seal)


def mix_packs(packs: Sequence[Pack], weights: Sequence[float], destination: Path, *, space: Space) -> Manifest:
    """Writes a pack of their weighted mean (`models.mixing`); a weight of 1 alone leaves that voice as it is.

    The licences of all of them go into the mix. Raises UsageError for weights that make no mean.
    """
    shares = normalised(weights, len(packs))
    used = [(pack, share) for pack, share in zip(packs, shares, strict=True) if share > 0]
    if len(used) == 1:
        write_atomically(destination, used[0][0].file.data)
        return used[0][0].manifest
    encoder = mixed([pack.encoder for pack, _ in used], [share for _, share in used], space.layers)
    manifests = [pack.manifest for pack, _ in used]
    licences = list(dict.fromkeys(manifest.licence or "not said" for manifest in manifests))
    made = replace(
        manifests[0],
        pairs=min(MAX_PAIRS, sum(manifest.pairs for manifest in manifests)),
        accuracy=None,
        accuracy_interval=None,
        created=datetime.now(UTC).date().isoformat(),
        strength=1.0,
        licence=licences[0] if len(licences) == 1 else _together(licences),
        mixed_of=[[pack.manifest.arrays_sha256 or pack.id, share] for pack, share in used],
        epsilon=None,
    )
    return _write(destination, encoder, replace(made, card=card(made, list(encoder.parts.contexts))), space)


def _together(licences: Sequence[str]) -> str:
    """What a mix may say of its parts' licences: all of them, or that there are too many for a line."""
    every = f"all of these together: {'; '.join(licences)}"
    return every if len(every) <= 400 else f"those of {len(licences)} voices together; ask their authors"


def _write(
    destination: Path, encoder: GaussianEncoder, manifest: Manifest, space: Space, seal: Seal = bytes
) -> Manifest:
    """Raises PackError for an encoder that no pack could hold."""
    arrays = compacted(encoder.arrays(), space.layers)
    made = manifest.describing(encoder, arrays)
    if made.sizes["bytes"] > MAX_BYTES[made.capacity]:
        raise PackError(f"This voice takes {made.sizes['bytes'] // 1_000_000} MB, which is more than a pack may have.")
    write_atomically(destination, seal(arrays_as_bytes(arrays, made.about())))
    return made


def read_pack(path: Path, space: Space) -> Pack:
    """Raises PackError when the file is missing, damaged, not a pack, or made for another backbone or CLaP."""
    return pack_of(read_bytes(path), space, source=str(path))


def pack_of(data: bytes, space: Space, *, source: str) -> Pack:
    """The pack that these bytes are. Raises as `read_pack`."""
    file, manifest = looked_at(data, source=source)
    if (why := misfit(manifest, space)) is not None:
        raise PackError(f"{source} {why}: 'penpal encoder migrate {source}' takes it along, as far as that goes.")
    stored = file.arrays()
    encoder = GaussianEncoder.from_arrays(
        restored(stored, space.layers, source=source), latent_size=space.latent_size, source=source
    )
    refuse_contradiction(encoder, manifest, stored, source)
    _refuse_misfit(encoder, space, source)
    return Pack(manifest, encoder, file)


def looked_at(data: bytes, *, source: str) -> tuple[PackFile, Manifest]:
    """What a file says about itself, whatever backbone it is for; its numbers are not read. Raises PackError."""
    file = pack_file(data, source=source)
    manifest = read_manifest(file.about, source=source)
    file.refuse_larger(MAX_BYTES[manifest.capacity])
    return file, manifest


def misfit(manifest: Manifest, space: Space) -> str | None:
    """Why it cannot be used in this home, in words; None when it can."""
    for what, theirs, ours in (
        ("backbone", manifest.backbone, space.backbone_id),
        ("CLaP", manifest.clap, space.clap_id),
    ):
        if theirs != ours:
            return f"was made for {what} {theirs[:SHOWN]}, this home has {what} {ours[:SHOWN]}"
    return None


def refuse_contradiction(encoder: GaussianEncoder, manifest: Manifest, stored: Arrays, source: str) -> None:
    """Raises PackError unless the arrays, as they are stored, are what the manifest says."""
    holds, ranks = capacity_of(encoder), get_args(CapacityName)
    if ranks.index(holds) > ranks.index(manifest.capacity):
        raise PackError(f"{source} is damaged: it says '{manifest.capacity}' and holds '{holds}'.")
    if manifest.format_version == 1:
        return
    found = manifest.describing(encoder, stored)
    if found.arrays_sha256 != manifest.arrays_sha256:
        raise PackError(f"{source} is damaged: the SHA-256 of its numbers is not the one that it names.")
    if (found.sizes, holds) != (manifest.sizes, manifest.capacity):
        raise PackError(f"{source} is damaged: its sizes are not those that it names.")


def checked_elsewhere(file: PackFile, manifest: Manifest) -> None:
    """The checks of `pack_of` that can be made without the backbone that a pack is for. Raises PackError."""
    stored, source = file.arrays(), file.source
    differences = {name for name in stored if name.startswith(DIFFERENCE)}
    # Layers in the small form are restored onto zeros: their types, shapes and ranges are checked just the same.
    base: Arrays = {
        name.removeprefix(DIFFERENCE): np.zeros(file.shapes[name], np.float16) for name in sorted(differences)
    }
    latent_size = (file.shapes.get("mean") or (0,))[0]
    if latent_size == 0:
        raise PackError(f"{source} is damaged: it holds no voice.")
    encoder = GaussianEncoder.from_arrays(restored(stored, base, source=source), latent_size=latent_size, source=source)
    refuse_contradiction(encoder, manifest, stored, source)


def _refuse_misfit(encoder: GaussianEncoder, space: Space, source: str) -> None:
    """What the arrays' own shapes do not show."""
    center = encoder.parts.center
    if center is not None and len(center) != space.hidden_size:
        raise PackError(
            f"{source} is damaged: it reads {len(center)} features of a prompt, there are {space.hidden_size}."
        )
    layers = {name: array.shape for name, array in (encoder.layers or {}).items()}
    if layers and layers != {n: array.shape for n, array in space.layers.items() if n.startswith(LAYER_NAMES)}:
        raise PackError(f"{source} is damaged: its layers are not of the size that this CLaP's are.")


def import_pack(pack: Pack, store: Store, encoders: Path, *, signed_by: str | None = None) -> EncoderRecord:
    """Keeps a pack as an encoder of this home, without activating it. The same pack twice is one encoder."""
    file = f"{pack.id}.safetensors"
    write_atomically(encoders / file, pack.file.data)
    told = ("accuracy", "accuracy_interval", "created", "card", "capacity", "licence", "epsilon")
    record = EncoderRecord(
        id=pack.id,
        file=file,
        origin="imported",
        parent_id=None,
        backbone_id=pack.manifest.backbone,
        clap_id=pack.manifest.clap,
        pairs=pack.manifest.pairs,
        status="kept",
        report={name: getattr(pack.manifest, name) for name in told} | {"signed_by": signed_by},
        created_utc=now_utc(),
    )
    store.add_encoder(record)
    return record

"""The file of a pack, before anything in it is believed: how large it is, its header, and where its arrays lie.

Safetensors: 8 bytes with the header's length, the header in JSON, the arrays one after the other. Everything is read
from the header first and compared with the file, so that nothing is allocated on a stranger's word.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from safetensors import SafetensorError
from safetensors.numpy import load

from core.errors import PackError
from models.checkpoint import Arrays

MAX_FILE_BYTES = 40_000_000
MAX_HEADER_BYTES = 256_000
MAX_ARRAYS = 200
MAX_NAME_CHARACTERS = 80
MAX_DIMENSIONS = 2
BYTES_EACH = {"F32": 4, "F16": 2, "I8": 1}
"""The types that an encoder's arrays have in a file."""
NOT_A_PACK = "is not a PenPal encoder"


@dataclass(frozen=True)
class PackFile:
    """A file whose header fits it. Whether its arrays are an encoder is not known yet."""

    source: str
    """How messages name it."""
    data: bytes
    about: object
    """The JSON that it says about itself."""
    shapes: dict[str, tuple[int, ...]]

    @property
    def sha256(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self.data).hexdigest()

    def refuse_larger(self, size_bytes: int) -> None:
        """Raises PackError for a file of more bytes."""
        refuse_larger(self.data, size_bytes, self.source)

    def arrays(self) -> Arrays:
        """Raises PackError when the numbers cannot be read."""
        try:
            return load(self.data)
        except (SafetensorError, ValueError) as error:
            raise PackError(f"{self.source} is damaged: its numbers cannot be read.") from error


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises PackError when it is missing, or far too large to be a pack."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror}.") from error
    refuse_larger(data, MAX_FILE_BYTES, str(path))
    return data


def refuse_larger(data: bytes, size_bytes: int, source: str) -> None:
    """Raises PackError for more bytes."""
    if len(data) > size_bytes:
        raise PackError(f"{source} {NOT_A_PACK}: it is larger than {size_bytes // 1000} kB.")


def pack_file(data: bytes, *, source: str) -> PackFile:
    """Raises PackError when this is no safetensors file with an `about`, or when it contradicts itself."""
    refuse_larger(data, MAX_FILE_BYTES, source)
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise PackError(f"{source} {NOT_A_PACK}, or it was cut short.")
    header = _json(data[8 : 8 + size], source) if size <= MAX_HEADER_BYTES else None
    if not isinstance(header, dict):
        raise PackError(f"{source} {NOT_A_PACK}, or it is damaged.")
    metadata = header.pop("__metadata__", None)
    about = metadata.get("about") if isinstance(metadata, dict) else None
    if not isinstance(about, str):
        raise PackError(f"{source} {NOT_A_PACK}: use a file that 'penpal export' wrote.")
    said = _json(about.encode("utf-8", "replace"), source)
    return PackFile(source, data, said, _shapes(header, len(data) - 8 - size, source))


def arrays_sha256(arrays: Arrays) -> str:
    """Of names, types, shapes and numbers, in the order of the names: the same however a file lays them out."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}\n".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _shapes(header: dict[str, Any], room_bytes: int, source: str) -> dict[str, tuple[int, ...]]:
    """Of every array. Raises PackError unless they fill the file without a gap or an overlap."""
    if len(header) > MAX_ARRAYS:
        raise PackError(f"{source} is damaged: it holds {len(header)} arrays.")
    shapes: dict[str, tuple[int, ...]] = {}
    places: list[tuple[int, int]] = []
    for name, entry in header.items():
        if not (name.isascii() and name.isprintable() and len(name) <= MAX_NAME_CHARACTERS):
            raise PackError(f"{source} is damaged: it holds {ascii(name)[:40]}.")
        kind = entry.get("dtype") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or kind not in BYTES_EACH:
            raise PackError(f"{source} is damaged: {name[:40]} is of a type that no encoder has.")
        shape, place = entry.get("shape"), entry.get("data_offsets")
        if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS or not _are_sizes(place) or len(place) != 2:
            raise PackError(f"{source} is damaged: {name[:40]} has no place in it.")
        start, end = place
        if end - start != math.prod(shape) * BYTES_EACH[kind]:
            raise PackError(f"{source} is damaged: {name[:40]} is not as large as it says.")
        shapes[name] = tuple(shape)
        places.append((start, end))
    reached = 0
    for start, end in sorted(places):
        if start != reached:
            raise PackError(f"{source} is damaged: its arrays overlap, or there is a gap between them.")
        reached = end
    if reached != room_bytes:
        raise PackError(f"{source} is damaged: its arrays take {reached} bytes, it has {room_bytes}.")
    return shapes


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and 0 <= v <= MAX_FILE_BYTES for v in value)


def _json(text: bytes, source: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise PackError(f"{source} {NOT_A_PACK}, or it is damaged.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: two readers may disagree on which of two counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found

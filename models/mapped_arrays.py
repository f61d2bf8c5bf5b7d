"""Weights that stay in their file: each part is in memory from when it is used until it is let go."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from models.checkpoint import Arrays, read_arrays


def map_arrays(path: Path) -> tuple[Arrays, dict[str, Any], mmap.mmap]:
    """As `read_arrays`, and the mapping that holds the arrays. Raises BackboneError alike.

    Whoever replaces such a file gives its name to a new one, as `write_atomically` does, and this one stays as it was.
    """
    checked, about = read_arrays(path)
    with path.open("rb") as file:
        # Of its own pages, since torch takes only arrays that could be written.
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    start = 8 + int.from_bytes(mapping[:8], "little")
    header = json.loads(mapping[8:start])
    arrays: Arrays = {}
    for name, array in checked.items():
        first = start + header[name]["data_offsets"][0]
        arrays[name] = np.frombuffer(mapping, array.dtype, array.size, first).reshape(array.shape)
    return arrays, about, mapping


def let_go(mapping: mmap.mmap) -> None:
    """Takes out of memory what was read of the file; the next use reads it again. Where the system can do that."""
    if hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)

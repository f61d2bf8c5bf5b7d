"""Reads and writes weights: safetensors plus a readable JSON of what they are, never a pickle.

Every write goes to a temporary file first, is synced, and then takes the final name, so a killed process leaves the
old file or the new one, never half of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from core.errors import BackboneError
from core.files import write_atomically

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Safetensors with one JSON string, `about`, in its header."""
    write_atomically(path, arrays_as_bytes(arrays, about))


def arrays_as_bytes(arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> bytes:
    """The bytes of such a file."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(contiguous, metadata={"about": json.dumps(about, sort_keys=True)})


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and `about`. Raises BackboneError when the file is missing, damaged, or of numbers that NumPy lacks."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise BackboneError(f"{path} is missing or damaged ({error}).") from error
    if not isinstance(about, dict):
        raise BackboneError(f"{path} is damaged: it does not say what it is.")
    return arrays, about


def read_cache(path: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """A file that can be made anew: None when it is missing or damaged."""
    try:
        return read_arrays(path)
    except BackboneError:
        return None

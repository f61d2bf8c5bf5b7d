"""A personal encoder's arrays in few bytes, for a file that travels: what the CLaP has already is left out.

Layers are a small step away from the CLaP's own, so only the difference is kept: int8, with the largest step of each
row as float16. A head is kept as float16. All else is small and stays as it is. Knows nothing of files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import PackError
from models.checkpoint import Arrays

DIFFERENCE, RANGE = "difference.", "range."
"""How the names begin of what stands for a layer's array: int8 of its shape, and float16, one for each row."""
STEPS = 127
"""Of int8, either way."""


def compacted(arrays: Arrays, base: Arrays) -> Arrays:
    """The arrays of an encoder (`GaussianEncoder.arrays`) in their small form; `base`: the CLaP's own layers."""
    found: Arrays = {}
    for name, array in arrays.items():
        if name in base:
            found[f"{DIFFERENCE}{name}"], found[f"{RANGE}{name}"] = _quantized(array, base[name])
        else:
            found[name] = array.astype(np.float16) if name == "head" else array
    return found


@np.errstate(invalid="ignore", over="ignore")  # what is no number is refused where all arrays are
def restored(stored: Arrays, base: Arrays, *, source: str) -> Arrays:
    """The arrays of an encoder from either form. Raises PackError, naming the source, when they do not belong to it.

    `base`: the layers of the CLaP that it was made for; without them only an encoder without layers is restored.
    """
    found: Arrays = {}
    for name, array in stored.items():
        if name.startswith(DIFFERENCE):
            plain = name.removeprefix(DIFFERENCE)
            found[plain] = _dequantized(array, stored.get(f"{RANGE}{plain}"), base.get(plain), f"{source}: {name}")
        elif not name.startswith(RANGE):
            found[name] = array.astype(np.float32) if name == "head" and array.dtype == np.float16 else array
    alone = [n for n in stored if n.startswith(RANGE) and n.replace(RANGE, DIFFERENCE, 1) not in stored]
    if alone:
        raise PackError(f"{source} is damaged: it holds {ascii(alone[0])[1:-1][:80]} without what it belongs to.")
    return found


def _quantized(array: NDArray[Any], base: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """int8 of the array's shape, and float16 [rows]; a vector is one row."""
    step = array.astype(np.float32) - base.astype(np.float32)
    rows = step.reshape(-1, step.shape[-1])
    largest = np.abs(rows).max(1).astype(np.float16)
    # A float16 below 6e-8 is 0: such a row has not moved.
    share = rows / np.where(largest > 0, largest, 1).astype(np.float32)[:, None]
    share[largest == 0] = 0
    return np.clip(np.rint(share * STEPS), -STEPS, STEPS).astype(np.int8).reshape(step.shape), largest


def _dequantized(
    steps: NDArray[Any], largest: NDArray[Any] | None, base: NDArray[Any] | None, source: str
) -> NDArray[np.float16]:
    if base is None or steps.shape != base.shape or not steps.shape or not steps.size:
        raise PackError(f"{source[:200]} is of a layer that this CLaP does not have: its layers are of another size.")
    rows = steps.size // steps.shape[-1]
    if steps.dtype != np.int8 or largest is None or largest.dtype != np.float16 or largest.shape != (rows,):
        raise PackError(f"{source[:200]} is damaged: it is not int8 with a float16 for each row.")
    factor = largest.astype(np.float32) / STEPS
    if not (factor >= 0).all() or not np.isfinite(factor).all():
        raise PackError(f"{source[:200]} holds values that no training makes.")
    step = steps.reshape(rows, -1).astype(np.float32) * factor[:, None]
    found: NDArray[np.float16] = (base.astype(np.float32) + step.reshape(base.shape)).astype(np.float16)
    return found

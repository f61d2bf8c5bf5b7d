"""The same control vector through llama.cpp's own support for it, as a user of repeng would run it."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import numpy as np
from llama_cpp import llama_cpp as lib
from torch import Tensor

from core.errors import BackboneError
from models.llama_runtime import LlamaContext


def steer(context: LlamaContext, vectors: Mapping[int, Tensor]) -> None:
    """**Changes the context**: adds each vector [H] to the output of its layer, until `release`.

    llama.cpp takes one buffer [L - 1, H] from layer 1 on; layers without a vector get zeros. Raises BackboneError when
    it does not take them, and ValueError for a vector of layer 0, which it cannot steer.
    """
    if 0 in vectors:
        raise ValueError("llama.cpp steers from layer 1 on.")
    layers, hidden = context.model.layers, len(next(iter(vectors.values())))
    buffer = np.zeros((layers - 1, hidden), np.float32)
    for layer, vector in vectors.items():
        buffer[layer - 1] = vector.float().cpu().numpy()
    pointer = buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    _set(context, pointer, buffer.size, hidden, layers - 1)


def release(context: LlamaContext) -> None:
    """The context drafts as the backbone does again."""
    _set(context, None, 0, 0, 0)


def _set(context: LlamaContext, data: object, size: int, hidden: int, last: int) -> None:
    if status := lib.llama_set_adapter_cvec(context._context, data, size, hidden, 1, last):
        raise BackboneError(f"llama.cpp did not take the control vector (status {status}).")

"""A latent as key/value cache entries of llama.cpp: the adapter without torch, and the state blob they travel in.

llama.cpp offers its cache as a private binary layout (`llama_state_seq_get_data`). `StateLayout` parses a template
blob field by field, refuses what it does not know, and then writes only positions, keys and values.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import LatentStateError
from core.protocols import Latent
from models.checkpoint import Arrays, read_cache, write_arrays
from models.gguf_header import read_by_gguf

Floats = NDArray[np.float32]
STATE_MAGIC = 0xAF143CD8
"""What llama.cpp writes first in a sequence's state; it changes with the format."""
GGML_TYPE_F16 = 1
HALF_BYTES = 2


class LatentAdapter:
    """The adapter in NumPy, with keys in the GGUF's order and rotated. Equal to `models.adapter` (a test compares).

    In Llama-family GGUFs the two RoPE halves of a head are interleaved (dimension i and i + d/2 become 2i and 2i + 1);
    the projections are read from the GGUF itself, so they already are.
    """

    def __init__(self, clap: Arrays, projections: Arrays, *, head_size: int, rope_base: float) -> None:
        self._clap = {
            name.removeprefix("adapter."): array.astype(np.float32)
            for name, array in clap.items()
            if name.startswith("adapter.")
        }
        self._norm = (projections["norm"] * self._clap["gain"]).astype(np.float32)
        self._projections = np.stack([projections["key"], projections["value"]], 1).astype(np.float32)
        self.layers, self.hidden = self._norm.shape
        self.positions = self._clap["bias"].shape[1] // self.hidden
        self.latent_size = self._clap["inp.weight"].shape[1]
        self.head_size = head_size
        self._frequencies = rope_base ** (-np.arange(0, head_size, 2, dtype=np.float64) / head_size)

    def entries(self, z: Latent, start: int) -> tuple[Floats, Floats]:
        """[D] -> keys and values [L, P, G*d] for cache positions start .. start+P-1."""
        w = self._clap
        inner = gelu(w["inp.weight"] @ z.astype(np.float32) + w["inp.bias"])
        x = (np.matmul(inner, w["out"]) + w["bias"]).reshape(self.layers, -1, self.hidden)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * self._norm[:, None]
        # Matrix products, which numpy hands to its BLAS; as an einsum it takes three times as long.
        both = np.matmul(x[:, None], self._projections.swapaxes(-1, -2))  # [L, 2, P, G*d]
        return self._rotated(both[:, 0], start), both[:, 1]

    def _rotated(self, keys: Floats, start: int) -> Floats:
        """RoPE (arXiv 2104.09864) on interleaved dimensions, at the latent's own positions."""
        angles = (start + np.arange(self.positions))[:, None] * self._frequencies  # [P, d/2]
        cos, sin = (f(angles).astype(np.float32)[None, :, None] for f in (np.cos, np.sin))
        heads = keys.reshape(self.layers, self.positions, -1, self.head_size)
        even, odd = heads[..., 0::2], heads[..., 1::2]
        return np.stack([even * cos - odd * sin, odd * cos + even * sin], -1).reshape(keys.shape)


def gelu(x: Floats) -> Floats:
    """The exact GELU of torch: x times the Gaussian distribution function."""
    from math import erf

    share: Floats = 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2.0))).astype(np.float32)
    return x * share


def backbone_projections(gguf: Path, cache_file: Path) -> tuple[Arrays, dict[str, Any]]:
    """Norms [L, H], key and value projections [L, G*d, H] of a GGUF, and its RoPE base and head size.

    Parsing a GGUF's vocabulary takes a second at every start, so the result is kept beside the database.
    """
    if (cached := read_cache(cache_file)) is not None:
        return cached
    from gguf import GGUFReader
    from gguf.quants import dequantize

    def stack(name: str) -> Floats:
        parts = [tensors[f"blk.{i}.{name}.weight"] for i in range(layers)]
        return np.stack([dequantize(t.data, t.tensor_type) for t in parts]).astype(np.float32)

    with read_by_gguf(gguf):
        reader = GGUFReader(gguf)
        tensors = {t.name: t for t in reader.tensors}
        layers = int(reader.fields["llama.block_count"].contents())
        arrays: Arrays = {"norm": stack("attn_norm"), "key": stack("attn_k"), "value": stack("attn_v")}
        about = {
            "rope_base": float(reader.fields["llama.rope.freq_base"].contents()),
            "head_size": int(reader.fields["llama.rope.dimension_count"].contents()),
        }
    write_arrays(cache_file, arrays, about)
    return arrays, about


@dataclass(frozen=True)
class StateLayout:
    """Where positions, keys and values stand in the state blob of a sequence of P cells."""

    template: bytes
    sequence_offsets: tuple[int, ...]
    position_offsets: tuple[int, ...]
    key_offsets: tuple[int, ...]
    value_offsets: tuple[int, ...]
    values_transposed: bool
    row_bytes: int

    @classmethod
    def parse(cls, template: bytes, *, sequence: int, layers: int, cells: int, row_values: int) -> StateLayout:
        """Reads the blob of a sequence of `cells` tokens. Raises LatentStateError at the first unknown field.

        Layout (llama-cpp-python 0.3.36): u32 magic, u32 sequence, u32 streams, u32 cells; per cell i32 position,
        u32 count and i32 ids of sequences; u32 transposed, u32 layers; per layer i32 type, u64 row bytes, key rows;
        per layer the values alike, or transposed: i32 type, u32 element bytes, u32 rows, rows of `cells` elements.
        """
        reader = _Reader(template)
        row_bytes = row_values * HALF_BYTES
        reader.expect("<I", STATE_MAGIC, "magic")
        sequences = [reader.offset]
        reader.expect("<I", sequence, "sequence")
        reader.expect("<I", 1, "streams")
        reader.expect("<I", cells, "cells")
        positions = []
        for cell in range(cells):
            positions.append(reader.offset)
            reader.expect("<i", cell, "position")
            reader.expect("<I", 1, "sequences of a cell")
            sequences.append(reader.offset)
            reader.expect("<i", sequence, "sequence of a cell")
        (transposed,) = reader.take("<I")
        if transposed not in (0, 1):
            raise LatentStateError(f"llama.cpp's cache state has {transposed} where 0 or 1 was expected.")
        reader.expect("<I", layers, "layers")
        keys, values = [], []
        for _ in range(layers):
            reader.expect("<i", GGML_TYPE_F16, "key type")
            reader.expect("<Q", row_bytes, "key row bytes")
            keys.append(reader.offset)
            reader.skip(cells * row_bytes)
        for _ in range(layers):
            reader.expect("<i", GGML_TYPE_F16, "value type")
            if transposed:
                reader.expect("<I", HALF_BYTES, "value element bytes")
                reader.expect("<I", row_values, "value rows")
            else:
                reader.expect("<Q", row_bytes, "value row bytes")
            values.append(reader.offset)
            reader.skip(cells * row_bytes)
        if reader.offset != len(template):
            raise LatentStateError(f"llama.cpp's cache state has {len(template) - reader.offset} bytes too many.")
        return cls(
            template,
            sequence_offsets=tuple(sequences),
            position_offsets=tuple(positions),
            key_offsets=tuple(keys),
            value_offsets=tuple(values),
            values_transposed=bool(transposed),
            row_bytes=row_bytes,
        )

    def filled(self, keys: Floats, values: Floats, *, start: int, sequence: int) -> bytes:
        """The state of a sequence with keys and values [L, P, G*d] as f16 at positions start .. start+P-1."""
        blob = bytearray(self.template)
        for offset in self.sequence_offsets:
            struct.pack_into("<I", blob, offset, sequence)
        for i, offset in enumerate(self.position_offsets):
            struct.pack_into("<i", blob, offset, start + i)
        for layer, (key_at, value_at) in enumerate(zip(self.key_offsets, self.value_offsets, strict=True)):
            value = values[layer].T if self.values_transposed else values[layer]
            for offset, rows in ((key_at, keys[layer]), (value_at, value)):
                data = np.ascontiguousarray(rows, dtype=np.float16).tobytes()
                blob[offset : offset + len(data)] = data
        return bytes(blob)


class _Reader:
    """A cursor over a blob; every surprise is a LatentStateError that names the field."""

    def __init__(self, blob: bytes) -> None:
        self._blob, self.offset = blob, 0

    def take(self, kind: str) -> tuple[int, ...]:
        size = struct.calcsize(kind)
        if self.offset + size > len(self._blob):
            raise LatentStateError(f"llama.cpp's cache state ends early, at byte {len(self._blob)}.")
        values = struct.unpack_from(kind, self._blob, self.offset)
        self.offset += size
        return values

    def expect(self, kind: str, value: int, name: str) -> None:
        (found,) = self.take(kind)
        if found != value:
            raise LatentStateError(f"llama.cpp's cache state has {name} {found}, {value} was expected.")

    def skip(self, size: int) -> None:
        if self.offset + size > len(self._blob):
            raise LatentStateError(f"llama.cpp's cache state ends early, at byte {len(self._blob)}.")
        self.offset += size

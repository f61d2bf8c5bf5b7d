"""Whether a file is a GGUF from its first byte to its last tensor, before any library believes what it says.

The `gguf` package makes a list entry for each of the 2**64 values that a header may claim, and llama.cpp ends the
process where an assertion fails. Here every count is compared with what the file has room for. Reads no tensor.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import BackboneError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_FIELDS = 10_000
MAX_TENSORS = 100_000
MAX_NAME_BYTES = 65_535
MAX_STRINGS = 4_000_000
"""Of one list: the largest vocabularies have a quarter of a million words."""
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 1 << 20
STRING, ARRAY, BOOL = 8, 9, 7
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, BOOL: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value, by its type."""
UINT32 = 4
ALIGNMENT = b"general.alignment"


def check_gguf(path: Path) -> None:
    """Raises BackboneError, saying what is wrong, unless the header is whole and all tensors begin inside the file."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size < 24 or file.read(4) != MAGIC:
                raise BackboneError(f"{path} is not a GGUF file.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _Header(data).check()
    except OSError as error:
        raise BackboneError(f"{path} cannot be read: {error.strerror}.") from error
    except _DamagedError as error:
        raise BackboneError(f"{path} is a damaged GGUF file: {error}.") from error


@contextmanager
def read_by_gguf(path: Path) -> Iterator[None]:
    """What the `gguf` package, and whoever looks for fields, stumbles over in an odd file, as one BackboneError."""
    try:
        yield
    except (ValueError, TypeError, LookupError, StopIteration, OverflowError, MemoryError, struct.error) as error:
        raise BackboneError(f"{path} is not a GGUF file that PenPal can read ({type(error).__name__}).") from error


class _DamagedError(Exception):
    """What is wrong, in words."""


class _Header:
    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at, self._end = data, len(MAGIC), len(data)
        self._alignment = 32

    def check(self) -> None:
        if (version := self._number("<I")) not in VERSIONS:
            raise _DamagedError(f"it says that it has version {version}")
        tensors, fields = self._number("<Q"), self._number("<Q")
        if tensors > MAX_TENSORS or fields > MAX_FIELDS:
            raise _DamagedError(f"it says that it has {fields} fields and {tensors} tensors")
        for _ in range(fields):
            self._field()
        offsets = [self._tensor() for _ in range(tensors)]
        start = -(-self._at // self._alignment) * self._alignment
        if offsets and start + max(offsets) >= self._end:
            raise _DamagedError("its tensors are cut off")

    def _field(self) -> None:
        key, kind, value = self._name(), self._number("<I"), self._at
        if kind == ARRAY:
            self._array()
        else:
            self._skip_value(kind)
        if key == ALIGNMENT:
            self._alignment = struct.unpack_from("<I", self._data, value)[0] if kind == UINT32 else 0
            if not 0 < self._alignment <= MAX_ALIGNMENT:
                raise _DamagedError("its alignment makes no sense")

    def _array(self) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        if kind in SIZES:
            self._skip(count * SIZES[kind])
        elif kind == STRING and count <= MAX_STRINGS:
            for _ in range(count):
                self._skip(self._number("<Q"))
        else:
            raise _DamagedError(f"it has a list of {count} values of type {kind}")

    def _tensor(self) -> int:
        """Where it begins, after the header."""
        self._name()
        dimensions = self._number("<I")
        if dimensions > MAX_DIMENSIONS:
            raise _DamagedError(f"a tensor has {dimensions} dimensions")
        sizes = [self._number("<Q") for _ in range(dimensions)]
        self._number("<I")
        offset = self._number("<Q")
        if math.prod(sizes) > 8 * self._end or offset > self._end:  # a weight takes more than a bit
            raise _DamagedError("a tensor is larger than the file")
        return offset

    def _name(self) -> bytes:
        length = self._number("<Q")
        if length > MAX_NAME_BYTES:
            raise _DamagedError(f"a name has {length} bytes")
        start = self._at
        self._skip(length)
        return self._data[start : self._at]

    def _skip_value(self, kind: int) -> None:
        if kind == STRING:
            self._skip(self._number("<Q"))
        elif kind in SIZES:
            self._skip(SIZES[kind])
        else:
            raise _DamagedError(f"it has a value of the unknown type {kind}")

    def _number(self, form: str) -> int:
        start = self._at
        self._skip(struct.calcsize(form))
        return int(struct.unpack_from(form, self._data, start)[0])

    def _skip(self, size: int) -> None:
        if size > self._end - self._at:
            raise _DamagedError("it is cut off")
        self._at += size

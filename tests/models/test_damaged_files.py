"""Weights that somebody brings along and that are not what they claim to be: one clear line, never more than that.

More of them: `PENPAL_FUZZ_EXAMPLES=100000 pytest -m slow tests/models/test_damaged_files.py`.
"""

from __future__ import annotations

import json
import struct
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from core.errors import BackboneError
from models.backbone import Backbone, open_backbone
from models.checkpoint import read_arrays
from tests.spoiled import ODD_NUMBERS, QUICK, THOROUGH, spoiled

SECONDS, MEGABYTES = 5.0, 32
"""For one file: a header that claims 2**63 values must not be believed."""
WEIGHTS = save(
    {"adapter.inp.weight": np.ones((4, 3), np.float16), "parity.log_probs": np.zeros(5, np.float32)},
    metadata={"about": json.dumps({"backbone": "abc", "config": {"steps": 3}})},
)


@dataclass(frozen=True)
class Whole:
    """A sound file, which failing examples need not print."""

    data: bytes = field(repr=False)


@pytest.fixture(scope="session")
def gguf(tiny_backbone: Backbone) -> Whole:
    return Whole(tiny_backbone.path.read_bytes())


def opens_or_says_why(open_it: Callable[[Path], object], path: Path, data: bytes) -> str:
    """What was said in one line; empty when it opened. Anything else fails, and so does much time or memory."""
    path.write_bytes(data)
    tracemalloc.start()
    started = time.monotonic()
    try:
        open_it(path)
        said = ""
    except BackboneError as error:
        said = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.monotonic() - started < SECONDS
    assert peak < MEGABYTES * 1_000_000 + 3 * len(data)
    assert "\n" not in said
    return said


def header(**numbers: int) -> bytes:
    """The first bytes of a GGUF."""
    values = {"version": 3, "tensors": 0, "fields": 0} | numbers
    return b"GGUF" + struct.pack("<IQQ", values["version"], values["tensors"], values["fields"])


def value(kind: int, content: bytes, key: bytes = b"general.name") -> bytes:
    return struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + content


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a GGUF file"),
        (b"PK\x03\x04" + bytes(40), "not a GGUF file"),
        (header(version=99), "version 99"),
        (header(tensors=2**63), f"{2**63} tensors"),
        (header(fields=2**64 - 1), "fields"),
        (header(fields=1), "cut off"),
        (header(fields=1) + struct.pack("<Q", 2**62), "a name has"),
        (header(fields=1) + value(77, b""), "unknown type 77"),
        (header(fields=1) + value(8, struct.pack("<Q", 2**63)), "cut off"),
        (header(fields=1) + value(9, struct.pack("<IQ", 0, 2**60)), "cut off"),
        (header(fields=1) + value(9, struct.pack("<IQ", 8, 2**60)), f"a list of {2**60} values"),
        (header(fields=1) + value(9, struct.pack("<IQ", 9, 1)), "a list of 1 values of type 9"),
        (header(fields=1) + value(4, struct.pack("<I", 0), b"general.alignment"), "alignment makes no sense"),
        (header(tensors=1) + struct.pack("<QI", 0, 2**31), "dimensions"),
        (header(tensors=1) + struct.pack("<QIQIQ", 0, 1, 2**62, 0, 0), "larger than the file"),
        (header(tensors=1) + struct.pack("<QIQIQ", 0, 1, 1, 0, 0), "tensors are cut off"),
    ],
)
def test_a_header_that_lies_is_told_in_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    assert said in opens_or_says_why(open_backbone, tmp_path / "odd.gguf", data)


def test_a_folder_and_a_missing_file_are_no_backbone(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", Path("a\0b")):
        with pytest.raises(BackboneError, match="No backbone at"):
            open_backbone(path)


@pytest.mark.parametrize("length", [4, 23, 24, 60, 1000])
def test_a_backbone_that_is_cut_off_anywhere_in_its_header_is_refused(tmp_path: Path, gguf: Whole, length: int) -> None:
    assert opens_or_says_why(open_backbone, tmp_path / "cut.gguf", gguf.data[:length])


def _metadata(path: Path) -> None:
    _ = open_backbone(path).metadata


@given(data=st.data())
@QUICK
def test_a_spoiled_backbone_opens_or_says_why(
    tmp_path_factory: pytest.TempPathFactory, gguf: Whole, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoiled.gguf"
    opens_or_says_why(_metadata, path, data.draw(spoiled(gguf.data, start=12_000)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(data=st.data())
@THOROUGH
def test_spoiled_backbones_open_or_say_why(
    tmp_path_factory: pytest.TempPathFactory, gguf: Whole, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoiled.gguf"
    opens_or_says_why(_metadata, path, data.draw(spoiled(gguf.data, start=12_000)))


# --- safetensors ------------------------------------------------------------------------------------------------


def safetensors_of(head: str) -> bytes:
    return struct.pack("<Q", len(head.encode())) + head.encode() + bytes(16)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "[]",
        "{}" * 2,
        '{"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 4]}}',
        '{"__metadata__": {"about": "["}}',
        '{"__metadata__": {"about": "[1, 2]"}}',
        json.dumps({"__metadata__": {"about": "[" * 100_000}}),
    ],
)
def test_odd_weights_are_one_line(tmp_path: Path, head: str) -> None:
    said = opens_or_says_why(read_arrays, tmp_path / "odd.safetensors", safetensors_of(head))
    assert "odd.safetensors" in said


@pytest.mark.parametrize("size", ODD_NUMBERS)
def test_the_length_of_a_header_is_not_believed(tmp_path: Path, size: int) -> None:
    assert opens_or_says_why(read_arrays, tmp_path / "odd", struct.pack("<Q", size) + b"{}" + bytes(64))


@given(data=spoiled(WEIGHTS))
@QUICK
def test_a_spoiled_weights_file_opens_or_says_why(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    opens_or_says_why(read_arrays, tmp_path_factory.getbasetemp() / "spoiled.safetensors", data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(data=spoiled(WEIGHTS))
@THOROUGH
def test_spoiled_weights_files_open_or_say_why(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    opens_or_says_why(read_arrays, tmp_path_factory.getbasetemp() / "spoiled.safetensors", data)

"""Packs that somebody spoiled, on purpose or not: one clear line, or a sane voice; never much memory, never a file.

More of them: `PENPAL_FUZZ_EXAMPLES=100000 pytest -m slow tests/exporters/test_pack_fuzz.py`.
"""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from core.errors import PackError
from exporters.manifest import Manifest
from exporters.pack import MAX_BYTES, checked_elsewhere, looked_at, pack_of, read_pack
from models.compact import compacted
from models.personal_encoder import MAX_ARRAY_NORM, GaussianEncoder
from tests.exporters.test_pack import CONTEXTS, GOOD, HEAD, LAYERS, SIZE, SPACE

EXAMPLES = int(os.environ.get("PENPAL_FUZZ_EXAMPLES", "3000"))
"""Read here: the tests' own environment has no PENPAL_ variables."""
BOUND_BYTES = 16_000_000
"""What reading may allocate besides three times the file: the JSON of a header of 256 kB as Python objects, mostly."""


def pack_bytes(arrays: dict[str, Any], version: int = 2) -> bytes:
    encoder = GaussianEncoder.from_arrays(arrays, latent_size=SIZE, source="test")
    manifest = Manifest(SPACE.backbone_id, SPACE.clap_id, 12, 0.75, "2026-11-20", "A voice.", format_version=version,
                        capacity="layers")  # fmt: skip
    stored = encoder.arrays()
    if version == 2:
        stored = compacted(stored, SPACE.layers)
        manifest = manifest.describing(encoder, stored)
    return save(stored, metadata={"about": json.dumps(manifest.about())})


WHOLE = [pack_bytes(each, version) for version in (1, 2) for each in (GOOD, GOOD | CONTEXTS, GOOD | HEAD | LAYERS)]


def parts_of(data: bytes) -> tuple[str, bytes]:
    size = int.from_bytes(data[:8], "little")
    return data[8 : 8 + size].decode(), data[8 + size :]


def file_of(header: str, numbers: bytes) -> bytes:
    return struct.pack("<Q", len(header.encode())) + header.encode() + numbers


ODD_NAMES = st.sampled_from(
    ["../../etc/passwd", "/etc/passwd", "context.../x", "context.a/b", "head", "mean", "center", "C:\\x", "\x00",
     "\x1b[2J", "difference.mean", "range.mean", "layers.0", "layers.9.x", "__metadata__", "", "x" * 5000]
)  # fmt: skip
ODD_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20), ODD_NAMES,
    st.sampled_from(["F64", "BF16", "I8", "F32", "BOOL", "U64", "F8_E4M3"]),
    st.lists(st.integers(-5, 2**64), max_size=4), st.just({}), st.just([[[[]]]]), st.just([0, 2**63]),
    st.just([2**40, 4]),
)  # fmt: skip


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A whole pack after one to three mishaps."""
    data = draw(st.sampled_from(WHOLE))
    for mishap in draw(st.lists(st.sampled_from(MISHAPS), min_size=1, max_size=3)):
        data = mishap(draw, data)
    return data


def cut(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def lengthened(draw: st.DrawFn, data: bytes) -> bytes:
    return data + bytes(draw(st.integers(1, 100_000)))


def flipped(draw: st.DrawFn, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 8))):
        if changed:
            changed[draw(st.integers(0, len(changed) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)


def header_size_changed(draw: st.DrawFn, data: bytes) -> bytes:
    return struct.pack("<Q", draw(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 3000)))) + data[8:]


def numbers_changed(draw: st.DrawFn, data: bytes) -> bytes:
    """Not a number, infinity, or a huge one somewhere among the numbers."""
    odd = draw(st.sampled_from([np.nan, np.inf, -np.inf, 3e38, 1e-45]))
    kind = draw(st.sampled_from([np.float16, np.float32]))
    with np.errstate(over="ignore"):
        value = np.array(odd).astype(kind).tobytes()
    at = draw(st.integers(0, max(0, len(data) - 8)))
    return data[:at] + value + data[at + len(value) :]


def header_edited(draw: st.DrawFn, data: bytes) -> bytes:
    try:
        text, numbers = parts_of(data)
        header = json.loads(text)
        name = draw(st.sampled_from(sorted(header)))
        entry = header[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return data
    if not isinstance(header, dict):
        return data
    kind = draw(st.sampled_from(["rename", "field", "replace", "drop", "repeat", "nest", "about", "pad", "many"]))
    if kind == "rename":
        header[draw(ODD_NAMES)] = header.pop(name)
    elif kind == "field" and isinstance(entry, dict):
        header[name] = {**entry, draw(st.sampled_from(["dtype", "shape", "data_offsets", "x"])): draw(ODD_VALUES)}
    elif kind == "replace":
        header[name] = draw(ODD_VALUES)
    elif kind == "drop":
        del header[name]
    elif kind == "repeat":
        return file_of(text.rstrip()[:-1] + f", {json.dumps(name)}: {json.dumps(entry)}}}", numbers)
    elif kind == "nest":
        deep = draw(st.integers(10, 30_000))
        return file_of(text.rstrip()[:-1] + f', "deep": {"[" * deep}{"]" * deep}}}', numbers)
    elif kind == "pad":
        return file_of(text + " " * draw(st.integers(0, 300_000)), numbers)
    elif kind == "many":
        place = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        header |= {f"context.{i}": place for i in range(draw(st.integers(1, 400)))}
    elif kind == "about":
        return about_edited(draw, header, numbers)
    return file_of(json.dumps(header), numbers)


def about_edited(draw: st.DrawFn, header: dict[str, Any], numbers: bytes) -> bytes:
    """Another manifest; at the end of the road it is right about its numbers, so that more than the hash is asked."""
    try:
        about = json.loads(header["__metadata__"]["about"])
        field = draw(st.sampled_from([*sorted(about), "unknown"]))
        about[field] = draw(st.one_of(ODD_VALUES, st.sampled_from([1, 2, 3, "shift", "head", "layers"])))
    except (ValueError, KeyError, TypeError, RecursionError):
        return file_of(json.dumps(header), numbers)
    text = draw(st.sampled_from([json.dumps(about), json.dumps(about)[:-1], "[" * 20_000, "null"]))
    return file_of(json.dumps({**header, "__metadata__": {"about": text}}), numbers)


MISHAPS: list[Callable[[st.DrawFn, bytes], bytes]] = [
    cut, lengthened, flipped, header_size_changed, numbers_changed, header_edited, header_edited, header_edited,
]  # fmt: skip


def ask(data: bytes) -> None:
    """Everything that may be done with a stranger's file before it is kept."""
    try:
        file, manifest = looked_at(data, source="x.penpal")
        checked_elsewhere(file, manifest)
    except PackError as error:
        one_clear_line(error)
    try:
        encoder = pack_of(data, SPACE, source="x.penpal").encoder
    except PackError as error:
        one_clear_line(error)
        return
    arrays = encoder.arrays()
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert np.linalg.norm(arrays["mean"]) <= MAX_ARRAY_NORM + 1e-3


def one_clear_line(error: PackError) -> None:
    told = str(error)
    assert told.isprintable()
    assert len(told) < 400


def fuzz(examples: int) -> None:
    # `derandomize`: what fails in CI fails here. A deadline would fail on a busy machine.
    @settings(max_examples=examples, deadline=None, derandomize=examples < 1000, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(spoiled())
    def spoil(data: bytes) -> None:
        ask(data)

    spoil()


def test_a_spoiled_pack_is_one_clear_line_or_a_sane_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    fuzz(300)
    assert [path for path in tmp_path.rglob("*") if path != folder] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_so_is_every_one_of_very_many() -> None:
    fuzz(EXAMPLES)


def allocated(data: bytes) -> int:
    """The most that was allocated at once, in bytes."""
    tracemalloc.start()
    try:
        ask(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_reading_never_takes_more_memory_than_the_bound() -> None:
    text, numbers = parts_of(WHOLE[-1])
    header = json.loads(text)
    huge = {**header, "mean": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    long = {**header, "mean": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}
    flat = "{" + ",".join(f'"{i}":0' for i in range(25_000)) + "}"
    lists = '{"x": [' + ",".join(["{}"] * 80_000) + "]}"
    cases = [
        *WHOLE, file_of(json.dumps(huge), numbers), file_of(json.dumps(long), numbers), file_of(flat, numbers),
        file_of(lists, numbers), file_of(text + " " * 250_000, numbers), file_of("[" * 250_000, b""),
        struct.pack("<Q", 2**63) + b"x",
    ]  # fmt: skip
    over = [i for i, data in enumerate(cases) if allocated(data) > 3 * len(data) + BOUND_BYTES]
    assert over == []


def test_a_file_of_gigabytes_is_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "x.penpal").open("wb") as file:
        file.truncate(10**11)
    tracemalloc.start()
    with pytest.raises(PackError, match="larger than 40000 kB"):
        read_pack(tmp_path / "x.penpal", SPACE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * MAX_BYTES["layers"]

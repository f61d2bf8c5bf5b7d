"""Weights on disk: whole or not at all, and damage is told apart from absence of training."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from core.errors import BackboneError
from core.files import write_atomically
from models.checkpoint import read_arrays, write_arrays

ARRAYS = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.array([1.5], np.float32)}


def test_arrays_and_about_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "weights.safetensors"
    write_arrays(path, ARRAYS, {"backbone": "abc", "steps": 3})
    arrays, about = read_arrays(path)
    assert about == {"backbone": "abc", "steps": 3}
    assert {name: (a.dtype, a.tolist()) for name, a in arrays.items()} == {
        name: (a.dtype, a.tolist()) for name, a in ARRAYS.items()
    }


def test_transposed_arrays_are_stored_as_they_look(tmp_path: Path) -> None:
    write_arrays(tmp_path / "w", {"t": ARRAYS["a"].T}, {})
    np.testing.assert_array_equal(read_arrays(tmp_path / "w")[0]["t"], ARRAYS["a"].T)


def test_same_arrays_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_arrays(tmp_path / name, ARRAYS, {"z": 1, "a": 2})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "weights"
    write_atomically(path, b"old")

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, disk_full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="nowhere"):
        read_arrays(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["empty", "cut", "no header", "no JSON"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "weights"
    write_arrays(path, ARRAYS, {"steps": 3})
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "cut": whole[:-4],
            "no header": b"\xff" * len(whole),
            "no JSON": whole.replace(b'{\\"steps\\": 3}', b'{\\"steps\\": 3,'),
        }[damage]
    )
    assert path.read_bytes() != whole
    with pytest.raises(BackboneError, match="weights is missing or damaged"):
        read_arrays(path)


def test_a_file_without_about_is_read(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(ARRAYS, tmp_path / "plain")
    assert read_arrays(tmp_path / "plain")[1] == {}

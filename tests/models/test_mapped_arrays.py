"""Mapped weights are those in the file, before and after they were let go, and whatever takes its name."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import BackboneError
from models.checkpoint import Arrays, read_arrays, write_arrays
from models.mapped_arrays import let_go, map_arrays

ARRAYS: Arrays = {
    "odd": np.arange(5, dtype=np.float16),
    "wide": np.arange(12, dtype=np.float32).reshape(3, 4),
    "one": np.array([2.5], np.float16),
}


def same(found: Arrays, expected: Arrays) -> bool:
    return {name: (a.dtype, a.tolist()) for name, a in found.items()} == {
        name: (a.dtype, a.tolist()) for name, a in expected.items()
    }


def test_arrays_are_those_of_the_file_also_when_they_were_let_go(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_arrays(path, ARRAYS, {"backbone": "abc"})
    arrays, about, mapping = map_arrays(path)
    assert about == {"backbone": "abc"}
    assert same(arrays, read_arrays(path)[0])
    let_go(mapping)
    assert same(arrays, ARRAYS)


def test_a_file_that_takes_the_name_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_arrays(path, ARRAYS, {})
    arrays, _, mapping = map_arrays(path)
    write_arrays(path, {name: array * 0 for name, array in ARRAYS.items()}, {})
    let_go(mapping)
    assert same(arrays, ARRAYS)


def test_torch_takes_them_without_a_warning(tmp_path: Path) -> None:
    write_arrays(tmp_path / "weights", ARRAYS, {})
    arrays, _, _ = map_arrays(tmp_path / "weights")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.from_numpy(arrays["wide"]).sum() == ARRAYS["wide"].sum()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"nothing of the kind")
    with pytest.raises(BackboneError, match="missing or damaged"):
        map_arrays(tmp_path / "weights")

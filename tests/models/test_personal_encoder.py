"""A person's encoder as a value: generic at first, drawn by seed, and refused when a file holds anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import PackError
from core.protocols import Message
from models.checkpoint import Arrays, write_arrays
from models.personal_encoder import ShiftEncoder

HELLO = [Message("user", "Hello")]


def vector(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def test_the_generic_encoder_draws_from_the_prior() -> None:
    generic = ShiftEncoder.generic(4)
    assert generic.mean(HELLO).tolist() == [0, 0, 0, 0]
    draws = np.stack([generic.sample(HELLO, seed) for seed in range(3000)])
    np.testing.assert_allclose(draws.mean(0), 0, atol=0.08)
    np.testing.assert_allclose(draws.std(0), 1, atol=0.05)


def test_a_draw_depends_on_its_seed_only_and_lies_around_the_mean() -> None:
    encoder = ShiftEncoder(vector(3, -3), vector(-20, -20))
    one, again, other = (encoder.sample(HELLO, seed) for seed in (1, 1, 2))
    assert one.dtype == np.float32
    assert one.tolist() == again.tolist() != other.tolist()
    np.testing.assert_allclose(one, [3, -3], atol=1e-3)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "encoder"
    ShiftEncoder(vector(1, 2), vector(0.5, -0.5)).save(path, {"backbone": "abc"})
    loaded, about = ShiftEncoder.load(path, latent_size=2)
    assert (loaded.mean_vector.tolist(), loaded.log_variance.tolist()) == ([1, 2], [0.5, -0.5])
    assert about == {"backbone": "abc"}


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"no weights")
    for name in ("damaged", "missing"):
        with pytest.raises(PackError, match=name):
            ShiftEncoder.load(tmp_path / name, latent_size=2)


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"mean": vector(1, 2)}, "not a personal encoder: it holds mean"),
        ({}, "holds nothing"),
        ({"mean": vector(1, 2), "log_variance": vector(0, 0), "code": vector(1)}, "code"),
        ({"mean": vector(1, 2, 3), "log_variance": vector(0, 0)}, r"mean is float32\[3\], float32\[2\] was expected"),
        ({"mean": vector(1, 2).astype(np.float64), "log_variance": vector(0, 0)}, "mean is float64"),
        ({"mean": vector(1, np.nan), "log_variance": vector(0, 0)}, "mean holds values"),
        ({"mean": vector(1, 2), "log_variance": vector(0, np.inf)}, "log_variance holds values"),
        ({"mean": vector(1e30, 1e30), "log_variance": vector(0, 0)}, "mean holds values"),
        ({"mean": vector(21, 0), "log_variance": vector(0, 0)}, "mean holds values"),
    ],
)
def test_anything_else_than_a_sane_shift_is_refused(tmp_path: Path, arrays: Arrays, named: str) -> None:
    write_arrays(tmp_path / "file", arrays, {})
    with pytest.raises(PackError, match=named):
        ShiftEncoder.load(tmp_path / "file", latent_size=2)

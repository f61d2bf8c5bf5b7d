"""A person's encoder as a value: generic at first, drawn by seed, and refused when a file holds anything else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import PackError
from core.protocols import Message
from models.checkpoint import Arrays, write_arrays
from models.learner import Parts
from models.personal_encoder import MAX_ARRAY_NORM, MAX_CONTEXTS, MAX_NORM, GaussianEncoder

HELLO = [Message("user", "Hello")]


def vector(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def encoder(*mean: float, contexts: dict[str, tuple[float, float]] | None = None) -> GaussianEncoder:
    shifts = {name: np.array(shift, float) for name, shift in (contexts or {}).items()}
    return GaussianEncoder(Parts(np.array(mean, float), np.zeros(len(mean)), shifts))


def headed(*, features: tuple[float, ...] | None = (3.0, 0.0, 1.0)) -> GaussianEncoder:
    """Reads three features of a prompt, of which the first moves it one way and the others do nothing."""
    parts = Parts(np.array([1.0, 0.0]), np.zeros(2), {}, np.array([1.0, 0, 0]), np.array([[0.0, 1], [0, 0], [0, 0]]))
    return GaussianEncoder(parts, features=(lambda messages: vector(*features)) if features else None)


def test_the_generic_encoder_draws_from_the_prior() -> None:
    generic = GaussianEncoder.generic(4)
    assert generic.mean(HELLO, "other").tolist() == [0, 0, 0, 0]
    draws = np.stack([generic.sample(HELLO, "other", seed) for seed in range(3000)])
    np.testing.assert_allclose(draws.mean(0), 0, atol=0.08)
    np.testing.assert_allclose(draws.std(0), 1, atol=0.05)


def test_a_draw_depends_on_its_seed_only_and_lies_around_the_mean() -> None:
    narrow = GaussianEncoder(Parts(np.array([3.0, -3.0]), np.full(2, -20.0), {}))
    one, again, other = (narrow.sample(HELLO, "other", seed) for seed in (1, 1, 2))
    assert one.dtype == np.float32
    assert one.tolist() == again.tolist() != other.tolist()
    np.testing.assert_allclose(one, [3, -3], atol=1e-3)


# --- kinds of writing and prompts -------------------------------------------------------------------------------


def test_each_kind_of_writing_has_the_common_part_and_its_own() -> None:
    mine = encoder(1, 2, contexts={"mail": (1, 0), "note": (0, -2)})
    assert mine.mean(HELLO, "mail").tolist() == [2, 2]
    assert mine.mean(HELLO, "note").tolist() == [1, 0]
    assert mine.mean(HELLO, "poem").tolist() == [1, 2]


def test_a_head_moves_the_mean_by_what_the_prompt_says() -> None:
    assert headed().reads_prompts
    assert headed().mean(HELLO, "other").tolist() == [1, 2]
    assert headed(features=(1, 5, 5)).mean(HELLO, "other").tolist() == [1, 0]


def test_only_an_encoder_with_a_head_reads_prompts() -> None:
    def unread(messages: Sequence[Message]) -> NDArray[np.float32]:
        raise AssertionError("the prompt was read")

    plain = GaussianEncoder(encoder(1, 2).parts, features=unread)
    assert not plain.reads_prompts
    assert plain.mean(HELLO, "other").tolist() == [1, 2]


def test_without_a_way_to_read_prompts_the_head_is_left_out() -> None:
    assert headed(features=None).mean(HELLO, "other").tolist() == [1, 0]


@pytest.mark.parametrize(
    "far", [encoder(30, 40), headed(features=(1e6, 0, 0)), encoder(3, 4, contexts={"other": (9, 9)})]
)
def test_a_drafts_mean_stays_among_real_posteriors(far: GaussianEncoder) -> None:
    assert np.linalg.norm(far.mean(HELLO, "other")) == pytest.approx(MAX_NORM, abs=1e-4)


def test_strength_goes_from_generic_to_as_learned() -> None:
    mine = headed().with_parts(
        Parts(np.array([2.0, 0]), np.ones(2), {"mail": np.array([0.0, 1])}, headed().parts.center, headed().parts.head)
    )
    as_learned, half, none = (mine.scaled(strength) for strength in (1.0, 0.5, 0.0))
    assert as_learned.mean(HELLO, "mail").tolist() == mine.mean(HELLO, "mail").tolist() == [2, 3]
    assert half.mean(HELLO, "mail").tolist() == [1, 1.5]
    assert none.mean(HELLO, "mail").tolist() == none.parts.log_variance.tolist() == [0, 0]


# --- files ------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path, mine = tmp_path / "encoder", headed()
    mine.parts.contexts["mail"] = np.array([0.5, -0.5])
    mine.save(path, {"backbone": "abc"})
    loaded, about = GaussianEncoder.load(path, latent_size=2, features=lambda messages: vector(3, 0, 1))
    assert about == {"backbone": "abc"}
    assert loaded.parts.contexts.keys() == {"mail"}
    for context in ("mail", "other"):
        assert loaded.mean(HELLO, context).tolist() == mine.mean(HELLO, context).tolist()
        assert loaded.sample(HELLO, context, 3).tolist() == mine.sample(HELLO, context, 3).tolist()


def test_the_same_encoder_is_the_same_file(tmp_path: Path) -> None:
    mine = encoder(1, 2, contexts={"note": (1, 0), "mail": (0, 1)})
    other_order = encoder(1, 2, contexts={"mail": (0, 1), "note": (1, 0)})
    for name, each in (("a", mine), ("b", other_order)):
        each.save(tmp_path / name, {"backbone": "abc"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"no weights")
    for name in ("damaged", "missing"):
        with pytest.raises(PackError, match=name):
            GaussianEncoder.load(tmp_path / name, latent_size=2)


GOOD = {"mean": vector(1, 2), "log_variance": vector(0, 0)}
HEAD = {"head": np.zeros((3, 2), np.float32), "center": np.zeros(3, np.float32)}
MANY = {f"context.{i}": vector(0, 0) for i in range(MAX_CONTEXTS + 1)}


@pytest.mark.parametrize("arrays", [GOOD, GOOD | HEAD, GOOD | HEAD | {"context.my mails_2-b": vector(1, 1)}])
def test_every_part_that_training_makes_is_taken(arrays: Arrays) -> None:
    GaussianEncoder.from_arrays(arrays, latent_size=2, source="here")


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"mean": vector(1, 2)}, "not a personal encoder: it holds mean"),
        ({}, "holds nothing"),
        (GOOD | {"code": vector(1)}, "code"),
        (GOOD | {"mean": vector(1, 2, 3)}, r"mean is float32\[3\], float32\[2\] was expected"),
        (GOOD | {"mean": vector(1, 2).astype(np.float64)}, "mean is float64"),
        (GOOD | {"mean": vector(1, np.nan)}, "mean holds values"),
        (GOOD | {"log_variance": vector(0, np.inf)}, "log_variance holds values"),
        (GOOD | {"mean": vector(1e30, 1e30)}, "mean holds values"),
        (GOOD | {"mean": vector(MAX_ARRAY_NORM + 1, 0)}, "mean holds values"),
        (GOOD | {"context.mail": vector(MAX_ARRAY_NORM + 1, 0)}, "context.mail holds values"),
        (GOOD | {"context.mail": vector(0, 0, 0)}, r"context.mail is float32\[3\]"),
        (GOOD | {"context.Mail": vector(0, 0)}, "it holds context.Mail"),
        (GOOD | {"context.": vector(0, 0)}, "not a personal encoder"),
        (GOOD | {f"context.{'x' * 33}": vector(0, 0)}, "not a personal encoder"),
        (GOOD | {"context.\x1b[2J": vector(0, 0)}, "not a personal encoder"),
        (GOOD | MANY, "not a personal encoder"),
        (GOOD | {"head": HEAD["head"]}, "it holds head, log_variance, mean"),
        (GOOD | {"center": HEAD["center"]}, "it holds center, log_variance, mean"),
        (GOOD | HEAD | {"center": np.zeros(4, np.float32)}, r"head is float32\[3, 2\], float32\[4, 2\] was expected"),
        (GOOD | HEAD | {"center": np.zeros((3, 1), np.float32)}, r"center is float32\[3, 1\]"),
        (GOOD | HEAD | {"head": np.zeros((3, 5), np.float32)}, r"head is float32\[3, 5\]"),
        (GOOD | HEAD | {"head": np.full((3, 2), np.nan, np.float32)}, "head holds values"),
        (GOOD | HEAD | {"center": vector(0, np.inf, 0)}, "center holds values"),
    ],
)
def test_anything_else_than_a_sane_encoder_is_refused(tmp_path: Path, arrays: Arrays, named: str) -> None:
    write_arrays(tmp_path / "file", arrays, {})
    with pytest.raises(PackError, match=named):
        GaussianEncoder.load(tmp_path / "file", latent_size=2)

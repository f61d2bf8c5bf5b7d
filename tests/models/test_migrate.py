"""A voice keeps its likes in another latent space, as far as that space shows them."""

from __future__ import annotations

import numpy as np
import pytest

from models.learner import Array, Parts
from models.migrate import agreement, fit_map, mapped, ridge_regression, shipped_anchors, with_mapped_head
from tests.planted import D, cosine, direction

COUNT = 200


def differences(seed: int = 0, size: int = D) -> Array:
    drawn: Array = np.random.default_rng(seed).standard_normal((COUNT, size))
    return drawn


def rotation(seed: int = 0, size: int = D) -> Array:
    turned: Array = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
    return turned


def voice(**changed: object) -> Parts:
    parts = {"mean": 3 * direction(), "log_variance": np.linspace(-0.5, 0.5, D), "contexts": {"mail": direction(1)}}
    return Parts(**{**parts, **changed})  # type: ignore[arg-type]


def test_a_space_that_is_only_turned_keeps_all_of_a_voice() -> None:
    turn, old = rotation(), differences()
    through = fit_map(old, old @ turn.T)
    assert through.foreseen > 0.999
    moved = mapped(voice(log_variance=np.zeros(D)), through)
    assert moved.mean == pytest.approx(turn @ voice().mean, rel=0.01)
    assert moved.contexts["mail"] == pytest.approx(turn @ voice().contexts["mail"], rel=0.01, abs=0.01)
    assert agreement(voice(), old, through) > 0.99


def test_margins_are_kept_in_a_space_whose_axes_are_stretched() -> None:
    old = differences()
    new = old * np.linspace(0.3, 3.0, D)
    through = fit_map(old, new)
    moved = mapped(voice(log_variance=np.zeros(D), contexts={}), through)
    assert new @ moved.mean == pytest.approx(old @ voice().mean, abs=0.2)


def test_the_generic_voice_stays_exactly_generic() -> None:
    old = differences()
    moved = mapped(Parts.generic(D), fit_map(old, old @ rotation().T + differences(5)))
    assert not moved.mean.any()
    assert not moved.log_variance.any()
    assert agreement(Parts.generic(D), old, fit_map(old, old)) == 1.0


def test_the_other_space_may_have_another_size() -> None:
    old = differences()
    wider = old @ np.random.default_rng(3).standard_normal((D, 20))
    moved = mapped(voice(), fit_map(old, wider))
    assert (moved.mean.shape, moved.log_variance.shape) == ((20,), (20,))
    assert np.isfinite(moved.log_variance).all()


def test_noise_between_two_spaces_is_told_and_shortens_the_voice() -> None:
    old = differences()
    near, far = (fit_map(old, old + size * differences(7)) for size in (0.3, 3.0))
    assert 0.8 < near.foreseen < 0.97
    assert far.foreseen < 0.3
    assert agreement(voice(), old, near) > 0.85 > agreement(voice(), old, far) > 0.5
    lengths = [np.linalg.norm(mapped(voice(log_variance=np.zeros(D)), each).mean) for each in (near, far)]
    assert lengths[0] > 2 * lengths[1]


def test_nothing_in_common_is_not_taken_for_something() -> None:
    through = fit_map(differences(), differences(9))
    assert through.foreseen < 0.05
    assert agreement(voice(), differences(), through) == pytest.approx(0.5, abs=0.12)


def test_what_is_foreseen_is_foreseen_without_the_row_itself() -> None:
    """More features than rows: by heart everything would be foreseen."""
    x, y = np.random.default_rng(0).standard_normal((40, 100)), np.random.default_rng(1).standard_normal((40, 3))
    coefficients, held_out = ridge_regression(x, y)
    assert coefficients.shape == (100, 3)
    assert np.corrcoef(held_out.ravel(), y.ravel())[0, 1] < 0.4


@pytest.mark.parametrize("known", [True, False])
def test_a_head_comes_along_where_the_new_features_show_what_it_follows(known: bool) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((COUNT, 12)).astype(np.float32)
    other = features @ rng.standard_normal((12, 15)).astype(np.float32) if known else rng.standard_normal((COUNT, 15))
    old = voice(log_variance=np.zeros(D), contexts={}, head=rng.standard_normal((12, D)) / 4, center=np.ones(12) / 2)
    turn = rotation()
    through = fit_map(differences(), differences() @ turn.T)
    start = mapped(old, through)
    moved, foreseen = with_mapped_head(start, through, old, features, other.astype(np.float32))
    wanted = (old.mean + (features - old.center) @ old.head) @ turn.T
    if known:
        assert foreseen > 0.95
        assert moved.head is not None
        made = moved.mean + (other - moved.center) @ moved.head
        assert made == pytest.approx(wanted, abs=0.3)
    else:
        assert foreseen < 0.1
        assert moved.head is None
        assert cosine(moved.mean, wanted.mean(0)) > 0.99


def test_the_shipped_anchors_are_many_and_all_different() -> None:
    anchors = shipped_anchors()
    assert len(anchors) >= 300
    assert len({text for anchor in anchors for text in (anchor.first, anchor.second)}) > 1.9 * len(anchors)
    assert all(anchor.first.strip() and anchor.second.strip() for anchor in anchors)

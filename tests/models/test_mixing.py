"""A mix prefers by the weighted mean of its voices' margins; with all the weight on one of them it is that one."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import UsageError
from models.checkpoint import Arrays
from models.learner import Array, Parts, Rows
from models.mixing import mixed, normalised
from models.personal_encoder import GaussianEncoder

D, H = 5, 7
KINDS = ("mail", "note", "other")
BASE: Arrays = {"norm.weight": np.ones(H, np.float16), "layers.0.x": np.ones((2, 2), np.float16)}


def voice(seed: int, *, contexts: tuple[str, ...] = (), head: bool = False, layers: bool = False) -> GaussianEncoder:
    draw = np.random.default_rng(seed)
    shifts = {name: draw.normal(size=D) for name in contexts}
    parts = Parts(draw.normal(size=D), draw.normal(size=D) / 4, shifts)
    if head:
        parts = Parts(parts.mean, parts.log_variance, shifts, draw.normal(size=H), draw.normal(size=(H, D)))
    step = {name: (array + draw.normal(0, 0.1, array.shape)).astype(np.float16) for name, array in BASE.items()}
    return GaussianEncoder(parts, layers=step if layers else None)


def rows(count: int = 60) -> Rows:
    draw = np.random.default_rng(9)
    drawn: list[Array] = [draw.normal(size=(count, D)) for _ in range(2)]
    return Rows(
        difference=drawn[0], spread=drawn[1], weight=np.ones(count), tie=np.zeros(count, bool), turn=np.arange(count),
        context=KINDS * (count // 3), features=draw.normal(size=(count, H)).astype(np.float32),
    )  # fmt: skip


VOICES = [
    [voice(1), voice(2)],
    [voice(1, contexts=("mail",)), voice(2, contexts=("mail", "note"))],
    [voice(1, head=True), voice(2)],
    [voice(1, head=True), voice(2, head=True, contexts=("note",)), voice(3)],
]


@pytest.mark.parametrize("voices", VOICES)
def test_a_mix_prefers_by_the_mean_of_all_margins(voices: list[GaussianEncoder]) -> None:
    weights = normalised([3, 1, 2][: len(voices)], len(voices))
    expected = sum(w * each.parts.margins(rows()) for w, each in zip(weights, voices, strict=True))
    np.testing.assert_allclose(mixed(voices, weights, BASE).parts.margins(rows()), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("voices", VOICES)
def test_a_voice_alone_is_itself(voices: list[GaussianEncoder]) -> None:
    weights = [0.0] * len(voices)
    weights[1] = 1.0
    assert mixed(voices, weights, BASE) is voices[1]


def test_a_voice_mixed_with_itself_is_itself() -> None:
    one = voice(4, contexts=("mail",), head=True, layers=True)
    same = mixed([one, one], [0.5, 0.5], BASE)
    for name, array in one.arrays().items():
        np.testing.assert_allclose(same.arrays()[name], array, atol=1e-6, err_msg=name)


def test_layers_are_averaged_and_a_voice_without_has_the_claps() -> None:
    own, plain = voice(5, head=True, layers=True), voice(6, head=True)
    layers = mixed([own, plain], [0.75, 0.25], BASE).layers
    assert layers is not None
    assert own.layers is not None
    for name, array in BASE.items():
        expected = 0.75 * own.layers[name].astype(float) + 0.25 * array
        np.testing.assert_allclose(layers[name], expected, atol=1e-3)


def test_too_many_kinds_of_writing_together_are_refused() -> None:
    many = [voice(i, contexts=tuple(f"kind {i} {j}" for j in range(20))) for i in (1, 2)]
    with pytest.raises(UsageError, match="Together they know 40 kinds of writing"):
        mixed(many, [0.5, 0.5], BASE)


def test_a_mix_has_two_to_sixteen_voices() -> None:
    for count in (1, 17):
        with pytest.raises(UsageError, match="A mix has 2 to 16 voices"):
            normalised([1.0] * count, count)

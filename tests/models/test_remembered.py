"""A latent space whose weights were replaced is remembered by what it said about the shipped anchors."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from models.backbone import Backbone
from models.checkpoint import Arrays, read_arrays
from models.migrate import ANCHORS, Anchor, shipped_anchors
from models.remembered import remember, remembered
from models.text_encoder import TextEncoder
from models.text_vectors import text_key

SPACE = "0123456789abcdef" * 4


@pytest.fixture
def few_anchors(monkeypatch: pytest.MonkeyPatch) -> tuple[Anchor, ...]:
    few = shipped_anchors()[:3]
    monkeypatch.setattr("models.remembered.shipped_anchors", lambda: few)
    return few


def test_what_the_encoder_said_is_there_without_it(
    tiny_backbone: Backbone, tiny_clap: Arrays, few_anchors: tuple[Anchor, ...], tmp_path: Path
) -> None:
    with closing(TextEncoder(tiny_backbone, tiny_clap)) as encoder:
        remember(encoder, SPACE, tmp_path)
        said = {
            text_key(a.messages, text): np.concatenate(encoder.posteriors([(a.messages, text)]), axis=1)[0]
            for a in few_anchors
            for text in (a.first, a.second)
        }
    space = remembered(SPACE, tmp_path)
    assert space is not None
    found = {key: np.frombuffer(value, np.float32) for key, value in space.vectors().items()}
    assert set(found) == set(said)
    for key, value in said.items():
        assert found[key] == pytest.approx(value, rel=2e-3, abs=2e-3)
    assert (space.latent_size, space.hidden_size) == (len(found[key]) // 2, len(tiny_clap["encoder.norm.weight"]))


def test_a_space_that_was_never_released_is_not_remembered(tmp_path: Path) -> None:
    assert remembered("f" * 64) is None
    for released in released_before():
        assert remembered(released + "0" * 52) is None, "only its first letters are the same"


def test_every_released_space_is_remembered_whole() -> None:
    assert released_before()
    for path in ANCHORS.parent.glob("anchors.*.safetensors"):
        assert path.stat().st_size < 200_000
        space = remembered(read_arrays(path)[1]["clap"])
        assert space is not None
        assert len(space.posteriors) == 2 * len(shipped_anchors())
        assert np.isfinite(space.posteriors).all()
        assert space.posteriors[:, : space.latent_size].std() > 0.1


def released_before() -> list[str]:
    return [path.name.split(".")[1] for path in ANCHORS.parent.glob("anchors.*.safetensors")]

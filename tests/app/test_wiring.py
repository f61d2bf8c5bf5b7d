"""Which voice writes: trusted latents only, checked once per version of the runtime, on a real tiny backbone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import app.wiring
from app.wiring import PenPal, open_penpal
from core.errors import BackboneError
from core.protocols import Sampling
from models import parity
from models.checkpoint import read_arrays, write_arrays
from tests import tiny


@pytest.fixture(scope="module")
def clap_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny backbone, and a CLaP with the reference that torch made for it."""
    folder = tmp_path_factory.mktemp("tiny")
    backbone = tiny.write_tiny_backbone(folder, "f32")
    path = tiny.write_tiny_clap(folder, backbone)
    arrays, about = read_arrays(path)
    reference = parity.reference_log_probs(tiny.torch_decoder(backbone, arrays), arrays["adapter.inp.weight"].shape[1])
    write_arrays(path, {**arrays, "parity.log_probs": reference}, {**about, "backbone": backbone.id})
    return backbone.path, path


@pytest.fixture
def penpal(clap_file: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[PenPal]:
    monkeypatch.setenv("PENPAL_BACKBONE", str(clap_file[0]))
    monkeypatch.setenv("PENPAL_CLAP", str(clap_file[1]))
    opened = open_penpal()
    yield opened
    opened.close()


def checks(monkeypatch: pytest.MonkeyPatch, result: parity.Parity | None = None) -> list[int]:
    """Counts the parity checks, and lets them find `result`."""
    counted: list[int] = []
    real = parity.parity_with_reference

    def check(*arguments: object) -> parity.Parity:
        counted.append(1)
        return result or real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(parity, "parity_with_reference", check)
    return counted


def test_latents_are_checked_once_and_then_trusted(penpal: PenPal, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = checks(monkeypatch)
    assert penpal.voice().encoder is not None
    assert penpal.voice().encoder is not None
    assert counted == [1]
    assert penpal.latents_off == ""


def test_another_version_of_the_runtime_is_checked_again(penpal: PenPal, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = checks(monkeypatch)
    penpal.voice()
    penpal.__dict__["runtime"] = "llama-cpp-python 99"
    penpal.voice()
    assert counted == [1, 1]


def test_when_the_check_fails_drafts_are_generic_and_the_reason_is_told(
    penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks(monkeypatch, parity.Parity(same=0.3, other=0.4))
    assert penpal.voice().encoder is None
    assert "penpal doctor" in penpal.latents_off
    (draft,) = penpal.writer(sampling=Sampling(max_tokens=8)).propose("Hello", drafts=1).run()
    assert draft.z is None


def test_a_state_layout_that_is_not_known_means_generic_drafts_with_a_notice(
    penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.latent_kv.STATE_MAGIC", 1)
    assert penpal.voice().encoder is None
    assert "magic" in penpal.latents_off


def test_a_clap_of_another_backbone_is_refused_by_both_hashes(
    penpal: PenPal, clap_file: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arrays, about = read_arrays(clap_file[1])
    other = tmp_path / "other.safetensors"
    write_arrays(other, arrays, {**about, "backbone": "f" * 64})
    monkeypatch.setenv("PENPAL_CLAP", str(other))
    with pytest.raises(BackboneError, match=f"ffffffffffff.*{penpal.backbone.id[:12]}"):
        _ = open_penpal().clap


def test_damaged_released_weights_are_named_by_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "clap.safetensors"
    write_arrays(damaged, {"a": np.zeros(3, np.float32)}, {})
    monkeypatch.setattr(app.wiring, "EMBEDDED_CLAP", damaged)
    with pytest.raises(BackboneError, match=f"is damaged.*{app.wiring.EMBEDDED_CLAP_SHA256[:12]}"):
        _ = open_penpal().clap

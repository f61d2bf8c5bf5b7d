"""A voice of the released latent space in a later one: the same one turned and blurred, and a really different one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.tastes import TASTES
from app.wiring import EMBEDDED_CLAP
from core.files import file_sha256
from core.store import EncoderRecord, Store
from exporters.pack import Space, export_pack
from models.backbone import EMBEDDED_SHA256
from models.checkpoint import Arrays, read_arrays, write_arrays
from models.learner import Parts
from models.migrate import shipped_anchors
from models.personal_encoder import GaussianEncoder
from models.remembered import remembered
from tests.app.conftest import answer

pytestmark = pytest.mark.slow

CHOICES = 60
ANCHORS = 100
RELEASED_BEFORE = sorted(EMBEDDED_CLAP.parent.glob("anchors.*.safetensors"))
Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, run_for_json: Run) -> Run:
    """Runs a command with `--json`, the language model left out; returns what it printed."""
    monkeypatch.setattr("app.manners.be_nice", lambda: None)
    monkeypatch.setattr("app.migration.shipped_anchors", lambda: shipped_anchors()[-ANCHORS:])
    return run_for_json


@pytest.fixture
def voice(run: Run, store: Store) -> EncoderRecord:
    """Of somebody who likes short sentences, learned in the released space."""
    score, count = TASTES["short-sentences"].score, 0
    for anchor in shipped_anchors():
        better, worse = sorted((anchor.first, anchor.second), key=score, reverse=True)
        if score(better) > score(worse) and count < CHOICES:
            answer(store, anchor.messages[-1].content, texts=(better, worse), backbone_id=EMBEDDED_SHA256)
            count += 1
    assert run("personalize", "--no-drafts", "--force")["activated"]
    (record,) = store.encoders()
    return record


def turned(clap: Arrays) -> Arrays:
    """The means of every posterior rotated, its weights blurred by a fifth."""
    rng, size = np.random.default_rng(0), len(clap["encoder.head.bias"]) // 2
    rotation = np.linalg.qr(rng.standard_normal((size, size)))[0]
    weight, bias = (clap[f"encoder.head.{name}"].astype(np.float64) for name in ("weight", "bias"))
    weight[:size], bias[:size] = rotation @ weight[:size], rotation @ bias[:size]
    weight += 0.2 * weight.std() * rng.standard_normal(weight.shape)
    return clap | {"encoder.head.weight": weight.astype(np.float16), "encoder.head.bias": bias.astype(np.float16)}


def different(clap: Arrays) -> Arrays:
    """Another projection of what the layers say, chosen by chance, of another size than before."""
    rng, size = np.random.default_rng(1), 48
    weight = rng.standard_normal((2 * size, clap["encoder.head.weight"].shape[1])) * clap["encoder.head.weight"].std()
    weight[size:] = 0
    adapter = rng.standard_normal((len(clap["adapter.inp.weight"]), size))
    return clap | {
        "encoder.head.weight": weight.astype(np.float16), "encoder.head.bias": np.zeros(2 * size, np.float16),
        "adapter.inp.weight": adapter.astype(np.float16),
    }  # fmt: skip


@pytest.mark.parametrize(("change", "agrees", "keeps"), [(turned, 0.93, 0.95), (different, 0.75, 0.85)])
def test_what_the_released_space_knew_is_kept(
    run: Run,
    voice: EncoderRecord,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Arrays], Arrays],
    agrees: float,
    keeps: float,
) -> None:
    arrays, about = read_arrays(EMBEDDED_CLAP)
    later = tmp_path / "later.clap.safetensors"
    write_arrays(later, change(arrays), about)
    monkeypatch.setenv("PENPAL_CLAP", str(later))

    anew = run("encoder", "migrate", "--no-drafts")
    assert (anew["old"], anew["how"], anew["answers"]) == (voice.id, "learned anew", CHOICES)
    assert anew["kept"] > keeps

    # The same voice as if it came from somebody else: the weights it was made in are found by themselves.
    store.add_encoder(EncoderRecord(**{**vars(voice), "report": {**voice.report, "made": "mapped"}}))
    mapped = run("encoder", "migrate", voice.id)
    assert (mapped["how"], mapped["anchors"], mapped["answers"]) == ("mapped", CHOICES + ANCHORS, CHOICES)
    assert mapped["agreement"] > agrees
    assert mapped["kept"] > keeps


def test_a_file_from_the_released_space_is_taken_along(
    run: Run, voice: EncoderRecord, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "me.penpal"
    run("export", str(file), "--no-membership-test")
    arrays, about = read_arrays(EMBEDDED_CLAP)
    later = tmp_path / "later.clap.safetensors"
    write_arrays(later, turned(arrays), about)
    monkeypatch.setenv("PENPAL_CLAP", str(later))
    monkeypatch.setenv("PENPAL_HOME", str(tmp_path / "other"))
    mapped = run("encoder", "migrate", str(file))
    assert (mapped["how"], mapped["anchors"], mapped["answers"]) == ("mapped", ANCHORS, 0)
    assert mapped["agreement"] > 0.93
    listed = run("encoder", "list")
    assert [row["origin"] for row in listed] == ["built in", "imported", "mapped"]
    assert listed[-1]["active"]


@pytest.mark.parametrize("clap_id", [read_arrays(path)[1]["clap"] for path in RELEASED_BEFORE])
def test_a_file_from_a_space_whose_weights_are_gone_is_taken_along(
    run: Run, clap_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, about = read_arrays(EMBEDDED_CLAP)
    write_arrays(tmp_path / "later.clap.safetensors", turned(arrays), about)
    monkeypatch.setenv("PENPAL_CLAP", str(tmp_path / "later.clap.safetensors"))
    monkeypatch.setattr("app.wiring.EMBEDDED_CLAP", tmp_path / "empty" / EMBEDDED_CLAP.name)
    space = remembered(clap_id)
    assert space is not None
    means = space.posteriors[:, : space.latent_size].astype(np.float64)
    score = TASTES["short-sentences"].score
    likes = np.array([np.sign(score(a.first) - score(a.second)) for a in shipped_anchors()])
    leaning = likes @ (means[::2] - means[1::2])
    GaussianEncoder(Parts(2 * leaning / np.linalg.norm(leaning), np.zeros(space.latent_size), {})).save(
        tmp_path / "voice.safetensors", {}
    )
    digest = file_sha256(tmp_path / "voice.safetensors")
    record = EncoderRecord(
        digest, "voice.safetensors", "personalized", None, EMBEDDED_SHA256, clap_id, 60, "kept", {}, "2026-11-21T00:00Z"
    )
    there = Space(EMBEDDED_SHA256, clap_id, space.latent_size, {"norm.weight": np.ones(space.hidden_size, np.float16)})
    export_pack(record, tmp_path, tmp_path / "me.penpal", space=there)

    mapped = run("encoder", "migrate", str(tmp_path / "me.penpal"))
    assert (mapped["how"], mapped["anchors"]) == ("mapped", ANCHORS)
    assert mapped["agreement"] > 0.75

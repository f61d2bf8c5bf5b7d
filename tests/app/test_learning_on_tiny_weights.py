"""`penpal personalize` on real files of a tiny backbone: nothing scripted but the person."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.store import Store
from models.backbone import Backbone
from models.checkpoint import read_arrays, write_arrays
from models.decoder_llama import LlamaDecoder
from models.latent_kv import LatentAdapter
from tests import tiny
from tests.app.conftest import answer


@pytest.fixture(scope="module")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Backbone, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    backbone = tiny.write_tiny_backbone(folder)
    clap = tiny.write_tiny_clap(folder, backbone)
    arrays, about = read_arrays(clap)
    write_arrays(clap, arrays, {**about, "backbone": backbone.id})
    return backbone, clap


@pytest.fixture
def run(
    tiny_files: tuple[Backbone, Path], monkeypatch: pytest.MonkeyPatch, run_for_json: Callable[..., Any]
) -> Callable[..., Any]:
    """Runs a command with `--json`; returns what it printed."""
    monkeypatch.setenv("PENPAL_BACKBONE", str(tiny_files[0].path))
    monkeypatch.setenv("PENPAL_CLAP", str(tiny_files[1]))
    monkeypatch.setenv("PENPAL_DRAFTS__MAX_TOKENS", "8")
    monkeypatch.setattr("app.manners.be_nice", lambda: None)
    return run_for_json


def choices(store: Store, backbone: Backbone, count: int) -> None:
    """Always the short one: easy to tell apart even for an untrained encoder."""
    for number in range(count):
        texts = ("No.", f"Thank you for the garden, number {number}! " * 3)
        answer(store, f"Write to neighbour {number}.", texts=texts, backbone_id=backbone.id)


def test_choices_become_a_voice_without_the_language_model(
    run: Callable[..., Any], store: Store, tiny_files: tuple[Backbone, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def caught(*arguments: object, **options: object) -> None:
        raise AssertionError("the language model was loaded")

    monkeypatch.setattr(LlamaDecoder, "__init__", caught)
    monkeypatch.setattr(LatentAdapter, "__init__", caught)
    choices(store, tiny_files[0], 30)
    report = run("personalize", "--no-drafts")
    assert (report["activated"], report["accuracy"]) == (True, 1)
    active = store.active_encoder()
    assert active is not None
    assert active.backbone_id == tiny_files[0].id
    # An untrained encoder cannot tell all of them apart; the list says which.
    left_out = [row["reason"] for row in run("pairs", "list") if not row["weight"]]
    assert left_out == ["too alike to learn from"] * (30 - report["pairs"])
    assert run("encoder", "show", active.id)["drift"] == pytest.approx(report["shift"], abs=1e-4)
    assert run("personalize", "--dry-run")["to_read"] == 0


def test_the_drafts_of_the_check_come_from_the_same_files(
    run: Callable[..., Any], store: Store, tiny_files: tuple[Backbone, Path]
) -> None:
    choices(store, tiny_files[0], 6)
    report = run("personalize", "--force")
    assert report["activated"]
    assert report["perplexity_generic"] > 1
    assert len(report["examples"]) == 5
    assert os.path.samefile(Path(report["markdown"]).parent.parent, os.environ["PENPAL_HOME"])

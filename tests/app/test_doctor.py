"""`penpal doctor`: one page on the state of things, however broken they are, without a word of the person's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import models.parity
from app.doctor import speed
from core.store import Store
from models.backbone import Backbone
from models.parity import Parity
from tests.app.conftest import BACKBONE_ID, CLAP_ID, Result, learned
from tests.hooked_decoder import HookedDecoder

Run = Callable[..., Result]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Says what the comparison with torch will find, without torch."""

    def will_find(same: float, other: float) -> None:
        monkeypatch.setitem(
            sys.modules, "models.decoder_torch", SimpleNamespace(open_torch_decoder=lambda *parts: None)
        )
        monkeypatch.setattr(Backbone, "metadata", {"tokenizer.chat_template": "{{ messages }}"})
        monkeypatch.setattr(models.parity, "parity_between", lambda *decoders: Parity(same, other))

    return will_find


def test_a_healthy_machine_passes(penpal: Run, compared: Any, penpal_home: Path) -> None:
    compared(0.005, 0.24)
    found = penpal("doctor", "--json")
    report = found.json
    assert (found.code, report["passed"], report["problems"]) == (0, True, [])
    assert (report["parity_kl"], report["other_latents_kl"]) == (0.005, 0.24)
    assert (report["backbone_id"], report["backbone_bytes"], report["clap_id"]) == (BACKBONE_ID, 4, CLAP_ID)
    assert (report["home"], report["device"], report["active_encoder"]) == (str(penpal_home), "a script", "generic")
    assert {"python", "penpal", "llama-cpp-python", "torch", "textual"} <= set(report["versions"])
    assert report["tokens_per_second"] > 0
    assert report["prefill_tokens_per_second"] > 0


def test_decoders_that_write_different_drafts_fail_and_that_is_remembered(
    penpal: Run, compared: Any, store: Store, decoder: HookedDecoder
) -> None:
    from importlib.metadata import version

    compared(0.5, 0.24)
    found = penpal("doctor")
    assert found.code == 1
    assert "do not write the same drafts" in found.out
    assert found.out.endswith("Something is wrong: see above.\n")
    runtime = f"llama-cpp-python {version('llama-cpp-python')}"
    assert store.parity_passed(runtime, BACKBONE_ID, CLAP_ID) is False


def test_latents_that_change_nothing_fail_with_the_reason(penpal: Run, compared: Any) -> None:
    compared(0.005, 0.04)
    found = penpal("doctor", "--json")
    assert (found.code, found.json["passed"]) == (1, False)
    assert found.json["problems"] == [
        "Two latents write almost the same drafts: 0.0400 nats per token apart, 0.0500 are needed. "
        "This CLaP was not trained enough, and drafts are generic."
    ]


def test_every_part_is_looked_at_although_one_is_broken(
    penpal: Run, compared: Any, penpal_home: Path, store: Store
) -> None:
    compared(0.005, 0.24)
    record = learned(penpal_home, 1.0)
    store.activate_encoder(record.id, "test")
    (penpal_home / "encoders" / record.file).unlink()
    found = penpal("doctor", "--json")
    assert found.code == 1
    assert len(found.json["problems"]) == 1
    assert "is missing or damaged" in found.json["problems"][0]
    assert found.json["parity_kl"] == 0.005


def test_no_word_of_the_person_is_in_the_report(penpal: Run, compared: Any) -> None:
    compared(0.005, 0.24)
    penpal("write", "Dear Ann, about the inheritance")
    for form in ("--json", None):
        shown = penpal("doctor", *([form] if form else [])).out
        assert "inheritance" not in shown
        assert "friendly" not in shown
        assert "All is well." in shown or form


def test_speed_counts_what_is_read_and_what_is_written(decoder: HookedDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 16.0])
    monkeypatch.setattr("app.doctor.time.perf_counter", lambda: next(clock))
    decoder.texts = ["one two three four five"]
    read_words = len(("0.0 " + "Tell me what to pack for a week in the mountains. " * 30).split())
    assert speed(decoder) == (read_words / 2.0, 4 / 4.0)

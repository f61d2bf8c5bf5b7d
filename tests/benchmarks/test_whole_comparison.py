"""The whole comparison on a tiny backbone: every task that needs no reviews, resumed, and told in tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from benchmarks import compare, compare_tables
from benchmarks.rivals.torch_author import SharedSampler
from benchmarks.tasks import nothing_broken
from core.protocols import Sampling
from models.backbone import ChatTemplate
from tests import tiny
from tests.benchmarks.test_prompting import WordEmbeddings

pytestmark = pytest.mark.slow

METHODS = (
    "penpal", "penpal-fast", "penpal-generic", "untouched", "in-context-similar", "retrieval", "cipher", "described",
    "best-of-n-posteriors",
)  # fmt: skip
TASKS = ("everyday", "neutral", "edits", "broken", "scale")
SIZE = replace(compare.TOY, everyday_people=("brief",), methods=METHODS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    backbone = tiny.write_tiny_backbone(tmp_path)
    monkeypatch.setenv("PENPAL_BACKBONE", str(backbone.path))
    monkeypatch.setenv("PENPAL_CLAP", str(tiny.write_tiny_clap(tmp_path, backbone)))
    monkeypatch.setenv("PENPAL_DRAFTS__MAX_TOKENS", "8")
    items = nothing_broken.items()
    few = {"questions": items["questions"][:3], "passages": items["passages"][:1]}
    monkeypatch.setattr(nothing_broken, "items", lambda: few)
    return tmp_path


def run_in(folder: Path, methods: Sequence[str] = METHODS) -> compare.Run:
    run = compare.Run(folder / "work", folder, SIZE, methods)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tiny_tokenizer(), eos_token="<|im_end|>")
    sampling = Sampling(max_tokens=8)
    run.roster.__dict__["sampler"] = SharedSampler(
        tiny.tiny_lm(), tokenizer, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=sampling
    )
    run.roster.__dict__["embeddings"] = WordEmbeddings()
    return run


@pytest.mark.timeout(600)
def test_every_method_is_measured_once_and_told(folder: Path) -> None:
    first = run_in(folder, METHODS[:3])
    with closing(first.roster.library.penpal):
        first.measure(TASKS)
    kept = list(first.log.rows)

    run = run_in(folder)
    with closing(run.roster.library.penpal):
        run.measure(TASKS)
        rows = list(run.log.rows)
        assert rows[: len(kept)] == kept
        measured = {(row["task"], row["method"]) for row in rows}
        for task in ("everyday writing", "everyday writing, neutral pairs"):
            assert {method for done, method in measured if done == task} == {*METHODS}
        assert {m for t, m in measured if t == "edits"} == {*METHODS} - {"penpal-generic", "best-of-n-posteriors"}
        assert {m for t, m in measured if t == "nothing broken"} == {"penpal", "penpal-fast", "untouched", "described"}
        assert {m for t, m in measured if t == "sixteen at once"} == {"penpal", "untouched"}
        run.measure(TASKS)
        assert list(run.log.rows) == rows

    untouched = next(r for r in rows if r["task"] == "everyday writing" and r["method"] == "untouched")
    assert (untouched["wins"], untouched["losses"], untouched["win_rate"]) == (0, 0, 0.5)
    assert untouched["perplexity"] == untouched["perplexity_generic"]
    compare_tables.write_down(folder / "out", {"command": "toy"}, rows, {})
    told = (folder / "out" / "compare.md").read_text()
    assert all(f"| {name} |" in told or f"| **{name}** |" in told for name in METHODS)

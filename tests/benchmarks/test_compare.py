"""What `benchmarks.compare` keeps and tells: rows that are resumed, intervals, tables, losses first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare, compare_tables
from benchmarks.compare import TASKS, wanted
from benchmarks.intervals import estimate
from benchmarks.measuring import Questions, Written, compared, outcome
from benchmarks.rivals.method import Cost
from benchmarks.row_log import RowLog
from benchmarks.tasks import edits, nothing_broken
from benchmarks.tasks.editor import PEOPLE
from core.errors import UsageError
from core.protocols import Message

KEY = {"task": "everyday writing", "taste": "brief", "method": "penpal", "pairs": 50, "seed": 0}


def row(method: str, win: float, *, seed: int = 0, pairs: int = 50, **more: Any) -> dict[str, Any]:
    return {
        **KEY, "method": method, "seed": seed, "pairs": pairs, "win_rate": win, "perplexity": 4.0, "distinct2": 0.9,
        "tokens": 40.0, "seconds_personalize": 100.0 if method == "lora-dpo" else 0.5, "seconds_before": 1.0,
        "flops": 1e9, "peak_bytes": 10**6, "bytes_per_person": 10_000 if method == "lora-dpo" else 200,
        "seconds_per_draft": 1.0, **more,
    }  # fmt: skip


def test_rows_are_found_again_and_a_torn_line_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    log = RowLog(path, {"versions": "torch 1"})
    log.keep({**KEY, "win_rate": 0.5})
    log.keep({**KEY, "seed": 1, "win_rate": 0.6})
    whole = path.read_text()
    path.write_text(whole + '{"task": "everyday wri')

    again = RowLog(path, {"versions": "torch 2"})
    assert again.known(**KEY) == {**KEY, "win_rate": 0.5, "versions": "torch 1"}
    assert again.known(**{**KEY, "seed": 2}) is None
    again.keep({**KEY, "seed": 2, "win_rate": 0.7})
    assert [r["seed"] for r in RowLog(path).rows] == [0, 1, 2]
    assert path.read_text().startswith(whole)


def test_an_interval_holds_its_mean_and_one_value_has_none() -> None:
    found = estimate([0.4, 0.5, 0.6, 0.9])
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(0.6)
    assert estimate([0.4, 0.5, 0.6, 0.9]) == found
    assert estimate([0.5]).told() == "0.50"
    assert not estimate([0.5, 0.6, 0.55]).is_zero
    assert estimate([0.5]).is_zero


def test_ties_are_left_out_or_count_half() -> None:
    found = outcome([1, 2, 3, 3], [1, 1, 1, 4], "")
    assert (found["wins"], found["losses"], found["win_rate"]) == (2, 1, pytest.approx(2 / 3))
    assert found["win_rate_ties_half"] == pytest.approx((2 + 0.5) / 4)
    assert outcome([1], [1], "")["win_rate"] == 0.5


def test_drafts_stand_beside_generic_ones_and_references() -> None:
    prompt = (Message("text", "It was"),)
    questions = Questions((prompt, prompt), (1, 2), 8, references=("long reference", "x"))
    own = Written(("aaa", "aaaa"), 2.0, 3.0, 0.5, 2.0)
    generic = Written(("a", "aaaaaa"), 2.0, 4.0, 0.6, 2.0)
    found = compared(own, generic, questions, lambda asked, text: len(text))
    assert (found["wins"], found["losses"]) == (1, 1)
    assert (found["wins_reference"], found["losses_reference"]) == (1, 1)
    assert (found["perplexity"], found["perplexity_generic"]) == (3.0, 4.0)


def test_what_penpal_loses_comes_first(tmp_path: Path) -> None:
    rows = [
        row(method, win, seed=seed, pairs=pairs, notes={"seconds_learn": 0.1})
        for pairs, rates in ((50, {"penpal": 0.8, "lora-dpo": 0.7}), (1000, {"penpal": 0.6, "lora-dpo": 0.75}))
        for method, win in rates.items()
        for seed in range(3)
    ]
    losses = compare_tables.losses(rows)
    assert len(losses) == 1
    assert "1,000 pairs, win rate** (PenPal's less theirs): lora-dpo -0.150" in losses[0]
    assert "within the interval" not in losses[0]
    verdicts = {target: met for target, _, met in compare_tables.targets(rows)}
    assert verdicts["everyday writing, 50 pairs: win rate less LoRA-DPO's, at least +0.00"] == "yes"
    assert verdicts["everyday writing, 1,000 pairs: win rate less LoRA-DPO's, at least -0.01"] == "**no**"
    assert verdicts["LoRA-DPO's seconds over PenPal's, at least 100"] == "yes"
    assert verdicts["the same without PenPal's check of fluency"] == "yes"
    assert verdicts["edits: summed distance less CIPHER's, below 0"] == "-"

    edited = [
        {**KEY, "task": "edits", "method": m, "cumulative": c, "distances": [c / 2, c / 2], "seconds_personalize": 0.0,
         "bytes_per_person": 0, "seconds_per_draft": 1.0}
        for m, c in (("penpal", 3.0), ("untouched", 6.0), ("cipher", 5.0))
    ]  # fmt: skip
    scale = [
        {"task": "one more person", "taste": "", "method": "penpal", "pairs": 10, "seed": 0, "people_measured": 10,
         "seconds_personalize": 1.0, "seconds_before": 1.0, "bytes_per_person": 200.0, "bytes_together": 2000.0},
        {"task": "sixteen at once", "taste": "one batch", "method": "penpal", "pairs": 16, "seed": 0,
         "drafts_per_second": 4.0},
    ]  # fmt: skip
    about = {"command": "python -m benchmarks.compare --toy", "torch": "2"}
    tuned = {"cipher": {"trials": {"k=5": 0.5, "k=1": 0.6}, "chosen": "k=1"}}
    compare_tables.write_down(tmp_path, about, [*rows, *edited, *scale], tuned)  # type: ignore[arg-type]
    text = (tmp_path / "compare.md").read_text()
    assert text.index("## Where PenPal loses") < text.index("## Targets") < text.index("## Everyday writing")
    assert "| edits: summed distance over that without learning, at most 0.75 | 0.50 | yes |" in text
    assert "4.00" in text
    assert "k=1: 0.600" in text
    told = json.loads((tmp_path / "results.json").read_text())
    assert len(told["rows"]) == len(rows) + 5
    assert all((tmp_path / name).is_file() for name in ("compare.md", "results.json"))


def test_who_learns_nothing_leads_in_nothing_that_learning_costs() -> None:
    free = row("untouched", 0.5, seconds_personalize=0.0, bytes_per_person=0)
    assert compare_tables.losses([row("penpal", 0.8), free]) == []
    fluent = {**free, "perplexity": 3.0}
    (line,) = compare_tables.losses([row("penpal", 0.8), fluent])
    assert "untouched 1.0, within the interval" in line


def test_a_task_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match=r"There is no task 'chess'\. Known: everyday"):
        wanted(["chess"], TASKS, "task")
    assert wanted(None, TASKS, "task") == list(TASKS)
    assert {*compare.QUICK.methods} <= {*compare.NAMES}


def test_rows_of_another_latent_space_are_not_mixed_in(tmp_path: Path) -> None:
    RowLog(tmp_path / "rows.jsonl", {"clap": "0123"}).keep(KEY)
    with pytest.raises(UsageError, match=r"holds rows of another latent space \(0123; .* --work"):
        compare.Run(tmp_path, tmp_path, compare.TOY, ["untouched"])


def test_questions_have_four_different_answers_each() -> None:
    for question, *answers in nothing_broken.items()["questions"]:
        assert question.endswith("?")
        assert len(set(answers)) == 4


class _Learner:
    """Writes what it was taught last."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def author(self) -> Any:
        return self

    cost = Cost(1.0, bytes_per_person=7)

    def drafts(self, prompts: Any, seeds: Any, *, max_tokens: int) -> list[str]:
        return [self.heard[-1].chosen if self.heard else "Hi Bob,\n\nOne! Two. Three. Four."]

    def hear(self, edit: Any) -> None:
        self.heard.append(edit)


def test_edits_cost_less_for_who_has_learned() -> None:
    learner = _Learner()
    found = edits.rounds_of(learner, PEOPLE["brief"], edits.prompts_of(0, 4), seed=0)
    assert found["distances"][0] > 0.3
    assert found["distances"][1:] == [0, 0, 0]
    assert found["cumulative"] == pytest.approx(found["distances"][0], abs=1e-3)
    assert [edit.chosen == edit.rejected for edit in learner.heard] == [False, True, True, True]
    assert found["bytes_per_person"] == 7

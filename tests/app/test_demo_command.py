"""`penpal demo`: the command around the loop; the loop itself is tested on the real backbone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import app.demo
from app.demo import DemoReport, Example
from app.tastes import TASTES
from app.wiring import PenPal
from tests.app.conftest import Result

Run = Callable[..., Result]

REPORT = DemoReport(
    taste="questions",
    description="likes questions",
    pairs=8,
    ties=1,
    prompts=4,
    win_rate=0.75,
    win_rate_ties_half=0.7,
    score_generic=0.1,
    score_personal=0.4,
    perplexity_generic=6.0,
    perplexity_personal=6.5,
    accuracy=0.8,
    activated=True,
    reason="activated: it foresees 80% of your 8 choices",
    bytes_per_person=512,
    seconds={"label": 3.0, "personalize": 2.0, "compare": 1.0, "total": 6.0},
    examples=[Example("Write a note.", "A note.", "A note?")],
)


@pytest.fixture
def homes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The homes in which the demo was played."""
    seen: list[Path] = []

    def play(penpal: PenPal, **options: object) -> DemoReport:
        assert penpal.home.folder.is_dir()
        assert (options["taste"], options["pairs"], options["prompts"], options["seed"]) == ("questions", 8, 4, 3)
        seen.append(penpal.home.folder)
        return REPORT

    monkeypatch.setattr(app.demo, "run_demo", play)
    return seen


ASKED = ("demo", "--taste", "questions", "--pairs", "8", "--prompts", "4", "--seed", "3")


def test_before_and_after_are_shown(penpal: Run, homes: list[Path]) -> None:
    assert penpal(*ASKED) == Result(
        0,
        "> Write a note.\n\nbefore: A note.\n\nafter:  A note?\n\n"
        "The person (likes questions) picked 8 times and saw no difference 1 time.\n"
        "The new voice: activated: it foresees 80% of your 8 choices.\n"
        "On 4 unseen prompts its drafts win 75% (70% with ties as halves).\n"
        "Perplexity: before 6.0, after 6.5.\n"
        "3 s for choosing, 2 s for learning, 1 s for comparing.\n",
        "",
    )


def test_json_is_the_whole_report(penpal: Run, homes: list[Path]) -> None:
    found = penpal(*ASKED, "--json").json
    assert (found["win_rate"], found["win_rate_ties_half"], found["seconds"]["total"]) == (0.75, 0.7, 6.0)
    assert found["examples"] == [{"prompt": "Write a note.", "before": "A note.", "after": "A note?"}]


def test_the_demo_leaves_nothing_behind(penpal: Run, homes: list[Path], penpal_home: Path) -> None:
    penpal(*ASKED)
    assert not penpal_home.exists()
    assert not homes[0].exists()
    assert str(homes[0]) != os.environ["PENPAL_HOME"]


def test_every_taste_is_listed(penpal: Run) -> None:
    shown = penpal("demo", "--list").out
    assert [name for name, taste in TASTES.items() if f"{name} " not in shown or taste.description not in shown] == []


def test_an_unknown_taste_is_one_clear_line(penpal: Run, decoder: object) -> None:
    assert penpal("demo", "--taste", "question") == Result(
        2, "", "penpal: There is no taste 'question'; did you mean 'questions'? 'penpal demo --list' shows all.\n"
    )

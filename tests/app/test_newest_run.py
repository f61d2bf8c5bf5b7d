"""Which run is the newest, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.newest_run import fresh_run, headline, newest_run, report_of
from core.store import EncoderRecord, Store
from tests.app.conftest import answer


def run(name: str, created_utc: str = "2020-11-20T12:31:00+00:00", **report: Any) -> EncoderRecord:
    status = "rejected" if report.get("reason", "").startswith("not") else "kept"
    return EncoderRecord(name, f"{name}.safetensors", "personalized", None, "b", "c", 47, status, report, created_utc)


def test_the_newest_run_is_the_one_that_saw_most_whatever_the_clock_said(penpal_home: Path) -> None:
    store = Store()
    assert newest_run(store) is None
    store.add_encoder(run("late", "2020-11-20T12:31:00+00:00", last_act=5))
    store.add_encoder(run("later", "2020-11-19T12:31:00+00:00", last_act=9))
    found = newest_run(store)
    assert found is not None
    assert found.id == "later"


def test_a_run_is_news_until_the_person_answers_again() -> None:
    store = Store()
    answer(store, "First.")
    store.add_encoder(run("a", last_act=store.last_act_id()))
    assert fresh_run(store) is not None
    answer(store, "Second.")
    assert fresh_run(store) is None


def test_the_headline_says_what_was_found_or_why_nothing_changed() -> None:
    kept = run("a", reason="activated: it foresees 23 of 30 choices it has not seen")
    assert headline(kept, "last night") == "PenPal learned last night: it foresees 23 of 30 choices it has not seen."
    rejected = run("a", reason="not activated: its drafts read badly")
    assert headline(rejected, "today") == "PenPal tried a new voice today; not activated: its drafts read badly."
    assert headline(run("a"), "today") == "PenPal learned today: made from 47 answers."


def test_a_report_is_read_from_its_file_and_only_from_the_runs(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "a.md").write_text("# Good")
    (tmp_path / "secret.md").write_text("# Not this")
    assert report_of(run("a", markdown="a.md"), runs) == "# Good"
    assert "Not this" not in report_of(run("a", markdown="../secret.md"), runs)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({}, "**47** answers"),
        ({"accuracy": 0.77}, "**77%**"),
        ({"perplexity_generic": 3.9, "perplexity_personal": 4.24}, "3.9 generic, 4.2 personal"),
        ({"strength": 0.5}, "50% of its strength"),
        ({"reason": "not activated: luck"}, "# No new voice"),
        ({"markdown": "gone.md"}, "gone.md"),
    ],
)
def test_without_its_file_the_numbers_of_the_database_are_told(
    report: dict[str, Any], said: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.md").write_bytes(b"\xff\xfe\xff")
    assert said in report_of(run("a", **({"markdown": "broken.md"} | report)), tmp_path)

"""`penpal feedback`: answers from a script become pairs, without a backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.store import Store
from tests.app.conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def two_drafts(penpal: Run) -> None:
    penpal("write", "Say hello.", "-n", "2")


pytestmark = pytest.mark.usefixtures("two_drafts")


def test_a_pick_is_recorded_and_makes_a_pair(penpal: Run, store: Store) -> None:
    assert penpal("feedback", "pick", "2").out == ("Recorded: you picked draft 2. There is now 1 pair to learn from.\n")
    (pair,) = store.evidence(backbone_id=store.draft(2).backbone_id)
    assert (pair.chosen.text, pair.rejected.text) == ("A dry one.", "A warm and friendly draft.")


def test_an_edit_and_a_pick_make_two_pairs(penpal: Run) -> None:
    penpal("feedback", "pick", "2")
    assert penpal("feedback", "edit", "2", "--text", "A dry but kind one.").out == (
        "Recorded: your version of draft 2. There are now 2 pairs to learn from.\n"
    )


@pytest.mark.parametrize("answer", [("pick", "2"), ("edit", "2", "--text", "Born in 1912.")])
def test_a_wrong_fact_is_recorded_and_nothing_to_learn_from(penpal: Run, store: Store, answer: tuple[str, ...]) -> None:
    assert penpal("feedback", *answer, "--note", "Wrong fact").out.endswith("There are now 0 pairs to learn from.\n")
    assert [act.note for act in store.acts(1)] == ["Wrong fact"]


def test_an_edit_comes_from_a_file_or_a_pipe_without_its_last_line_break(
    penpal: Run, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("From a file.\n", encoding="utf-8")
    penpal("feedback", "edit", "1", "--file", file)
    penpal("feedback", "edit", "2", piped="From a pipe.\n")
    assert [act.text for act in store.acts(1)] == ["From a file.", "From a pipe."]


def test_the_same_text_is_no_edit(penpal: Run, store: Store) -> None:
    assert penpal("feedback", "edit", "2", "--text", "A dry one.").out == (
        "Draft 2 already reads like that: nothing was recorded. There are now 0 pairs to learn from.\n"
    )
    assert store.acts(1) == []


def test_json_says_what_was_recorded(penpal: Run) -> None:
    assert penpal("feedback", "star", "1", "--json").json == {
        "recorded": "star",
        "act_id": 1,
        "draft_id": 1,
        "turn_id": 1,
        "pairs": 1,
    }
    assert penpal("feedback", "edit", "2", "--text", "A dry one.", "--json").json["recorded"] is None


@pytest.mark.parametrize("arguments", [("pick", "99"), ("star", "99"), ("edit", "99", "--text", "x")])
def test_an_unknown_draft_is_one_clear_line(penpal: Run, arguments: tuple[str, ...]) -> None:
    assert penpal("feedback", *arguments) == Result(
        2, "", "penpal: There is no draft 99: 'penpal write --json' prints the ids of its drafts.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--text", " "), "The edited text is empty, so it was not kept: the draft is as it was."),
        (("--text", "a", "--file", "b"), "Give your version with --text or with --file, not both."),
        ((), "Give your version of the draft with --text or --file, or pipe it in."),
        (("--file", "nowhere.txt"), "nowhere.txt cannot be read: No such file or directory."),
    ],
)
def test_an_edit_without_a_text_is_one_clear_line(penpal: Run, arguments: tuple[str, ...], message: str) -> None:
    assert penpal("feedback", "edit", "1", *arguments) == Result(2, "", f"penpal: {message}\n")


def test_a_draft_id_that_is_no_number_is_a_usage_error(penpal: Run) -> None:
    found = penpal("feedback", "pick", "two")
    assert (found.code, found.out) == (2, "")
    assert "Traceback" not in found.err

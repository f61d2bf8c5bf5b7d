"""`penpal rate` before its screen opens: files of pairs and of prompts, and errors of one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli.pairs_file import LONGEST_TEXT, read_pairs
from app.pair_sources import FoundPair
from app.rating_prompts import ENOUGH, LONGEST, rating_prompts

Run = Callable[..., Any]
PAIR = {"prompt": "Write.", "a": "One.", "b": "Two."}


def file_of(folder: Path, *lines: object) -> Path:
    file = folder / "pairs.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return file


def test_pairs_come_as_a_and_b_or_as_trl_has_them(tmp_path: Path) -> None:
    chat = {
        "prompt": [{"role": "user", "content": "Write."}],
        "chosen": [{"role": "assistant", "content": "Good."}],
        "rejected": [{"role": "assistant", "content": "Bad."}],
    }
    file = file_of(tmp_path, PAIR, "", {"prompt": "Write.", "chosen": "Yes.", "rejected": "No."}, chat)
    assert [pair.texts for pair in read_pairs(file)] == [("One.", "Two."), ("Yes.", "No."), ("Good.", "Bad.")]
    assert {pair.prompt for pair in read_pairs(file)} == {"Write."}


def test_a_pair_counts_once_and_the_same_text_twice_is_none(tmp_path: Path) -> None:
    file = file_of(tmp_path, PAIR, PAIR, {**PAIR, "b": "One.  "})
    assert read_pairs(file) == [FoundPair("Write.", ("One.", "Two."))]


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (pair,) = read_pairs(file_of(tmp_path, {**PAIR, "a": "\x1b[31mRed\x07\n\tand 👩‍🚀"}))
    assert pair.texts[0] == "[31mRed\n\tand 👩‍🚀"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", ", line 2, is not JSON."),
        ("[]", ", line 2, is not an object with fields: it needs 'prompt', 'a' and 'b'."),
        ('{"prompt": "Write."}', ", line 2, has no two texts: it needs 'a' and 'b', or 'chosen' and 'rejected'."),
        ('{"prompt": "Write.", "a": "One."}', ", line 2, has no text in the field 'b'."),
        ('{"a": "One.", "b": "Two."}', ", line 2, has no text in the field 'prompt'."),
        ('{"prompt": "Write.", "chosen": [], "rejected": 3}', ", line 2, has no text in the field 'chosen'."),
        (
            json.dumps({**PAIR, "a": "x" * (LONGEST_TEXT + 1)}),
            ", line 2, has 8001 characters in 'a': at most 8000 can be compared.",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_that_names_the_line(
    penpal: Run, tmp_path: Path, line: str, problem: str
) -> None:
    found = penpal("rate", "--from", file_of(tmp_path, PAIR, line))
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert found.err.endswith(f"pairs.jsonl{problem}\n")


@pytest.mark.parametrize(("lines", "problem"), [((), "holds no pair:"), (({**PAIR, "b": "One."},), "different texts:")])
def test_a_file_without_pairs_says_how_one_looks(
    penpal: Run, tmp_path: Path, lines: tuple[object, ...], problem: str
) -> None:
    found = penpal("rate", "--from", file_of(tmp_path, *lines))
    assert found.code == 2
    assert problem in found.err
    assert '{"prompt": ..., "a": ..., "b": ...}' in found.err


def test_binary_missing_and_contradictory_files_are_one_line(penpal: Run, tmp_path: Path) -> None:
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    assert "not a text file in UTF-8" in penpal("rate", "--from", binary).err
    assert "cannot be read" in penpal("rate", "--from", tmp_path / "none.jsonl").err
    pairs = file_of(tmp_path, PAIR)
    assert "do not go together" in penpal("rate", "--from", pairs, "--prompts", pairs).err


def test_pairs_and_goal_reach_the_screen(penpal: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(
        "app.tui.run_rate", lambda penpal, prompts, pairs, *, context, goal: seen.extend([pairs, context, goal])
    )
    penpal("rate", "--from", file_of(tmp_path, PAIR), "--goal", "7", "--context", "mail")
    assert seen == [[FoundPair("Write.", ("One.", "Two."))], "mail", 7]


# --- prompts ----------------------------------------------------------------------------------------------------


def test_few_prompts_of_ones_own_come_first_and_then_made_up_ones_of_the_same_kind() -> None:
    made_up = ["Write a poem about rain.", "Write an email to Ann.", "Think about it.", "Write a letter to Bob."]
    found = rating_prompts(["Draft a mail to the team."], made_up)
    assert found[0] == "Draft a mail to the team."
    assert {*found[1:3]} == {"Write an email to Ann.", "Write a letter to Bob."}
    assert sorted(found[1:]) == sorted(made_up)


def test_with_enough_of_ones_own_nothing_is_made_up_and_overlong_ones_are_left_out() -> None:
    own = [f"Prompt {number}." for number in range(ENOUGH)]
    assert rating_prompts([*own, "x" * (LONGEST + 1)], ["Made up."]) == own

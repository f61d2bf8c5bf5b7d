"""`penpal rate --plain`: pairs in lines, one answer each, recorded as on the drawn screen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from core.feedback import Act, in_force
from core.store import Store
from tests.app.conftest import Result
from tests.hooked_decoder import HookedDecoder

Run = Callable[..., Result]


@pytest.fixture
def rate(penpal: Run, tmp_path: Path) -> Callable[..., Result]:
    """`rate("1", "t")` answers pairs of a file: draft a is warm, draft b is dry, over and over."""
    file = tmp_path / "pairs.jsonl"
    pairs = [{"prompt": f"Task {n}.", "a": f"A warm and friendly text {n}.", "b": f"Dry {n}."} for n in range(5)]
    file.write_text("\n".join(json.dumps(pair) for pair in pairs))

    def run(*lines: str, options: tuple[str, ...] = ()) -> Result:
        return penpal("rate", "--plain", "--from", file, *options, piped="".join(f"{line}\n" for line in lines))

    return run


def acts(store: Store) -> list[Act]:
    found = [act for turn in range(1, 6) for act in store.acts(turn)]
    return sorted(in_force(found), key=lambda act: act.id)


def test_one_answer_a_pair(rate: Run, store: Store) -> None:
    found = rate("1", "2!", "t", "b", "s")
    assert (found.code, found.err) == (0, "")
    assert [act.kind for act in acts(store)] == ["pick", "pick", "tie", "both_bad", "skip"]
    assert [act.strength for act in acts(store)[:2]] == ["slight", "clear"]
    assert "All pairs are answered." in found.out
    assert "5 answered in" in found.out


def test_a_number_is_the_draft_that_was_read_out_under_it(rate: Run, store: Store) -> None:
    out = rate("2").out
    said = out.split("Draft 2 of 2")[1].split(":\n")[1].splitlines()[0]
    assert store.draft(acts(store)[0].draft_id or 0).text == said


def test_a_reason_goes_with_the_answer(rate: Run, store: Store) -> None:
    rate("w too long", "1", "2")
    assert [act.note for act in acts(store)] == ["too long", None]


def test_undo_goes_back_to_the_pair_before_without_limit(rate: Run, store: Store) -> None:
    out = rate("1", "1", "u", "u", "u", "t").out
    assert out.count("Taken back: left.") == 2
    assert "There is nothing to take back here." in out
    assert [act.kind for act in acts(store)] == ["tie"]


def test_a_draft_can_be_edited_instead(rate: Run, store: Store) -> None:
    rate("e", "e 1", "My own words for it.", ".")
    (act,) = acts(store)
    assert (act.kind, act.text) == ("edit", "My own words for it.")


def test_the_end_of_the_pipe_keeps_all_answers(rate: Run, store: Store) -> None:
    found = rate("1")
    assert found.code == 0
    assert "1 answered in" in found.out
    assert len(acts(store)) == 1


def test_drafts_are_written_when_there_is_no_file(
    penpal: Run, decoder: HookedDecoder, store: Store, tmp_path: Path
) -> None:
    decoder.texts = [f"{word} text about it, number {n}." for n, word in enumerate(["One", "Two", "Three", "Four"])]
    (tmp_path / "prompts.txt").write_text("Write about the sea.\n")
    found = penpal("rate", "--plain", "--prompts", tmp_path / "prompts.txt", piped="1\nq\n")
    assert found.code == 0
    assert "The prompt: Write about the sea." in found.out
    assert [act.kind for act in acts(store)] == ["pick"]


def test_what_goes_wrong_is_one_line(penpal: Run, decoder: HookedDecoder, tmp_path: Path) -> None:
    decoder.texts = ["The same."]
    (tmp_path / "prompts.txt").write_text("Write about the sea.\n")
    found = penpal("rate", "--plain", "--prompts", tmp_path / "prompts.txt", piped="1\n")
    assert found.code == 1
    assert "penpal doctor" in found.err
    assert found.err.count("\n") == 1

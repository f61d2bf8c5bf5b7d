"""`penpal forget`: it shows and asks, does all of it or says what is in the way, and tells what it cannot reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from app.cli.forget import OUT_OF_REACH
from core.store import Store
from tests.app.conftest import Result, answer, picks
from tests.home_bytes import files_with
from tests.hooked_decoder import HookedDecoder

Run = Callable[..., Result]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the person answers when they are asked, one after the other; what they were asked is put in its place."""
    answers: list[str] = []

    def ask(text: str, **options: object) -> str:
        given = answers.pop(0)
        answers.append(f"asked: {text}")
        return given

    monkeypatch.setattr(typer, "prompt", ask)
    monkeypatch.setattr(typer, "confirm", lambda text, **options: ask(text) == "y")
    return answers


def filled(home: Path) -> None:
    """Two conversations, one of them about Zebulon."""
    store = Store(home / "penpal.db")
    answer(store, "Write to Zebulon.", texts=("Dear Zebulon!", "Zebulon."))
    answer(store, "Describe the sea.")
    store.close()


def test_it_shows_what_would_go_and_forgets_nothing_without_a_yes(
    penpal: Run, penpal_home: Path, said: list[str]
) -> None:
    filled(penpal_home)
    said[:] = ["n"]
    found = penpal("forget", "--search", "zebulon")
    first, line, last = found.out.splitlines()
    assert first == "This would be forgotten: 1 conversation, 1 prompt, 2 drafts, 1 answer."
    assert line.endswith("conversation 1: Write to Zebulon.")
    assert last == "Nothing was forgotten."
    assert files_with(penpal_home, ["Zebulon"])


def test_a_yes_forgets_for_good_and_says_what_is_out_of_reach(penpal: Run, penpal_home: Path, said: list[str]) -> None:
    filled(penpal_home)
    said[:] = ["y"]
    found = penpal("forget", "--search", "zebulon")
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[2:] == [
        "Forgotten for good: 1 conversation, 1 prompt, 2 drafts, 1 answer.",
        OUT_OF_REACH,
    ]
    assert files_with(penpal_home, ["Zebulon"]) == {}


def test_copies_that_would_go_are_told_before(penpal: Run, penpal_home: Path, said: list[str]) -> None:
    filled(penpal_home)
    copy = penpal_home / "backups" / "before-restore-20261121-120000" / "penpal.db"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"Zebulon")
    said[:] = ["y"]
    found = penpal("forget", "--search", "zebulon")
    assert "since it holds copies:\n  backups/before-restore-20261121-120000\n" in found.out
    assert files_with(penpal_home, ["Zebulon"]) == {}
    assert not copy.parent.exists()


def test_a_script_must_say_yes_beforehand(penpal: Run, penpal_home: Path) -> None:
    filled(penpal_home)
    assert penpal("forget", "--search", "zebulon", piped="y\n").err == (
        "penpal: Nothing was forgotten, because nobody can be asked here: add --yes to forget it.\n"
    )
    found = penpal("forget", "--search", "zebulon", "--yes", "--json", piped="").json
    assert found == {
        "forgotten": {"conversations": 1, "prompts": 1, "drafts": 2, "answers": 1, "unsent texts": 0},
        "files": [],
        "voices": {},
    }


def test_everything_asks_for_a_word(penpal: Run, penpal_home: Path, said: list[str]) -> None:
    filled(penpal_home)
    said[:] = ["y"]
    assert penpal("forget", "--everything").out.endswith("Nothing was forgotten.\n")
    said[:] = [" Forget "]
    assert "Forgotten for good: 2 conversations" in penpal("forget", "--everything").out
    assert files_with(penpal_home, ["Zebulon", "the sea"]) == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Say what to forget"),
        (["--deleted", "--everything"], "--deleted and --everything do not go together"),
        (["--before", "yesterday"], "'yesterday' is no date: write it as 2026-11-21"),
        (["--after", "2026-02-01", "--before", "2026-01-01"], "There is no time after 2026-02-01"),
        (["--draft", "7"], "There is no draft 7"),
        (["--conversation", "7"], "There is no conversation 7."),
        (["--search", "?!"], "There is no word to look for"),
    ],
)
def test_what_makes_no_sense_is_one_clear_line(penpal: Run, arguments: list[str], told: str) -> None:
    found = penpal("forget", *arguments, "--yes")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert told in found.err


def test_nothing_to_forget_is_no_error(penpal: Run) -> None:
    assert penpal("forget", "--deleted").out == "There is nothing like that: nothing was forgotten.\n"
    assert penpal("forget", "--search", "zebulon").code == 0


def test_another_penpal_must_be_closed_first(
    penpal: Run, penpal_home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.forgetting.forget.__kwdefaults__", {"wait_s": 0.0})
    answer(store, "Write to Zebulon.")
    found = penpal("forget", "--search", "zebulon", "--yes")
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "close it, then try again. Nothing was forgotten yet." in found.err
    assert store.counts()["turns"] == 1


# --- voices that were trained on it -----------------------------------------------------------------------------


def trained(penpal: Run, home: Path) -> str:
    """A home with a voice that learned from Zebulon and others; returns its id."""
    store = Store(home / "penpal.db")
    picks(store, 12)
    answer(store, "Write to Zebulon.")
    store.close()
    assert penpal("personalize", "--force").code == 0
    return str(penpal("encoder", "list", "--json").json[-1]["id"])


def test_a_voice_that_was_trained_on_it_is_marked(penpal: Run, penpal_home: Path) -> None:
    voice = trained(penpal, penpal_home)
    assert "Zebulon" in "".join(path.read_text() for path in (penpal_home / "runs").glob("*.md"))
    found = penpal("forget", "--search", "zebulon", "--yes", piped="")
    assert f"Voice {voice[:12]} (in use) was trained on 1 choice of these." in found.out
    assert files_with(penpal_home, ["Zebulon"]) == {}
    marked = "was trained on 1 choice that you have forgotten"
    assert marked in penpal("encoder", "list").out
    assert marked in penpal("encoder", "show", voice[:12]).out
    assert penpal("encoder", "show", voice[:12], "--json").json["forgotten"] == 1


def test_it_learns_again_without_it_when_asked(
    penpal: Run, penpal_home: Path, decoder: HookedDecoder, said: list[str]
) -> None:
    old = trained(penpal, penpal_home)
    said[:] = ["y", "y"]
    found = penpal("forget", "--search", "zebulon")
    assert said[-1] == "asked: Learn again without it now?"
    assert (found.code, found.err) == (0, "")
    *_, before, new = penpal("encoder", "list", "--json").json
    assert (before["id"], before["forgotten"], before["active"]) == (old, 1, False)
    assert (new["forgotten"], new["active"], new["pairs"]) == (0, True, 12)


def test_too_little_left_to_learn_from_is_told_and_the_forgetting_stands(penpal: Run, penpal_home: Path) -> None:
    trained(penpal, penpal_home)
    found = penpal("forget", "--after", "2026-01-01", "--yes", "--retrain", piped="")
    assert found.code == 0
    assert "Not learned again" in found.err
    assert "'penpal encoder use generic'" in found.err


def test_what_was_interrupted_is_finished(penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(penpal_home)

    def full(self: Store) -> None:
        from core.errors import StoreError

        raise StoreError("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "sweep", full)
        found = penpal("forget", "--search", "zebulon", "--yes")
    assert found.code == 1
    assert "traces may still lie in the file: 'penpal forget' alone removes them." in found.err
    assert penpal("forget").out == "What was left of an interrupted forgetting is gone now.\n"
    assert files_with(penpal_home, ["Zebulon"]) == {}


def test_the_same_command_again_finishes_what_was_interrupted(
    penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill nothing was said, so a person asks for the same again; there are no rows of it any more."""
    filled(penpal_home)
    with monkeypatch.context() as broken:
        broken.setattr(Store, "sweep", lambda self: None)
        penpal("forget", "--search", "zebulon", "--yes")
    assert files_with(penpal_home, ["Zebulon"])
    first, _ = penpal("forget", "--search", "zebulon", "--yes").out.splitlines()
    assert first == "What was left of an interrupted forgetting is gone now."
    assert files_with(penpal_home, ["Zebulon"]) == {}

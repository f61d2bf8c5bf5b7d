"""`penpal chat --plain`: the whole loop in lines, as a pipe and as a screen reader get it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.feedback import in_force
from core.store import Store
from tests.app.conftest import Result
from tests.hooked_decoder import HookedDecoder

Run = Callable[..., Result]


def kinds(store: Store, turn_id: int = 1) -> list[str]:
    return [act.kind for act in in_force(store.acts(turn_id))]


def test_a_prompt_is_drafted_picked_and_kept(talk: Run, store: Store) -> None:
    found = talk("Say hello.", "1", "")
    assert (found.code, found.err) == (0, "")
    assert "Draft 1 of 2, 5 words:\nA warm and friendly draft." in found.out
    assert "Draft 2 of 2, 3 words:\nA dry one." in found.out
    assert "Kept." in found.out
    assert kinds(store) == ["pick", "accept"]
    assert store.accepted_text(1) == "A warm and friendly draft."


def test_nothing_that_a_terminal_acts_upon_is_printed(talk: Run, decoder: HookedDecoder) -> None:
    decoder.texts = ("A \x1b[31mred\x07 one.", "Another\rone.")
    out = talk("Say hello.").out
    assert all(character.isprintable() or character == "\n" for character in out)


def test_an_edit_is_typed_line_by_line(talk: Run, store: Store) -> None:
    found = talk("Say hello.", "e 2", "A dry one,", "with more.", ".", "")
    assert "Your version is saved (+" in found.out
    assert kinds(store) == ["pick", "edit", "accept"]
    assert store.accepted_text(1) == "A dry one,\nwith more."


def test_a_half_typed_edit_comes_back(talk: Run, store: Store) -> None:
    talk("Say hello.", "e 1", "Half a thought")
    assert kinds(store) == ["pick"]
    found = talk("e", "and the rest.", ".")
    assert "You had begun; go on from here:\nHalf a thought" in found.out
    assert store.acts(1)[-1].text == "Half a thought\nand the rest."


def test_an_edit_can_be_left_or_come_to_nothing(talk: Run, store: Store) -> None:
    out = talk("Say hello.", "e 1", "No.", "/no", "e 1", ".").out
    assert out.count("The draft is as it was.") == 2
    assert kinds(store) == ["pick"]


def test_redo_writes_two_others(talk: Run, store: Store) -> None:
    talk("Say hello.", "r", "2", "a")
    assert kinds(store) == ["redo", "redo", "pick", "accept"]
    assert len(store.drafts(1)) == 4


@pytest.mark.parametrize(("answer", "kind"), [("t", "tie"), ("b", "both_bad"), ("s", "skip"), ("star 2", "star")])
def test_other_answers(talk: Run, store: Store, answer: str, kind: str) -> None:
    talk("Say hello.", answer)
    assert kinds(store) == [kind]


def test_undo_takes_back_one_thing_after_the_other(talk: Run, store: Store) -> None:
    out = talk("Say hello.", "1", "", "u", "u", "u").out
    assert "Taken back: that you kept it." in out
    assert "Taken back: that you picked it." in out
    assert "There is nothing to take back here." in out
    assert kinds(store) == []


def test_going_on_keeps_what_was_picked(talk: Run, store: Store) -> None:
    talk("Say hello.", "1", "Now say it in French.")
    assert kinds(store) == ["pick", "accept"]
    assert store.turn(2).prompt == "Now say it in French."
    assert store.turn(2).conversation_id == store.turn(1).conversation_id


def test_an_unknown_answer_changes_nothing(talk: Run, store: Store) -> None:
    assert "There is no answer 'x'." in talk("Say hello.", "x").out
    assert kinds(store) == []


def test_a_choice_that_was_left_open_comes_back(talk: Run, store: Store) -> None:
    talk("Say hello.")
    assert "Going on with: Say hello." in talk("1", "").out
    assert kinds(store) == ["pick", "accept"]


def test_a_prompt_of_several_lines_survives_the_end_of_the_pipe(talk: Run, decoder: HookedDecoder) -> None:
    talk("m", "Dear Ann,", "this is")
    assert not decoder.asked
    out = talk("", "").out
    assert "You began this and did not send it: Dear Ann,\nthis is" in out
    assert decoder.asked[0][0][0].content == "Dear Ann,\nthis is"


def test_a_prompt_that_is_too_long_can_be_cut_or_left(talk: Run, decoder: HookedDecoder, store: Store) -> None:
    decoder.room = 10
    long = "word " * 12
    assert "c and Enter cuts its middle" in talk(long, "no").out
    assert store.unsaved("composer") == long.strip()
    talk("", "c")
    assert "[…]" in store.turn(1).prompt


@pytest.mark.parametrize(
    ("number", "task"), [("2", "Write a reply"), ("3", "Rewrite this text"), ("4", "Continue this text")]
)
def test_starting_points_ask_for_a_text_and_a_wish(talk: Run, store: Store, number: str, task: str) -> None:
    talk(number, "Will you come?", ".", "be kind")
    prompt = store.turn(1).prompt
    assert task in prompt
    assert "Will you come?" in prompt
    assert "kind" in prompt


def test_conversations_are_listed_and_opened(talk: Run) -> None:
    out = talk("Say hello.", "s", "n", "Say bye.", "s", "l", "l 2", "l 9").out
    assert "1  Say bye.\n2  Say hello." in out
    assert "There is no conversation 9: the last one is 2." in out


def test_files_go_below_the_first_prompt(talk: Run, tmp_path, store: Store) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ann,\nwill you come?\n")
    (tmp_path / "note.txt").write_text("On Friday.")
    options = ("--file", str(tmp_path / "letter.txt"), "--file", str(tmp_path / "note.txt"))
    found = talk("Reply kindly.", "1", "", "Shorter, please, now.", options=options)
    assert "Your text (7 words) goes below your first prompt." in found.out
    assert store.turn(1).prompt == "Reply kindly.\n\nDear Ann,\nwill you come?\n\nOn Friday."
    assert store.turn(2).prompt == "Shorter, please, now."


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.txt", None, "gone.txt cannot be read: No such file or directory."),
        ("empty.txt", b" \n", "empty.txt is empty."),
        ("photo.png", b"\x89PNG\r\n\0\0", "photo.png is not a text but a binary file"),
        ("old.txt", "Schön".encode("latin-1"), "old.txt is not a text in UTF-8"),
        ("wide.txt", "Hello".encode("utf-16"), "wide.txt is not a text in UTF-8"),
        ("book.txt", b"word " * 7000, "book.txt is too long"),
        ("huge.txt", "ö".encode() * 1_000_000, "huge.txt is too long"),
    ],
)
def test_a_file_that_will_not_do_is_one_clear_line(
    talk: Run, tmp_path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    found = talk(options=("--file", str(tmp_path / name)))
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("penpal: ")
    assert said in found.err
    assert found.err.count("\n") == 1

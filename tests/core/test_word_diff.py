"""What changed between two texts, and texts made of some of the changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.feedback import words
from core.word_diff import Piece, changes, put_together, word_diff

TEXTS = st.text(alphabet="abc.  \n\té漢", max_size=40)
SENTENCES = st.lists(
    st.sampled_from(["I ", "we ", "hope ", "to ", "meet", ", ", "on\n", "\n\n", "Friday. "]), max_size=20
)


def told(before: str, after: str) -> list[tuple[str, str]]:
    """The changes alone, without white space around them."""
    return [(piece.before.strip(" "), piece.after.strip(" ")) for piece in word_diff(before, after) if piece.changed]


def test_a_change_is_told_by_its_words() -> None:
    assert word_diff("I hope so.", "I do hope so.") == (
        Piece("I ", "I ", False), Piece("", "do ", True), Piece("hope so.", "hope so.", False),
    )  # fmt: skip
    assert told("We meet on Friday at noon.", "We meet on Monday at noon.") == [("Friday", "Monday")]


def test_the_same_text_has_no_changes_whatever_its_spaces() -> None:
    assert changes(word_diff("One  two.\n", "One two.")) == []
    assert changes(word_diff("", "")) == []


def test_a_new_line_is_a_change() -> None:
    assert told("Dear Ann, thank you.", "Dear Ann,\n\nthank you.") == [("", "\n\n")]


def test_changes_with_one_little_word_between_them_are_one() -> None:
    assert told("the quick to brown fox", "a slow to red fox") == [("the quick to brown", "a slow to red")]
    assert told("the quick running brown fox", "a slow running red fox") == [("the quick", "a slow"), ("brown", "red")]


@pytest.mark.parametrize(
    ("accepted", "text"),
    [
        ((), "I hope we can meet today."),
        ((1,), "I trust we can meet today."),
        ((3,), "I hope we can meet you today."),
        ((1, 3), "I trust we can meet you today."),
    ],
)
def test_a_text_has_the_accepted_changes_and_no_others(accepted: tuple[int, ...], text: str) -> None:
    pieces = word_diff("I hope we can meet today.", "I trust we can meet you today.")
    assert changes(pieces) == [1, 3]
    assert put_together(pieces, accepted) == text


@given(st.one_of(TEXTS, SENTENCES.map("".join)), st.one_of(TEXTS, SENTENCES.map("".join)))
def test_all_changes_make_the_one_text_and_none_the_other(before: str, after: str) -> None:
    pieces = word_diff(before, after)
    assert put_together(pieces, changes(pieces)) == after.rstrip()
    assert words(put_together(pieces, ())) == words(before)


@given(SENTENCES.map("".join), SENTENCES.map("".join), st.sets(st.integers(0, 12)))
def test_any_choice_of_changes_keeps_words_whole(before: str, after: str, accepted: set[int]) -> None:
    pieces = word_diff(before, after)
    known = set(words(before)) | set(words(after))
    assert set(words(put_together(pieces, accepted))) <= known

"""Sentences as a merge takes them over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sentences import Sentence, sentences, take_in, take_out, takes_over, with_breaks


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Dear Ann. The sun is out! Come?", ["Dear Ann.", "The sun is out!", "Come?"]),
        ("Dear Ann,\n\nCome soon.\nBen", ["Dear Ann,", "Come soon.", "Ben"]),
        ("It costs 3.5 euros. See penpal.toml.", ["It costs 3.5 euros.", "See penpal.toml."]),
        ('"Really?" she said. (He did not.) So…', ['"Really?"', "she said.", "(He did not.)", "So…"]),
        ("  - one\n  - two  \n", ["- one", "- two"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_a_text_in_sentences(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@given(st.text(alphabet="ab.!? \n\"')", max_size=40))
def test_sentences_leave_nothing_out(text: str) -> None:
    assert " ".join(sentences(text)).split() == text.split()
    assert all(takes_over(text, sentence) for sentence in sentences(text))


def test_a_sentence_is_taken_over_word_for_word_or_not() -> None:
    assert takes_over("Hello.\nThe sun  is out. Bye.", "The sun is out.")
    assert not takes_over("The sun is out today.", "The sun is out.")
    assert not takes_over("In the casino.", "no.")


LETTER = "Dear Ann,\n\nThe sun is out. Come soon.\nBen"


def test_sentences_know_what_parts_them() -> None:
    assert with_breaks(LETTER) == [
        Sentence("Dear Ann,", "", "\n\n"),
        Sentence("The sun is out.", "\n\n", " "),
        Sentence("Come soon.", " ", "\n"),
        Sentence("Ben", "\n", ""),
    ]
    assert with_breaks("") == []


def test_taking_all_sentences_in_makes_the_text_again() -> None:
    text, at, after = "", 0, ""
    for sentence in with_breaks(LETTER):
        text, at = take_in(text, at, sentence, after=after)
        after = sentence.after
    assert (text, at) == (LETTER, len(LETTER))


@pytest.mark.parametrize(
    ("at", "text", "cursor"),
    [(0, "It rains. One. Two.\n\nThree.", 9), (4, "One. It rains. Two.\n\nThree.", 14),
     (9, "One. Two. It rains.\n\nThree.", 19), (17, "One. Two.\n\nThree. It rains.", 27)],
)  # fmt: skip
def test_a_sentence_is_taken_in_where_the_cursor_is(at: int, text: str, cursor: int) -> None:
    assert take_in("One. Two.\n\nThree.", at, Sentence("It rains.")) == (text, cursor)


def test_a_greeting_keeps_its_line_whatever_comes_after_it() -> None:
    assert take_in("Dear Ann,", 9, Sentence("Hello.", " "), after="\n\n")[0] == "Dear Ann,\n\nHello."


@pytest.mark.parametrize("sentence", [sentence.text for sentence in with_breaks(LETTER)])
def test_a_sentence_taken_out_takes_its_gap_along(sentence: str) -> None:
    left = take_out(LETTER, sentence)
    assert sentences(left) == [one for one in sentences(LETTER) if one != sentence]
    assert left == left.strip()
    assert "\n\n\n" not in left


def test_what_is_not_there_cannot_be_taken_out() -> None:
    assert take_out("In the casino.", "no.") == "In the casino."
    assert take_out("One two\nthree. Four.", "One two three.") == "Four."


@given(st.text(alphabet="ab.!? \n", max_size=40), st.integers(0, 40))
def test_what_is_taken_in_can_be_taken_out_again(text: str, at: int) -> None:
    new = Sentence("A new one.", "\n\n")
    within, behind = take_in(text, at, new)
    assert within[:behind].endswith(new.text)
    assert within.split() == [*text[:at].split(), *new.text.split(), *text[at:].split()]
    assert take_out(within, new.text).split() == [*text[:at].split(), *text[at:].split()]

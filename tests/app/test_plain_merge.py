"""`penpal chat --plain`: one text out of two drafts, by the numbers of their sentences and paragraphs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.plain_merge import parts_of
from core.feedback import in_force
from core.store import Store
from tests.app.conftest import Result
from tests.hooked_decoder import HookedDecoder

Run = Callable[..., Result]
LEFT = "Dear Ann,\n\nIt rains. Come soon!"
RIGHT = "Hello Ann,\n\nThe sun is out. Come when you like."
BOTH = "Dear Ann,\n\nThe sun is out. Come soon!"


@pytest.fixture(autouse=True)
def drafts(decoder: HookedDecoder) -> None:
    decoder.texts = [LEFT, RIGHT]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("1 5 3", BOTH),
        ("1,5,3", BOTH),
        ("1-3", LEFT),
        ("p1 p4", "Dear Ann,\n\nThe sun is out. Come when you like."),
        ("3 1", "Come soon!\nDear Ann,"),
        ("p3 5-6", RIGHT),
    ],
)
def test_numbers_make_a_text_parted_as_it_was(said: str, text: str) -> None:
    parts = parts_of([LEFT, RIGHT])
    made = parts.together(parts.numbers(said))
    assert made.split() == text.split()
    if said != "3 1":
        assert made == text


@pytest.mark.parametrize("said", ["7", "0", "p5", "p0", "1-9", "one", "1 x", "-3", "p"])
def test_numbers_of_nothing_make_nothing(said: str) -> None:
    assert parts_of([LEFT, RIGHT]).numbers(said) == []


def test_both_drafts_are_read_out_under_numbers_and_merged(talk: Run, store: Store) -> None:
    found = talk("Write.", "/merge", "1 5 3", "", "")
    assert (found.code, found.err) == (0, "")
    assert "Draft 1, paragraph p1:\n1  Dear Ann,\nDraft 1, paragraph p2:\n2  It rains.\n3  Come soon!" in found.out
    assert "Draft 2, paragraph p3:\n4  Hello Ann," in found.out
    assert f"Your text:\n{BOTH}" in found.out
    assert "Your text is saved, as your version of draft 1." in found.out
    acts = in_force(store.acts(1))
    assert [act.kind for act in acts] == ["edit", "accept"]
    assert acts[0].other_draft_id is not None
    assert store.accepted_text(1) == BOTH


def test_the_version_is_that_of_the_draft_with_most_sentences_and_the_choice_can_be_made_anew(
    talk: Run, store: Store
) -> None:
    out = talk("Write.", "merge", "99", "1", "1 5 6", "").out
    assert "That is no choice of sentences. The last sentence is 6, the last paragraph p4." in out
    assert "your version of draft 2" in out
    assert in_force(store.acts(1))[0].text == "Dear Ann,\n\nThe sun is out. Come when you like."


def test_the_text_can_be_changed_by_hand(talk: Run, store: Store) -> None:
    talk("Write.", "/merge", "1 5", "e", "Dear Ann,", "the sun is out!", ".", "")
    assert in_force(store.acts(1))[0].text == "Dear Ann,\nthe sun is out!"


def test_what_was_put_together_waits_when_the_person_leaves(talk: Run, store: Store) -> None:
    talk("Write.", "/merge", "1 5 3")
    assert store.acts(1) == []
    out = talk("/merge", "/no", "/merge", "").out
    assert out.count(f"You had put this together:\n{BOTH}") == 2
    assert "The drafts are as they were." in out
    assert in_force(store.acts(1))[0].text == BOTH


def test_it_takes_two_drafts(talk: Run, decoder: HookedDecoder, store: Store) -> None:
    decoder.texts = [LEFT, ""]
    assert "It takes two drafts to put one text together" in talk("Write.", "/merge").out
    assert store.acts(1) == []

"""Which preference pairs follow from what a person did."""

from __future__ import annotations

import pytest

from core.feedback import (
    Act,
    ActKind,
    Draft,
    Pair,
    beside_each_other,
    changed_words,
    edit_distance,
    in_force,
    pairs_of_turn,
)
from core.protocols import Message

PROMPT = (Message("user", "Write to a friend."),)


def draft(number: int, text: str, *, side: int = 0, status: str = "done") -> Draft:
    return Draft(number, 1, side, text, status, (float(number),), None, "b", seed=0)


WARM, DRY = draft(1, "I miss you so much, dear friend!"), draft(2, "The weather is acceptable today.", side=1)


def act(number: int, kind: ActKind, **fields: object) -> Act:
    return Act(number, kind, 1, **fields)  # type: ignore[arg-type]


def pick(number: int, chosen: Draft, rejected: Draft) -> Act:
    return act(number, "pick", draft_id=chosen.id, other_draft_id=rejected.id)


def pairs(*acts: Act, drafts: tuple[Draft, ...] = (WARM, DRY)) -> list[Pair]:
    return pairs_of_turn(PROMPT, drafts, acts)


def sides(found: list[Pair]) -> list[tuple[str, str]]:
    return [(pair.chosen.text, pair.rejected.text) for pair in found]


def test_a_pick_prefers_a_draft_to_the_one_beside_it() -> None:
    (found,) = pairs(pick(1, WARM, DRY))
    assert (found.chosen.text, found.rejected.text) == (WARM.text, DRY.text)
    assert (found.chosen.z, found.rejected.z) == ((1.0,), (2.0,))
    assert (found.messages, found.source, found.weight, found.act_id) == (PROMPT, "pick", 1.0, 1)


@pytest.mark.parametrize("kind", ["tie", "both_bad", "skip", "accept"])
def test_an_answer_without_a_preference_makes_no_pair(kind: ActKind) -> None:
    assert pairs(act(1, kind, draft_id=1, text="x")) == []


def test_an_edit_prefers_the_new_text_to_the_draft_and_has_no_latent() -> None:
    (found,) = pairs(act(1, "edit", draft_id=1, text="Come home, old friend!"))
    assert sides([found]) == [("Come home, old friend!", WARM.text)]
    assert (found.chosen.z, found.rejected.z, found.source) == (None, (1.0,), "edit")


def test_the_weight_of_an_edit_grows_with_what_was_changed() -> None:
    text = "one two three four five six seven eight nine ten"
    long = (draft(1, text),)
    (small,) = pairs(act(1, "edit", draft_id=1, text=text.replace("ten", "zehn")), drafts=long)
    (large,) = pairs(act(1, "edit", draft_id=1, text="something else entirely"), drafts=long)
    assert small.weight == pytest.approx(0.2)
    assert large.weight == 1.0


def test_a_typo_in_a_long_text_is_no_evidence_of_taste() -> None:
    text = " ".join(f"word{i}" for i in range(100))
    assert pairs(act(1, "edit", draft_id=1, text=text.replace("word7 ", "wrod7 ")), drafts=(draft(1, text),)) == []


def test_only_the_last_edit_of_a_draft_counts() -> None:
    found = pairs(act(1, "edit", draft_id=1, text="First try."), act(2, "edit", draft_id=1, text="Second try."))
    assert sides(found) == [("Second try.", WARM.text)]


def test_an_edit_of_the_picked_draft_makes_two_pairs() -> None:
    found = pairs(pick(1, WARM, DRY), act(2, "edit", draft_id=1, text="Mine."))
    assert sides(found) == [(WARM.text, DRY.text), ("Mine.", WARM.text)]


def test_a_star_prefers_a_draft_to_the_others_at_half_weight() -> None:
    (found,) = pairs(act(1, "star", draft_id=2))
    assert (sides([found]), found.weight, found.source) == ([(DRY.text, WARM.text)], 0.5, "star")


def test_a_star_adds_nothing_to_a_pick() -> None:
    assert [pair.source for pair in pairs(pick(1, WARM, DRY), act(2, "star", draft_id=1))] == ["pick"]


def test_a_star_is_not_held_against_an_unfinished_draft() -> None:
    assert pairs(act(1, "star", draft_id=1), drafts=(WARM, draft(2, "The wea", status="cancelled"))) == []


def test_a_redo_alone_prefers_nothing() -> None:
    assert pairs(act(1, "redo", draft_id=1), act(2, "redo", draft_id=2)) == []


def test_the_pick_after_a_redo_is_preferred_to_the_drafts_that_were_sent_back() -> None:
    third, fourth = draft(3, "A third text."), draft(4, "A fourth text.", side=1)
    found = pairs(
        act(1, "redo", draft_id=1),
        act(2, "redo", draft_id=2),
        pick(3, third, fourth),
        drafts=(WARM, DRY, third, fourth),
    )
    assert sides(found) == [(third.text, fourth.text), (third.text, WARM.text), (third.text, DRY.text)]
    assert [(pair.source, pair.weight) for pair in found[1:]] == [("redo", 0.5)] * 2


def test_the_latest_answer_counts_when_the_person_changes_their_mind() -> None:
    assert sides(pairs(pick(1, WARM, DRY), pick(2, DRY, WARM))) == [(DRY.text, WARM.text)]
    assert pairs(pick(1, WARM, DRY), act(2, "tie")) == []


def test_an_undone_pick_makes_no_pair() -> None:
    assert pairs(pick(1, WARM, DRY), act(2, "undo", undoes_id=1)) == []


def test_an_undone_undo_brings_the_pick_back() -> None:
    acts = (pick(1, WARM, DRY), act(2, "undo", undoes_id=1), act(3, "undo", undoes_id=2))
    assert sides(pairs(*acts)) == [(WARM.text, DRY.text)]


def test_undoing_a_changed_mind_brings_the_first_answer_back() -> None:
    found = pairs(pick(1, WARM, DRY), pick(2, DRY, WARM), act(3, "undo", undoes_id=2))
    assert sides(found) == [(WARM.text, DRY.text)]


def test_acts_in_force_come_in_the_order_in_which_they_were_done() -> None:
    acts = [act(3, "star", draft_id=1), act(1, "star", draft_id=2), act(2, "undo", undoes_id=1)]
    assert [found.id for found in in_force(acts)] == [3]


@pytest.mark.parametrize("text", ["", "   ", WARM.text])
def test_empty_and_equal_texts_make_no_pair(text: str) -> None:
    assert pairs(pick(1, WARM, draft(2, text, side=1)), drafts=(WARM, draft(2, text, side=1))) == []


@pytest.mark.parametrize(
    ("before", "after", "distance"),
    [
        ("a b c d", "a b c d", 0.0),
        ("a b c d", "a b c x", 0.25),
        ("a b", "x y", 1.0),
        ("a\n b", "a b", 0.0),
        ("", "", 0.0),
    ],
)
def test_edit_distance_is_a_share_of_words(before: str, after: str, distance: float) -> None:
    assert edit_distance(before, after) == distance


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("a b c", "a b c", (0, 0)), ("a b c", "a x c d", (2, 1)), ("", "one two", (2, 0)), ("one two", "two", (0, 1))],
)
def test_changed_words_counts_what_came_and_went(before: str, after: str, expected: tuple[int, int]) -> None:
    assert changed_words(before, after) == expected


def test_a_redo_puts_new_drafts_in_place_and_its_undo_puts_the_old_ones_back() -> None:
    third, fourth = draft(3, "Third."), draft(4, "Fourth.", side=1)
    drafts = [WARM, DRY, third, fourth]
    redo = [act(1, "redo", draft_id=1), act(2, "redo", draft_id=2)]
    assert beside_each_other(drafts, []) == [WARM, DRY]
    assert beside_each_other(drafts, redo) == [third, fourth]
    undone = [*redo, act(3, "undo", undoes_id=1), act(4, "undo", undoes_id=2)]
    assert beside_each_other(drafts, undone) == [WARM, DRY]
    assert beside_each_other([WARM, DRY], redo) == [WARM, DRY]  # the new ones were never made

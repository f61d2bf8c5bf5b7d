"""Acts: which are in force, what stands beside each other, what was kept, and how far an edit went."""

from __future__ import annotations

import pytest

from core.feedback import Act, ActKind, Draft, beside_each_other, changed_words, edit_distance, in_force, kept_text


def draft(number: int, text: str, *, side: int = 0) -> Draft:
    return Draft(number, 1, side, text, "done", None, None, "b", seed=0)


WARM, DRY = draft(1, "I miss you so much, dear friend!"), draft(2, "The weather is acceptable today.", side=1)


def act(number: int, kind: ActKind, **fields: object) -> Act:
    return Act(number, kind, 1, **fields)  # type: ignore[arg-type]


def test_acts_in_force_come_in_the_order_in_which_they_were_done() -> None:
    acts = [act(3, "star", draft_id=1), act(1, "star", draft_id=2), act(2, "undo", undoes_id=1)]
    assert [found.id for found in in_force(acts)] == [3]


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


def test_after_a_redo_that_was_undone_the_next_redo_shows_its_own_drafts() -> None:
    drafts = [draft(number, f"Text {number}.", side=(number - 1) % 2) for number in range(1, 7)]
    acts = [act(1, "redo", draft_id=1), act(2, "redo", draft_id=2)]
    acts += [act(3, "undo", undoes_id=1), act(4, "undo", undoes_id=2)]
    acts += [act(5, "redo", draft_id=1), act(6, "redo", draft_id=2)]
    assert [shown.id for shown in beside_each_other(drafts, acts)] == [5, 6]
    acts += [act(7, "undo", undoes_id=5), act(8, "undo", undoes_id=6)]
    assert [shown.id for shown in beside_each_other(drafts, acts)] == [1, 2]


def test_a_redo_on_top_of_a_redo_is_taken_back_one_by_one() -> None:
    drafts = [draft(number, f"Text {number}.") for number in (1, 2, 3)]
    acts = [act(1, "redo", draft_id=1), act(2, "redo", draft_id=2)]
    assert [shown.id for shown in beside_each_other(drafts, acts)] == [3]
    assert [shown.id for shown in beside_each_other(drafts, [*acts, act(3, "undo", undoes_id=2)])] == [2]


def test_of_three_drafts_that_were_redone_as_two_the_third_is_gone() -> None:
    drafts = [draft(1, "a"), draft(2, "b", side=1), draft(3, "c", side=2), draft(4, "d"), draft(5, "e", side=1)]
    redo = [act(number, "redo", draft_id=number) for number in (1, 2, 3)]
    assert [shown.id for shown in beside_each_other(drafts, redo)] == [4, 5]


def test_the_kept_text_is_the_accepted_one_else_the_edit_else_the_pick() -> None:
    acts = [act(1, "pick", draft_id=1), act(2, "edit", draft_id=1, text="Mine."), act(3, "accept", text="Kept.")]
    assert [kept_text([WARM, DRY], acts[:end]) for end in range(4)] == [None, WARM.text, "Mine.", "Kept."]
    assert kept_text([WARM, DRY], [*acts, act(4, "undo", undoes_id=3)]) == "Mine."


def test_a_repeated_answer_does_not_change_what_was_kept() -> None:
    acts = [act(1, "pick", draft_id=1), act(2, "pick", draft_id=2, again=True)]
    assert kept_text([WARM, DRY], acts) == WARM.text


@pytest.mark.parametrize(("note", "wrong"), [("wrong fact", True), (" Wrong  Fact", True), ("shorter", False)])
def test_a_wrong_fact_is_known_however_it_is_typed(note: str, wrong: bool) -> None:
    assert act(1, "pick", note=note).is_wrong_fact is wrong
    assert not act(1, "pick").is_wrong_fact

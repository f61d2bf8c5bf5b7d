"""What each act, and each sequence of acts, says about taste."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evidence import Evidence, Repeats, evidence_of_turn, lessons, repeats_of_turn
from core.feedback import Act, ActKind, Draft
from core.protocols import Message

PROMPT = (Message("user", "Write to a friend."),)


def draft(number: int, text: str, *, side: int = 0, status: str = "done") -> Draft:
    return Draft(number, 1, side, text, status, (float(number),), None, "b", seed=0)


WARM, DRY = draft(1, "I miss you so much, dear friend!"), draft(2, "The weather is acceptable today.", side=1)
THIRD, FOURTH = draft(3, "A third text."), draft(4, "A fourth text.", side=1)
THREE = (WARM, DRY, draft(3, "A third text.", side=2))


def act(number: int, kind: ActKind, **fields: object) -> Act:
    return Act(number, kind, 1, **fields)  # type: ignore[arg-type]


def pick(number: int, chosen: Draft, rejected: Draft, *, again: bool = False, note: str | None = None) -> Act:
    return act(number, "pick", draft_id=chosen.id, other_draft_id=rejected.id, again=again, note=note)


def redo(first: int, *drafts: Draft, note: str | None = None) -> list[Act]:
    return [act(first + i, "redo", draft_id=drafts[i].id, note=note) for i in range(len(drafts))]


def read(*acts: Act, drafts: Sequence[Draft] = (WARM, DRY), context: str | None = None) -> list[Evidence]:
    return evidence_of_turn(PROMPT, drafts, acts, context=context)


def texts(found: Sequence[Evidence]) -> list[tuple[str | None, str | None]]:
    return [(e.chosen and e.chosen.text, e.rejected and e.rejected.text) for e in found]


def weights(found: Sequence[Evidence]) -> list[tuple[str, float]]:
    return [(e.source, e.weight) for e in found]


# --- picks ------------------------------------------------------------------------------------------------------


def test_a_pick_prefers_a_draft_to_the_one_beside_it() -> None:
    (found,) = read(act(5, "pick", draft_id=1, other_draft_id=2, created_utc="2026-11-21"))
    assert texts([found]) == [(WARM.text, DRY.text)]
    assert found.chosen is not None
    assert found.rejected is not None
    assert (found.chosen.z, found.rejected.z) == ((1.0,), (2.0,))
    assert (found.messages, found.source, found.weight, found.reason) == (PROMPT, "pick", 1.0, "you picked it")
    assert (found.turn_id, found.act_id, found.created_utc, found.is_pair) == (1, 5, "2026-11-21", True)


def test_a_pick_among_three_prefers_it_to_each_of_the_others_with_one_weight_in_all() -> None:
    found = read(pick(1, DRY, WARM), drafts=THREE)
    assert texts(found) == [(DRY.text, WARM.text), (DRY.text, "A third text.")]
    assert weights(found) == [("pick", 0.5)] * 2


def test_among_three_a_draft_that_reads_the_same_takes_no_share_of_the_weight() -> None:
    found = read(pick(1, DRY, WARM), drafts=(*THREE[:2], draft(3, DRY.text, side=2)))
    assert weights(found) == [("pick", 1.0)]


@pytest.mark.parametrize("other", [None, 77])
def test_a_pick_with_nothing_beside_it_says_nothing(other: int | None) -> None:
    assert read(act(1, "pick", draft_id=1, other_draft_id=other), drafts=[WARM]) == []


def test_a_pick_of_a_draft_that_is_not_there_says_nothing() -> None:
    assert read(act(1, "pick", draft_id=77, other_draft_id=1)) == []


def test_a_pick_that_does_not_name_the_other_one_is_held_against_what_stood_beside_it() -> None:
    assert texts(read(act(1, "pick", draft_id=1))) == [(WARM.text, DRY.text)]


def test_an_unfinished_draft_that_is_picked_was_read_and_counts() -> None:
    stopped = [draft(1, "I miss", status="cancelled"), draft(2, "The weather", side=1, status="cancelled")]
    assert weights(read(pick(1, stopped[0], stopped[1]), drafts=stopped)) == [("pick", 1.0)]


@pytest.mark.parametrize("text", ["", "   ", WARM.text])
def test_empty_and_equal_texts_say_nothing(text: str) -> None:
    other = draft(2, text, side=1)
    assert read(pick(1, WARM, other), drafts=(WARM, other)) == []
    assert read(act(1, "tie"), drafts=(WARM, other)) == []


def test_the_latest_answer_counts_when_the_person_changes_their_mind() -> None:
    assert texts(read(pick(1, WARM, DRY), pick(2, DRY, WARM))) == [(DRY.text, WARM.text)]
    assert weights(read(pick(1, WARM, DRY), act(2, "tie"))) == [("tie", 0.5)]
    assert read(pick(1, WARM, DRY), act(2, "skip")) == []
    assert texts(read(pick(1, WARM, DRY), pick(2, DRY, WARM), drafts=THREE)) == [
        (DRY.text, WARM.text),
        (DRY.text, "A third text."),
    ]


# --- ties, both bad, skips --------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [{}, {"draft_id": 1, "other_draft_id": 2}])  # older databases name no drafts
def test_a_tie_says_that_both_are_as_good(named: dict[str, int]) -> None:
    (found,) = read(act(1, "tie", **named))
    assert (texts([found]), found.weight, found.tie, found.is_pair) == ([(WARM.text, DRY.text)], 0.5, True, False)


def test_a_tie_among_three_is_shared_out_over_all_their_pairs() -> None:
    found = read(act(1, "tie"), drafts=THREE)
    assert (len(found), sum(e.weight for e in found)) == (3, pytest.approx(0.5))


@pytest.mark.parametrize("named", [{}, {"draft_id": 1, "other_draft_id": 2}])
def test_both_bad_marks_each_draft(named: dict[str, int]) -> None:
    found = read(act(1, "both_bad", **named))
    assert texts(found) == [(None, WARM.text), (None, DRY.text)]
    assert weights(found) == [("both bad", 0.5)] * 2
    assert not any(e.is_pair for e in found)


@pytest.mark.parametrize("kind", ["skip", "accept"])
def test_a_skip_and_a_keep_say_nothing(kind: ActKind) -> None:
    assert read(act(1, kind, draft_id=1, text="x")) == []


# --- edits ------------------------------------------------------------------------------------------------------


def test_an_edit_prefers_the_new_text_to_the_draft_and_has_no_latent() -> None:
    (found,) = read(act(1, "edit", draft_id=1, text="Come home, old friend!"))
    assert texts([found]) == [("Come home, old friend!", WARM.text)]
    assert found.chosen is not None
    assert found.rejected is not None
    assert (found.chosen.z, found.rejected.z, found.source) == (None, (1.0,), "edit")


def test_the_weight_of_an_edit_grows_with_what_was_changed() -> None:
    text = "one two three four five six seven eight nine ten"
    (small,) = read(act(1, "edit", draft_id=1, text=text.replace("ten", "zehn")), drafts=[draft(1, text)])
    (large,) = read(act(1, "edit", draft_id=1, text="something else entirely"), drafts=[draft(1, text)])
    assert (small.weight, small.reason) == (pytest.approx(0.2), "you changed 10% of the words")
    assert large.weight == 1.0


def test_a_typo_in_a_long_text_is_listed_and_not_learned_from() -> None:
    text = " ".join(f"word{i}" for i in range(100))
    (found,) = read(act(1, "edit", draft_id=1, text=text.replace("word7 ", "wrod7 ")), drafts=[draft(1, text)])
    assert (found.weight, found.reason) == (0.0, "a typo fix: hardly a word changed")


def test_only_the_last_edit_of_a_draft_counts() -> None:
    found = read(act(1, "edit", draft_id=1, text="First try."), act(2, "edit", draft_id=1, text="Second try."))
    assert texts(found) == [("Second try.", WARM.text)]


def test_an_edit_of_the_picked_draft_makes_two_pairs() -> None:
    found = read(pick(1, WARM, DRY), act(2, "edit", draft_id=1, text="Mine."))
    assert texts(found) == [(WARM.text, DRY.text), ("Mine.", WARM.text)]


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_an_edit_without_a_text_says_nothing(text: str | None) -> None:
    assert read(act(1, "edit", draft_id=1, text=text)) == []


# --- merges -----------------------------------------------------------------------------------------------------

LONG = (draft(1, "Dear Ann. It rains. Come soon!"), draft(2, "Hello Ann. The sun is out.\nCome when you like.", side=1))


def merge(text: str, drafts: Sequence[Draft] = LONG) -> list[Evidence]:
    return read(act(1, "edit", draft_id=1, other_draft_id=2, text=text), drafts=drafts)


def test_a_merge_prefers_the_parts_that_came_over_to_those_left_out() -> None:
    found = merge("Dear Ann. The sun is out. Come soon!")
    assert texts(found) == [
        ("Dear Ann. Come soon!", "It rains."),
        ("The sun is out.", "Hello Ann. Come when you like."),
    ]
    assert weights(found) == [("merge", 0.5)] * 2


def test_a_merge_that_leaves_nothing_out_of_a_draft_says_nothing_about_it() -> None:
    assert texts(merge(f"{LONG[0].text} The sun is out.")) == [
        ("The sun is out.", "Hello Ann. Come when you like."),
    ]
    assert merge("  ".join(part.text for part in LONG)) == []


def test_a_draft_of_which_nothing_came_over_loses_to_the_merged_text() -> None:
    (found,) = merge(LONG[0].text)
    assert texts([found]) == [(LONG[0].text, "Hello Ann. The sun is out. Come when you like.")]


def test_a_short_part_is_not_found_inside_another_word() -> None:
    found = merge("This goes.", drafts=(draft(1, "This goes. Hi"), draft(2, "is", side=1)))
    assert texts(found) == [("This goes.", "Hi"), ("This goes.", "is")]


def test_an_edit_after_a_merge_leaves_the_merge_standing() -> None:
    found = read(
        act(1, "edit", draft_id=1, other_draft_id=2, text="Dear Ann. The sun is out."),
        act(2, "edit", draft_id=1, text="Dear Ann. The sun is out today."),
        drafts=LONG,
    )
    assert [e.source for e in found] == ["merge", "merge", "edit"]


# --- stars ------------------------------------------------------------------------------------------------------


def test_a_star_prefers_a_draft_to_the_other_one_at_half_weight() -> None:
    (found,) = read(act(1, "star", draft_id=2))
    assert (texts([found]), found.weight, found.source) == ([(DRY.text, WARM.text)], 0.5, "star")


def test_a_star_among_three_is_shared_out() -> None:
    assert weights(read(act(1, "star", draft_id=2), drafts=THREE)) == [("star", 0.25)] * 2


@pytest.mark.parametrize("answer", [pick(1, WARM, DRY), pick(1, DRY, WARM), act(1, "tie"), act(1, "both_bad")])
def test_beside_an_answer_a_star_is_only_a_mark(answer: Act) -> None:
    assert texts(read(answer, act(2, "star", draft_id=1)))[-1] == (WARM.text, None)


def test_a_skip_leaves_a_star_all_it_says() -> None:
    assert texts(read(act(1, "star", draft_id=1), act(2, "skip"))) == [(WARM.text, DRY.text)]


def test_two_stars_beside_each_other_are_two_marks() -> None:
    found = read(act(1, "star", draft_id=1), act(2, "star", draft_id=2))
    assert texts(found) == [(WARM.text, None), (DRY.text, None)]


def test_the_same_star_twice_is_one() -> None:
    assert len(read(act(1, "star", draft_id=1), act(2, "star", draft_id=1))) == 1


def test_a_star_is_not_held_against_an_unfinished_draft() -> None:
    found = read(act(1, "star", draft_id=1), drafts=(WARM, draft(2, "The wea", side=1, status="cancelled")))
    assert texts(found) == [(WARM.text, None)]


def test_a_star_is_held_against_what_stood_beside_it_and_not_against_what_was_written_later() -> None:
    found = read(act(1, "star", draft_id=1), *redo(2, WARM, DRY), drafts=(WARM, DRY, THIRD, FOURTH))
    assert texts(found) == [(WARM.text, DRY.text)]


# --- redos ------------------------------------------------------------------------------------------------------

FOUR = (WARM, DRY, THIRD, FOURTH)


def test_a_redo_alone_prefers_nothing() -> None:
    assert read(*redo(1, WARM, DRY)) == []


def test_what_was_sent_back_loses_to_the_pick_after_it() -> None:
    found = read(*redo(1, WARM, DRY), pick(3, THIRD, FOURTH), drafts=FOUR)
    assert texts(found) == [(THIRD.text, WARM.text), (THIRD.text, DRY.text), (THIRD.text, FOURTH.text)]
    assert weights(found) == [("redo", 0.5), ("redo", 0.5), ("pick", 1.0)]


def test_what_was_sent_back_loses_to_the_text_that_was_kept_in_the_end() -> None:
    found = read(*redo(1, WARM), act(2, "accept", draft_id=3, text="My own."), drafts=[WARM, THIRD])
    assert texts(found) == [("My own.", WARM.text)]


def test_the_note_of_a_redo_is_its_reason() -> None:
    found = read(*redo(1, WARM, note="shorter"), pick(2, THIRD, FOURTH), drafts=FOUR)
    assert found[0].reason == "you asked for another one: shorter"


def test_a_pick_before_a_redo_is_no_reason_to_prefer_it_twice() -> None:
    found = read(pick(1, WARM, DRY), *redo(2, WARM, DRY), drafts=FOUR)
    assert weights(found) == [("pick", 1.0)]


def test_answers_before_and_after_a_redo_are_about_different_drafts_and_both_count() -> None:
    found = read(act(1, "tie", draft_id=1, other_draft_id=2), *redo(2, WARM, DRY), pick(4, THIRD, FOURTH), drafts=FOUR)
    assert weights(found) == [("tie", 0.5), ("redo", 0.5), ("redo", 0.5), ("pick", 1.0)]
    found = read(pick(1, WARM, DRY), *redo(2, WARM, DRY), act(4, "tie"), drafts=FOUR)
    assert texts(found) == [(WARM.text, DRY.text), (THIRD.text, FOURTH.text)]
    assert [e.tie for e in found] == [False, True]


def test_a_draft_that_was_sent_back_and_picked_after_all_is_not_held_against_itself() -> None:
    found = read(*redo(1, WARM, DRY), act(3, "pick", draft_id=1, other_draft_id=3), drafts=FOUR)
    assert texts(found) == [(WARM.text, DRY.text), (WARM.text, THIRD.text)]


def test_a_redo_of_an_unfinished_draft_is_listed_and_not_learned_from() -> None:
    stopped = draft(1, "I miss", status="cancelled")
    found = read(*redo(1, stopped), pick(2, THIRD, FOURTH), drafts=(stopped, DRY, THIRD, FOURTH))
    assert (found[0].weight, found[0].reason) == (0.0, "it was not finished when you asked for another one")


def test_a_redo_that_was_undone_says_nothing() -> None:
    undone = [*redo(1, WARM, DRY), act(3, "undo", undoes_id=1), act(4, "undo", undoes_id=2)]
    assert texts(read(*undone, pick(5, WARM, DRY), drafts=FOUR)) == [(WARM.text, DRY.text)]


# --- undo -------------------------------------------------------------------------------------------------------


def test_an_undone_pick_says_nothing() -> None:
    assert read(pick(1, WARM, DRY), act(2, "undo", undoes_id=1)) == []


def test_an_undone_undo_brings_the_pick_back() -> None:
    acts = (pick(1, WARM, DRY), act(2, "undo", undoes_id=1), act(3, "undo", undoes_id=2))
    assert texts(read(*acts)) == [(WARM.text, DRY.text)]


def test_undoing_a_changed_mind_brings_the_first_answer_back() -> None:
    found = read(pick(1, WARM, DRY), pick(2, DRY, WARM), act(3, "undo", undoes_id=2))
    assert texts(found) == [(WARM.text, DRY.text)]


# --- wrong facts and contexts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "acts",
    [
        [pick(1, WARM, DRY, note="wrong fact")],
        [pick(1, WARM, DRY, note="Wrong fact"), pick(2, WARM, DRY, again=True)],
        [act(1, "edit", draft_id=1, text="Born in 1912.", note="wrong fact")],
        [act(1, "both_bad", note="wrong fact")],
        [act(1, "edit", draft_id=1, other_draft_id=2, text="Neither of these.", note="wrong fact")],
    ],
)
def test_a_wrong_fact_is_listed_and_kept_out_of_what_is_learned(acts: list[Act]) -> None:
    found = read(*acts)
    assert found
    assert {(e.weight, e.reason) for e in found} == {(0.0, "a wrong fact, not a question of style")}


def test_a_wrong_fact_in_an_edit_leaves_the_pick_alone() -> None:
    found = read(pick(1, WARM, DRY), act(2, "edit", draft_id=1, text="Born in 1912.", note="wrong fact"))
    assert (weights(found), lessons(found)) == ([("pick", 1.0), ("edit", 0.0)], 1)


def test_the_context_is_the_persons_tag_else_the_kind_that_the_prompt_names() -> None:
    mail = (Message("user", "Write a mail."), Message("assistant", "Dear Ann,"), Message("user", "Now a poem."))
    acts = [pick(1, WARM, DRY)]
    assert read(*acts, context="club")[0].context == "club"
    assert evidence_of_turn(mail[:1], [WARM, DRY], acts)[0].context == "mail"
    assert evidence_of_turn(mail, [WARM, DRY], acts)[0].context == "story"
    assert evidence_of_turn([], [WARM, DRY], acts)[0].context == "other"


# --- pairs that were asked again --------------------------------------------------------------------------------


def test_the_same_answer_again_counts_half_as_much_beside_the_first_one() -> None:
    found = read(pick(1, WARM, DRY), pick(2, WARM, DRY, again=True))
    assert weights(found) == [("pick", 1.0), ("repeat", 0.5)]
    assert [e.act_id for e in found] == [1, 2]
    assert weights(read(act(1, "tie"), act(2, "tie", again=True))) == [("tie", 0.5), ("repeat", 0.25)]


@pytest.mark.parametrize("otherwise", [pick(2, DRY, WARM, again=True), act(2, "tie", again=True)])
def test_another_answer_when_asked_again_leaves_nothing_to_learn(otherwise: Act) -> None:
    (found,) = read(pick(1, WARM, DRY), otherwise)
    assert (found.source, found.weight, found.reason) == ("pick", 0.0, "asked again, you answered otherwise")


def test_a_tie_that_became_a_choice_leaves_nothing_to_learn() -> None:
    (found,) = read(act(1, "tie"), pick(2, DRY, WARM, again=True))
    assert (found.source, found.weight) == ("tie", 0.0)


@pytest.mark.parametrize("kind", ["skip", "both_bad"])
def test_no_choice_when_asked_again_changes_nothing(kind: ActKind) -> None:
    assert weights(read(pick(1, WARM, DRY), act(2, kind, again=True))) == [("pick", 1.0)]


def test_an_answer_again_whose_first_one_is_undone_says_nothing() -> None:
    assert read(pick(1, WARM, DRY), pick(2, WARM, DRY, again=True), act(3, "undo", undoes_id=1)) == []


def test_repeats_count_picks_that_agree_with_the_first_one() -> None:
    first, same, other = pick(1, WARM, DRY), pick(2, WARM, DRY, again=True), pick(3, DRY, WARM, again=True)
    assert repeats_of_turn([first]) == Repeats()
    assert repeats_of_turn([first, same]) == Repeats(same=1)
    assert repeats_of_turn([first, same, other]) == Repeats(same=1, different=1)
    assert repeats_of_turn([first, same, other, act(4, "undo", undoes_id=3)]) == Repeats(same=1)
    assert repeats_of_turn([first, act(2, "tie", again=True)]) == Repeats()
    assert repeats_of_turn([act(1, "skip"), same]) == Repeats()
    assert repeats_of_turn([same]) == Repeats()


def test_the_flip_rate_starts_at_the_doubt_and_follows_what_was_seen() -> None:
    assert Repeats().flip_rate() == pytest.approx(0.05)
    assert Repeats(same=1000).flip_rate() < 0.01
    assert Repeats(same=820, different=180).flip_rate() == pytest.approx(0.1, abs=0.005)  # 0.9^2 + 0.1^2 = 0.82
    assert Repeats(same=50, different=500).flip_rate() == 0.45


# --- whatever a person does -------------------------------------------------------------------------------------

DRAFTS = (
    *FOUR,
    draft(5, "It stopp", side=0, status="cancelled"),
    draft(6, "", side=1, status="failed"),
    draft(7, WARM.text, side=2),
)
KINDS: list[ActKind] = ["pick", "tie", "both_bad", "skip", "edit", "redo", "accept", "star", "undo"]
NUMBERS = st.one_of(st.none(), st.integers(1, 8))
ONE_ACT = st.tuples(
    st.sampled_from(KINDS), NUMBERS, NUMBERS, st.one_of(st.none(), st.text(max_size=12), st.just("Mine. Yours.")),
    st.integers(1, 12), st.sampled_from([None, "wrong fact", "shorter"]), st.booleans(),
)  # fmt: skip


@st.composite
def sequences(draw: st.DrawFn) -> list[Act]:
    return [
        act(
            number, kind, draft_id=draft_id, other_draft_id=other_id, text=text, note=note, again=again,
            undoes_id=undoes if kind == "undo" and undoes < number else None,
        )
        for number, (kind, draft_id, other_id, text, undoes, note, again) in enumerate(
            draw(st.lists(ONE_ACT, max_size=12)), 1
        )
    ]  # fmt: skip


@given(sequences(), st.integers(0, len(DRAFTS)))
def test_any_sequence_of_acts_gives_evidence_with_weights_from_0_to_1_and_reasons(acts: list[Act], n: int) -> None:
    for found in read(*acts, drafts=DRAFTS[:n]):
        assert 0.0 <= found.weight <= 1.0
        assert found.reason
        sides = [side.text for side in (found.chosen, found.rejected) if side is not None]
        assert sides
        assert all(text.strip() for text in sides)
        assert len(set(sides)) == len(sides)


@given(sequences())
def test_the_order_of_evidence_is_that_of_the_acts_however_they_are_read(acts: list[Act]) -> None:
    found = read(*acts, drafts=DRAFTS)
    assert [e.act_id for e in found] == sorted(e.act_id for e in found)
    assert read(*reversed(acts), drafts=DRAFTS) == found


@given(sequences())
def test_undoing_everything_leaves_no_evidence(acts: list[Act]) -> None:
    done = [a for a in acts if a.kind != "undo"]
    undone = [act(100 + a.id, "undo", undoes_id=a.id) for a in done]
    assert read(*done, *undone, drafts=DRAFTS) == []
    assert repeats_of_turn([*done, *undone]) == Repeats()


@given(sequences())
def test_picks_about_the_same_drafts_weigh_1_at_most(acts: list[Act]) -> None:
    found = [e for e in read(*acts, drafts=THREE) if e.source == "pick"]
    for act_id in {e.act_id for e in found}:
        assert sum(e.weight for e in found if e.act_id == act_id) <= 1.0 + 1e-9

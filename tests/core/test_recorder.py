"""What is on record after a person answered: who was beside whom, in which order, and why."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from core.feedback import Act
from core.protocols import Message, Sampling
from core.recorder import Recorder
from core.store import Store


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def recorder(store: Store) -> Recorder:
    return Recorder(store)


def add_drafts(store: Store, *texts: str) -> list[int]:
    """A turn with these drafts beside each other."""
    turn_id = store.add_turn(store.add_conversation("t", origin="chat"), "Write.", [Message("user", "Write.")])
    drafts = []
    for side, text in enumerate(texts):
        drafts.append(
            store.add_draft(
                turn_id, side=side, z=None, encoder_id=None, backbone_id="b", sampling=Sampling(), seed=side
            )
        )
        store.finish_draft(drafts[-1], text, tokens=1, finish="stop", duration_ms=1)
    return drafts


def last(store: Store, turn_id: int = 1) -> Act:
    return store.acts(turn_id)[-1]


def test_a_pick_names_the_other_draft_the_left_one_and_why(store: Store, recorder: Recorder) -> None:
    left, right = add_drafts(store, "Left.", "Right.")
    recorder.pick(right, left_draft_id=left, note="shorter")
    act = last(store)
    assert (act.draft_id, act.other_draft_id, act.left_draft_id, act.again, act.note) == (
        right,
        left,
        left,
        False,
        "shorter",
    )
    recorder.pick(right, left_draft_id=right, again=True)
    assert (last(store).again, last(store).left_draft_id) == (True, right)


def test_a_pick_of_the_only_draft_names_no_other(store: Store, recorder: Recorder) -> None:
    (only,) = add_drafts(store, "Only.")
    recorder.pick(only)
    assert last(store).other_draft_id is None


def test_a_pick_among_three_is_held_against_both_others(store: Store, recorder: Recorder) -> None:
    _, second, _ = add_drafts(store, "One.", "Two.", "Three.")
    recorder.pick(second)
    found = store.evidence(backbone_id="b")
    assert [(e.rejected and e.rejected.text, e.weight) for e in found] == [("One.", 0.5), ("Three.", 0.5)]


def test_a_judgement_names_the_drafts_it_is_about(store: Store, recorder: Recorder) -> None:
    left, right = add_drafts(store, "Left.", "Right.")
    recorder.judge(1, "tie", left_draft_id=right, again=True, note="twins")
    act = last(store)
    assert (act.kind, act.draft_id, act.other_draft_id) == ("tie", left, right)
    assert (act.left_draft_id, act.again, act.note) == (right, True, "twins")


def test_a_judgement_about_one_draft_or_none_is_recorded_too(store: Store, recorder: Recorder) -> None:
    (only,) = add_drafts(store, "Only.")
    recorder.judge(1, "skip")
    assert (last(store).draft_id, last(store).other_draft_id) == (only, None)
    add_drafts(store)
    recorder.judge(2, "skip")
    assert (last(store, 2).draft_id, last(store, 2).other_draft_id) == (None, None)


def test_a_merge_is_an_edit_of_two_drafts(store: Store, recorder: Recorder) -> None:
    left, right = add_drafts(store, "Hello. It rains.", "Good day. Come!")
    recorder.merge(left, right, "Hello. Come!", note="both")
    act = last(store)
    assert (act.kind, act.draft_id, act.other_draft_id, act.text, act.note) == (
        "edit",
        left,
        right,
        "Hello. Come!",
        "both",
    )
    assert store.accepted_text(1) == "Hello. Come!"
    assert [e.source for e in store.evidence(backbone_id="b")] == ["merge", "merge"]


def test_a_merge_of_drafts_that_do_not_belong_together_is_refused(store: Store, recorder: Recorder) -> None:
    left, _ = add_drafts(store, "Left.", "Right.")
    elsewhere, _ = add_drafts(store, "Left.", "Right.")
    for other in (elsewhere, left):
        with pytest.raises(UsageError, match="are not two drafts of the same prompt"):
            recorder.merge(left, other, "x")
    assert store.acts(1) == []


def test_an_empty_merge_is_refused(store: Store, recorder: Recorder) -> None:
    left, right = add_drafts(store, "Left.", "Right.")
    with pytest.raises(UsageError, match="The merged text is empty"):
        recorder.merge(left, right, " \n")


def test_edits_and_redos_keep_their_note(store: Store, recorder: Recorder) -> None:
    left, right = add_drafts(store, "Left.", "Right.")
    recorder.edit(left, "Mine.", note="wrong fact")
    recorder.redo(right, note="shorter")
    assert [(act.kind, act.note) for act in store.acts(1)] == [("edit", "wrong fact"), ("redo", "shorter")]

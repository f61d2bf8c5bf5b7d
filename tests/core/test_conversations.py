"""Conversations: named, deleted and back, branched off. The store's side."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from core.protocols import Message, Sampling
from core.store import Store

SAMPLING = Sampling(temperature=0.8, top_p=0.95, min_p=0.05, max_tokens=8)


@pytest.fixture
def store() -> Store:
    return Store()


def converse(store: Store, *prompts: str, branched_before: int | None = None) -> tuple[int, list[int]]:
    conversation_id = store.add_conversation(prompts[0], origin="chat", branched_before_turn_id=branched_before)
    return conversation_id, [store.add_turn(conversation_id, p, [Message("user", p)]) for p in prompts]


def answered(store: Store, turn_id: int) -> None:
    """Two drafts, the second one picked."""
    left, right = (
        store.add_draft(turn_id, side=side, z=None, encoder_id=None, backbone_id="b", sampling=SAMPLING, seed=side)
        for side in (0, 1)
    )
    for draft_id, text in ((left, "Dear sir."), (right, "Hello!")):
        store.finish_draft(draft_id, text, tokens=2, finish="stop", duration_ms=1)
    store.add_act("pick", turn_id, draft_id=right, other_draft_id=left)


def weights(store: Store) -> list[float]:
    return [evidence.weight for evidence in store.evidence(backbone_id="b")]


def test_a_conversation_can_be_renamed_but_not_to_nothing(store: Store) -> None:
    conversation_id, _ = converse(store, "First.")
    store.rename_conversation(conversation_id, "  Letters to\nAnna ")
    with pytest.raises(UsageError, match="at least one letter"):
        store.rename_conversation(conversation_id, " \n ")
    assert store.conversation(conversation_id).title == "Letters to Anna"


def test_a_deleted_conversation_is_not_listed_and_comes_back_whole(store: Store) -> None:
    conversation_id, turns = converse(store, "First.", "Second.")
    store.delete_conversation(conversation_id)
    assert store.conversations() == []
    assert store.own_prompts() == []
    deleted = store.last_deleted()
    assert deleted is not None
    store.restore_conversation(deleted.id)
    assert [c.title for c in store.conversations()] == ["First."]
    assert [turn.id for turn in store.turns(conversation_id)] == turns
    assert store.last_deleted() is None


def test_the_one_deleted_last_comes_back_first(store: Store) -> None:
    first, second = converse(store, "First.")[0], converse(store, "Second.")[0]
    for conversation_id in (second, first, second):  # deleting twice is deleting once
        store.delete_conversation(conversation_id)
    back = []
    while (deleted := store.last_deleted()) is not None:
        store.restore_conversation(deleted.id)
        back.append(deleted.id)
    assert sorted(back) == [first, second]


def test_what_was_deleted_is_not_learned_from_until_it_is_back(store: Store) -> None:
    conversation_id, (turn_id,) = converse(store, "First.")
    answered(store, turn_id)
    assert weights(store) == [1.0]
    assert store.count_lessons(backbone_id="b") == 1
    store.delete_conversation(conversation_id)
    assert weights(store) == [0.0]
    assert [e.weight for e in store.evidence_of_turn(turn_id, backbone_id="b")] == [0.0]
    assert store.count_lessons(backbone_id="b") == 0
    store.restore_conversation(conversation_id)
    assert weights(store) == [1.0]
    assert store.count_lessons(backbone_id="b") == 1


def test_a_branch_shares_what_came_before_and_leaves_its_origin_alone(store: Store) -> None:
    origin, (first, second, third) = converse(store, "First.", "Second.", "Third.")
    branch, (other,) = converse(store, "Another second.", branched_before=second)
    assert [turn.id for turn in store.thread(branch)] == [first, other]
    assert [turn.id for turn in store.thread(origin)] == [first, second, third]
    assert [turn.id for turn in store.turns(branch)] == [other]
    assert [(c.id, c.branch_of) for c in store.conversations()] == [(branch, origin), (origin, None)]


def test_a_branch_of_a_branch_goes_back_to_the_first(store: Store) -> None:
    _, (first, second) = converse(store, "First.", "Second.")
    _, (third, fourth) = converse(store, "Third.", "Fourth.", branched_before=second)
    leaf, (fifth,) = converse(store, "Fifth.", branched_before=fourth)
    assert [turn.id for turn in store.thread(leaf)] == [first, third, fifth]


def test_a_branch_before_the_first_prompt_shares_nothing(store: Store) -> None:
    _, (first,) = converse(store, "First.")
    branch, (other,) = converse(store, "Instead.", branched_before=first)
    assert [turn.id for turn in store.thread(branch)] == [other]


def test_a_branch_outlives_its_deleted_origin(store: Store) -> None:
    origin, (first, second) = converse(store, "First.", "Second.")
    branch, (other,) = converse(store, "Instead.", branched_before=second)
    store.delete_conversation(origin)
    assert [turn.id for turn in store.thread(branch)] == [first, other]
    assert [c.id for c in store.conversations()] == [branch]


def test_a_preference_is_remembered_and_can_change(store: Store) -> None:
    assert store.preference("theme") is None
    store.keep_preference("theme", "light")
    store.keep_preference("theme", "dark")
    assert store.preference("theme") == "dark"

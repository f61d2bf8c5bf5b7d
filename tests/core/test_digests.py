"""Digests say what all acts say, are made anew for turns that were acted on, and never for others."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from core import digest_rows
from core.evidence import lessons
from core.feedback import edit_distance
from core.protocols import Message, Sampling
from core.recorder import Recorder
from core.store import EncoderRecord, Store

B = "backbone"
LONG_AGO = date(2020, 1, 1)


@pytest.fixture
def store() -> Store:
    return Store()


def add_turn(
    store: Store,
    *,
    encoder_id: str | None = None,
    backbone_id: str = B,
    texts: tuple[str, str] = ("One two three.", "Four."),
) -> tuple[int, list[int]]:
    """A conversation with one turn and two finished drafts."""
    turn = store.add_turn(store.add_conversation("Talk", origin="chat"), "Write.", [Message("user", "Write.")])
    drafts = []
    for side, text in enumerate(texts):
        draft = store.add_draft(
            turn, side=side, z=None, encoder_id=encoder_id, backbone_id=backbone_id, sampling=Sampling(), seed=side
        )
        store.finish_draft(draft, text, tokens=3, finish="stop", duration_ms=1)
        drafts.append(draft)
    return turn, drafts


def add_encoder(store: Store, name: str) -> str:
    store.add_encoder(EncoderRecord(name, name, "personalized", None, B, "c", 4, "kept", {}, "2026-01-01"))
    return name


def test_the_count_follows_picks_edits_undos_and_redone_undos(store: Store) -> None:
    recorder = Recorder(store)
    assert store.count_lessons() == 0
    turn, (first, _) = add_turn(store)
    for step, expected in (
        (lambda: recorder.pick(first), 1),
        (lambda: recorder.edit(first, "Something else entirely."), 2),
        (lambda: recorder.undo(turn, store.last_act_id()), 1),
        (lambda: recorder.undo(turn, store.last_act_id()), 2),
        (lambda: recorder.pick(first), 2),
    ):
        step()
        assert store.count_lessons(backbone_id=B) == expected == lessons(store.evidence(backbone_id=B))


def test_drafts_of_another_backbone_do_not_count_for_this_one(store: Store) -> None:
    for backbone_id in (B, "other"):
        _, (first, _) = add_turn(store, backbone_id=backbone_id)
        Recorder(store).pick(first)
    assert store.count_lessons(backbone_id=B) == 1
    assert store.count_lessons() == 2


def test_only_turns_that_were_acted_on_are_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [add_turn(store) for _ in range(5)]
    for _, (first, _) in turns:
        Recorder(store).pick(first)
    assert store.count_lessons() == 5
    read: list[int] = []
    digest = digest_rows._digest
    monkeypatch.setattr(digest_rows, "_digest", lambda turn, *rest: read.append(turn.id) or digest(turn, *rest))
    turn, (_, second) = turns[1]
    Recorder(store).pick(second)
    assert store.count_lessons() == 5
    assert read == [turn]


def test_many_acts_are_digested_in_several_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_rows, "ACTS_AT_ONCE", 3)
    for _ in range(4):
        _, (first, second) = add_turn(store)
        Recorder(store).pick(first)
        Recorder(store).pick(second)
    assert store.count_lessons() == 4


def test_new_rules_make_all_digests_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, (first, _) = add_turn(store)
    Recorder(store).pick(first)
    assert store.count_lessons() == 1
    monkeypatch.setattr(digest_rows, "RULES", 99)
    monkeypatch.setattr(digest_rows, "lessons", lambda evidence: 7)
    assert store.count_lessons() == 7


# --- learning switched off ----------------------------------------------------------------------------------------


def test_a_conversation_with_learning_off_teaches_nothing_and_says_why(store: Store) -> None:
    turn, (first, _) = add_turn(store)
    _, (other, _) = add_turn(store)
    for draft in (first, other):
        Recorder(store).pick(draft)
        Recorder(store).accept(draft, "Mine now.")
    conversation = store.turn(turn).conversation_id
    store.set_learning(conversation, False)
    assert not store.is_learned_from(conversation)
    assert store.count_lessons() == 1 == lessons(store.evidence(backbone_id=B))
    assert [e.weight for e in store.evidence_of_turn(turn, backbone_id=B)] == [0.0]
    left_out = [e for e in store.evidence(backbone_id=B) if e.weight == 0]
    assert [e.turn_id for e in left_out] == [turn]
    assert "learning was off" in left_out[0].reason
    assert len(store.kept_texts(limit=9)) == 1
    assert [week.kept for week in store.edit_weeks(since=LONG_AGO)] == [1]
    store.set_learning(conversation, True)
    assert store.count_lessons() == 2
    assert len(store.evidence_of_turn(turn, backbone_id=B)) == 1


# --- what was kept ------------------------------------------------------------------------------------------------


def test_weeks_say_how_much_was_changed_personal_and_generic_apart(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = add_encoder(store, "voice")
    monday = date(2026, 3, 2)
    for days, encoder_id, kept in (
        (0, None, "One two three."),
        (6, None, "Nothing left here."),
        (7, voice, "One two four."),
        (7, None, "One."),
    ):
        when = f"{monday + timedelta(days=days)}T12:00:00.000+00:00"
        monkeypatch.setattr("core.database.now_utc", lambda when=when: when)
        _, (first, _) = add_turn(store, encoder_id=encoder_id)
        Recorder(store).accept(first, kept)
    weeks = store.edit_weeks(since=LONG_AGO)
    draft = "One two three."
    assert [(w.monday, w.personal, w.kept) for w in weeks] == [
        (monday, False, 2),
        (monday + timedelta(days=7), False, 1),
        (monday + timedelta(days=7), True, 1),
    ]
    assert [w.changed for w in weeks] == pytest.approx(
        [0.5, edit_distance(draft, "One."), edit_distance(draft, "One two four.")]
    )
    assert len(store.edit_weeks(since=monday + timedelta(days=7))) == 2


def test_a_keep_that_was_taken_back_is_not_kept(store: Store) -> None:
    turn, (first, _) = add_turn(store)
    accepted = Recorder(store).accept(first, "Mine.")
    assert store.kept_texts(limit=9) == ["Mine."]
    Recorder(store).undo(turn, accepted)
    assert store.kept_texts(limit=9) == []
    assert store.edit_weeks(since=LONG_AGO) == []


def test_a_draft_that_was_stopped_is_not_measured(store: Store) -> None:
    turn = store.add_turn(store.add_conversation("Talk", origin="chat"), "Write.", [Message("user", "Write.")])
    draft = store.add_draft(turn, side=0, z=None, encoder_id=None, backbone_id=B, sampling=Sampling(), seed=1)
    store.finish_draft(draft, "Half a", tokens=2, finish="cancelled", duration_ms=1)
    Recorder(store).accept(draft, "Half a sentence, ended by hand.")
    assert store.edit_weeks(since=LONG_AGO) == []
    assert store.kept_texts(limit=9) == ["Half a sentence, ended by hand."]


def test_drafts_are_found_by_their_voice_newest_first(store: Store) -> None:
    voice = add_encoder(store, "voice")
    add_turn(store, encoder_id=voice, texts=("A.", "B."))
    add_turn(store, texts=("C.", ""))
    assert store.drafts_of_voice(voice, limit=9) == ["B.", "A."]
    assert store.drafts_of_voice(None, limit=9) == ["C."]
    assert store.drafts_of_voice(voice, limit=1) == ["B."]


def test_nobody_waits_long_for_another_threads_digests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_rows, "PATIENCE_S", 0.01)
    _, (first, _) = add_turn(store)
    Recorder(store).pick(first)
    assert store.count_lessons() == 1
    Recorder(store).edit(first, "Something else entirely.")
    with digest_rows.ONE_AT_A_TIME:
        assert store.count_lessons() == 1
    assert store.count_lessons() == 2

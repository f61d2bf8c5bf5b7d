"""Search over prompts, drafts, the person's own versions and titles."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from core.protocols import Message, Sampling
from core.search_rows import MARK_END, MARK_START, quoted_words
from core.store import Store

SAMPLING = Sampling(temperature=0.8, top_p=0.95, min_p=0.05, max_tokens=8)


@pytest.fixture
def store() -> Store:
    return Store()


def ask(store: Store, prompt: str, *drafts: str, title: str = "Untitled", origin: str = "chat") -> tuple[int, int]:
    conversation_id = store.add_conversation(title, origin=origin)  # type: ignore[arg-type]
    turn_id = store.add_turn(conversation_id, prompt, [Message("user", prompt)])
    for side, text in enumerate(drafts):
        draft_id = store.add_draft(
            turn_id, side=side, z=None, encoder_id=None, backbone_id="b", sampling=SAMPLING, seed=side
        )
        store.save_partial(draft_id, text[:5], 1)
        store.finish_draft(draft_id, text, tokens=2, finish="stop", duration_ms=1)
    return conversation_id, turn_id


def found(store: Store, typed: str) -> list[tuple[int | None, str]]:
    return [(hit.turn_id, hit.where) for hit in store.search(typed)]


def test_prompts_drafts_and_own_versions_are_found_each_turn_once(store: Store) -> None:
    _, by_prompt = ask(store, "A note about lanterns", "Nothing here.")
    _, by_draft = ask(store, "A poem", "The lantern swings.", "Lanterns again")
    _, by_edit = ask(store, "A toast", "Cheers.")
    (draft,) = store.drafts(by_edit)
    store.add_act("edit", by_edit, draft_id=draft.id, text="Raise the lanterns!")
    assert found(store, "lantern") == [(by_edit, "own version"), (by_draft, "draft"), (by_prompt, "prompt")]


def test_all_words_must_be_there_and_the_last_may_be_half_typed(store: Store) -> None:
    _, turn_id = ask(store, "Write to my landlord about the heating")
    assert found(store, "heat landlord") == []
    assert found(store, "landlord heat") == [(turn_id, "prompt")]
    assert found(store, "landlord rain") == []


def test_accents_and_case_do_not_matter(store: Store) -> None:
    _, turn_id = ask(store, "Ein Grußwort für das Café")
    assert found(store, "cafe") == found(store, "FUR") == [(turn_id, "prompt")]


def test_the_snippet_marks_the_words(store: Store) -> None:
    ask(store, "Please write to my landlord.")
    assert store.search("landl")[0].snippet == f"Please write to my {MARK_START}landlord{MARK_END}."


@pytest.mark.parametrize(
    "typed",
    [
        '"',
        '""',
        "a AND",
        "NOT",
        "NEAR(",
        "(",
        "*",
        "a*",
        "^a",
        "prompt:a",
        "-a",
        "a OR b",
        "{",
        "a\x00b",
        "\udce4a",
        "'; --",
    ],
)
def test_no_character_has_a_meaning(store: Store, typed: str) -> None:
    ask(store, 'She said: a AND b, "NOT" c')
    store.search(typed)


def test_nothing_to_look_for_finds_nothing(store: Store) -> None:
    ask(store, "Something.")
    assert [store.search(typed) for typed in ("", "   ", "!?", '"*"')] == [[]] * 4
    assert quoted_words(' say "hi" ') == '"say" """hi"""*'


def test_a_conversation_is_found_by_its_new_title_and_not_by_its_old_one(store: Store) -> None:
    conversation_id, _ = ask(store, "Something.", title="Draft of a speech")
    store.rename_conversation(conversation_id, "Wedding")
    (hit,) = store.search("wedd")
    assert (hit.conversation_id, hit.turn_id, hit.where) == (conversation_id, None, "title")
    assert store.search("speech") == []


def test_deleted_conversations_are_found_only_when_they_are_back(store: Store) -> None:
    conversation_id, turn_id = ask(store, "About otters.", "Otters swim.")
    store.delete_conversation(conversation_id)
    assert store.search("otters") == []
    store.restore_conversation(conversation_id)
    assert found(store, "otters") == [(turn_id, "prompt")]


def test_at_one_letter_drafts_come_only_after_prompts(store: Store) -> None:
    asked = [ask(store, f"Otters {number}", "Nothing here.")[1] for number in range(3)]
    _, only_draft = ask(store, "A note", "Otters at last.")
    assert [hit.turn_id for hit in store.search("o", limit=4)] == [only_draft, *reversed(asked)]
    assert [hit.turn_id for hit in store.search("o", limit=3)] == [*reversed(asked)]
    assert [hit.turn_id for hit in store.search("ot", limit=3)] == [only_draft, *reversed(asked[1:])]


def test_what_is_not_found_costs_nothing(store: Store) -> None:
    for number in range(20):
        ask(store, "A note about lanterns", "Lanterns, still.", title=f"Lanterns {number}")
    few = steps_of_a_search(store, "lantern")
    for number in range(400):
        ask(store, f"Otters {number}", "Nothing here.", title="Otters")
    assert steps_of_a_search(store, "lantern") < 1.5 * few


def steps_of_a_search(store: Store, typed: str) -> int:
    """Of SQLite's virtual machine."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    store._db.conn.set_progress_handler(count, 1)
    store.search(typed)
    store._db.conn.set_progress_handler(None, 0)
    return steps


def test_what_was_put_aside_and_simulated_people_are_not_found(store: Store) -> None:
    _, turn_id = ask(store, "About otters.", "Otters swim.", "They dive.")
    ask(store, "About otters too.", origin="demo")
    store.add_act("skip", turn_id)
    assert store.search("otters") == []
    _, rated = ask(store, "Otters, rated.", origin="rate")
    assert found(store, "otters") == [(rated, "prompt")]


def test_a_database_of_before_can_be_searched(tmp_path: Path) -> None:
    path = tmp_path / "penpal.db"
    store = Store(path)
    _, turn_id = ask(store, "From the old days.")
    store.close()
    with sqlite3.connect(path) as db:  # as it was before there was a search
        for table in ("conversations", "turns", "drafts", "feedback"):
            db.execute(f"DROP TABLE {table}_fts")
            for suffix in ("ai", "ad", "au"):
                db.execute(f"DROP TRIGGER {table}_{suffix}")
        db.execute("ALTER TABLE conversations DROP COLUMN deleted_utc")
        db.execute("ALTER TABLE conversations DROP COLUMN branched_before_turn_id")
        db.execute("DROP TABLE preferences")
        db.execute("DELETE FROM _sqlite_migrations WHERE name LIKE 'm003%'")
    assert found(Store(path), "old days") == [(turn_id, "prompt")]

"""The database: what is kept, what never changes, and what happens when it cannot be used."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

import core.database
from core.errors import StoreError, UsageError
from core.evidence import Repeats
from core.migrations import migrations
from core.protocols import Finish, Message, Sampling
from core.store import EncoderRecord, Store

B = "b" * 64


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "penpal.db"


def add_turn(store: Store, prompt: str = "Write.") -> int:
    return store.add_turn(store.add_conversation("t", origin="chat"), prompt, [Message("user", prompt)])


def add_draft(store: Store, turn_id: int, text: str = "", *, side: int = 0, backbone: str = B) -> int:
    draft_id = store.add_draft(
        turn_id, side=side, z=[0.5, -1.0], encoder_id=None, backbone_id=backbone, sampling=Sampling(), seed=3
    )
    if text:
        store.finish_draft(draft_id, text, tokens=2, finish="stop", duration_ms=5)
    return draft_id


def add_pick(store: Store, *, backbone: str = B) -> tuple[int, int, int]:
    """A turn whose left draft is picked; returns the turn and the drafts."""
    turn_id = add_turn(store)
    left = add_draft(store, turn_id, "Left.", backbone=backbone)
    right = add_draft(store, turn_id, "Right.", side=1, backbone=backbone)
    store.add_act("pick", turn_id, draft_id=left, other_draft_id=right)
    return turn_id, left, right


def encoder(name: str) -> EncoderRecord:
    return EncoderRecord(
        name, f"{name}.safetensors", "imported", None, B, "c", 4, "kept", {"accuracy": 0.7}, "2026-01-01"
    )


def tables(file: Path) -> set[str]:
    with sqlite3.connect(file) as db:
        return {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


# --- opening and migrating --------------------------------------------------------------------------------------


def test_a_blank_file_gets_every_table(file: Path) -> None:
    Store(file).close()
    assert {"turns", "drafts", "feedback", "encoders", "parity_checks"} <= tables(file)


def test_opening_again_changes_nothing(file: Path) -> None:
    store = Store(file)
    draft_id = add_draft(store, add_turn(store), "Hello.")
    store.close()
    again = Store(file)
    assert again.draft(draft_id).text == "Hello."
    assert migrations.pending(again._db) == []


def version_1(file: Path) -> None:
    """A database as the first release left it: one pick, one tie and one edit, which name no reasons or contexts."""
    file.parent.mkdir()
    with sqlite3.connect(file) as connection:
        migrations.apply(Database(connection), stop_before="m002_reasons_contexts_vectors")
    with sqlite3.connect(file) as db:
        db.execute("INSERT INTO conversations VALUES (1, 'Old', 'chat', '2026-01-01')")
        for turn in (1, 2):
            prompt = json.dumps([{"role": "user", "content": "Write a mail."}])
            db.execute("INSERT INTO turns VALUES (?, 1, 'Write a mail.', ?, '2026-01-02')", [turn, prompt])
            for side in (0, 1):
                db.execute(
                    "INSERT INTO drafts (turn_id, side, text, status, z, backbone_id, sampling, seed, created_utc) "
                    "VALUES (?, ?, ?, 'done', '[0.5]', ?, '{}', 7, '2026-01-03')",
                    [turn, side, f"Text {turn} {side}.", B],
                )
        columns = "(kind, turn_id, draft_id, other_draft_id, text, created_utc)"
        for act in (("pick", 1, 2, 1, None), ("tie", 2, None, None, None), ("edit", 2, 3, None, "Mine.")):
            db.execute(f"INSERT INTO feedback {columns} VALUES (?, ?, ?, ?, ?, '2026-01-04')", act)


def test_a_database_of_the_first_release_keeps_everything_and_gains_the_new_columns(file: Path) -> None:
    version_1(file)
    store = Store(file)
    assert migrations.pending(store._db) == []
    assert store.counts() == {"conversations": 1, "turns": 2, "drafts": 4, "feedback": 3, "encoders": 0}
    assert (store.turn(1).prompt, store.turn(1).context, store.draft(2).text) == ("Write a mail.", None, "Text 1 1.")
    (old,) = store.acts(1)
    assert (old.note, old.again, old.left_draft_id, old.created_utc) == (None, False, None, "2026-01-04")
    assert [(e.source, e.context, e.created_utc) for e in store.evidence(backbone_id=B)] == [
        ("pick", "mail", "2026-01-04"),
        ("tie", "mail", "2026-01-04"),
        ("edit", "mail", "2026-01-04"),
    ]
    store.add_act("pick", 1, draft_id=2, other_draft_id=1, note="shorter", again=True, left_draft_id=1)
    new = store.acts(1)[-1]
    assert (new.note, new.again, new.left_draft_id) == ("shorter", True, 1)
    assert store.turn(store.add_turn(1, "Hi", [], context="club")).context == "club"
    store.add_vectors("clap", {"key": b"1234"})
    assert store.check() == []
    store.close()
    assert Store(file).counts()["feedback"] == 4


def test_the_draft_on_the_left_must_be_there(file: Path) -> None:
    version_1(file)
    with pytest.raises(sqlite3.IntegrityError):
        Store(file).add_act("pick", 1, draft_id=2, left_draft_id=99)


def test_the_file_and_its_folder_are_for_their_owner_only(file: Path) -> None:
    Store(file).close()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_file_is_in_wal_mode_with_foreign_keys(file: Path) -> None:
    store = Store(file)
    with pytest.raises(sqlite3.IntegrityError):
        store.add_act("star", 99, draft_id=99)
    assert store._db.journal_mode == "wal"


def test_a_database_of_a_newer_version_is_refused_and_left_alone(file: Path) -> None:
    Store(file).close()
    with sqlite3.connect(file) as db:
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('penpal', 'm999_x', '')")
    with pytest.raises(StoreError, match=r"newer PenPal \(it has 'm999_x'\): update PenPal. Nothing was changed"):
        Store(file)


def test_a_file_that_is_no_database_is_refused_and_left_alone(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"Dear diary, " * 100)
    with pytest.raises(StoreError, match="is not a PenPal database, or it is damaged"):
        Store(file)
    assert file.read_bytes() == b"Dear diary, " * 100


def test_a_locked_database_is_said_to_be_locked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.database, "BUSY_TIMEOUT_S", 0.05)
    store = Store(file)
    with sqlite3.connect(file) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="is locked by another program: close it and try again"):
            add_turn(store)
        other.rollback()
    assert store.conversations() == []


def test_a_full_disk_is_said_to_be_full_and_what_was_written_stays(file: Path) -> None:
    store = Store(file)
    draft_id = add_draft(store, add_turn(store), "Kept.")
    store._db.execute("PRAGMA max_page_count = 1").fetchall()  # no page more than there are
    with pytest.raises(StoreError, match="The disk is full"):
        store.keep_unsaved("composer", "x" * 1_000_000)
    assert store.draft(draft_id).text == "Kept."


def test_two_processes_may_make_the_same_new_database_at_once(file: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store(file), range(4)))
    assert all(store.counts()["turns"] == 0 for store in stores)


def test_a_healthy_database_has_nothing_to_report(file: Path) -> None:
    store = Store(file)
    add_draft(store, add_turn(store), "Hello.")
    assert store.check() == []


def test_a_row_that_points_nowhere_is_reported(file: Path) -> None:
    store = Store(file)
    with sqlite3.connect(file) as db:
        db.execute("INSERT INTO turns (conversation_id, prompt, messages, created_utc) VALUES (77, '', '[]', '')")
    assert store.check() == ["row 1 of turns points to a missing row of conversations"]


# --- drafts -----------------------------------------------------------------------------------------------------


def test_a_draft_is_a_row_before_its_first_word(store: Store) -> None:
    found = store.draft(add_draft(store, add_turn(store)))
    assert (found.text, found.status, found.z, found.seed) == ("", "writing", (0.5, -1.0), 3)


def test_partial_text_is_kept_while_it_is_written(store: Store) -> None:
    draft_id = add_draft(store, add_turn(store))
    store.save_partial(draft_id, "Dear", 1)
    assert (store.draft(draft_id).text, store.draft(draft_id).status) == ("Dear", "writing")


def test_the_text_of_a_finished_draft_never_changes(store: Store) -> None:
    draft_id = add_draft(store, add_turn(store), "Original.")
    store.save_partial(draft_id, "Other.", 9)
    store.finish_draft(draft_id, "Other.", tokens=9, finish="stop", duration_ms=1)
    store.add_act("edit", store.draft(draft_id).turn_id, draft_id=draft_id, text="Other.")
    assert store.draft(draft_id).text == "Original."


@pytest.mark.parametrize(
    ("finish", "status"), [("stop", "done"), ("length", "done"), ("cancelled", "cancelled"), ("", "failed")]
)
def test_how_a_draft_ended_is_kept(store: Store, finish: Finish, status: str) -> None:
    draft_id = add_draft(store, add_turn(store))
    store.finish_draft(draft_id, "x", tokens=1, finish=finish, duration_ms=1)
    assert store.draft(draft_id).status == status


def test_an_unknown_draft_is_the_persons_mistake(store: Store) -> None:
    with pytest.raises(UsageError, match="There is no draft 5"):
        store.draft(5)


def test_own_prompts_come_once_and_newest_first_without_those_of_a_demo(store: Store) -> None:
    for prompt in ("one", "two", "one"):
        add_turn(store, prompt)
    store.add_turn(store.add_conversation("t", origin="demo"), "made up", [])
    assert store.own_prompts() == ["one", "two"]
    assert store.own_prompts(limit=1) == ["one"]


# --- what the person did ----------------------------------------------------------------------------------------


def test_every_act_stays_on_record(store: Store) -> None:
    turn_id = add_turn(store)
    draft_id = add_draft(store, turn_id, "Hello.")
    star = store.add_act("star", turn_id, draft_id=draft_id)
    store.add_act("undo", turn_id, undoes_id=star)
    assert [act.kind for act in store.acts(turn_id)] == ["star", "undo"]


def test_the_kept_text_is_the_accepted_one_else_the_edit_else_the_pick(store: Store) -> None:
    turn_id = add_turn(store)
    left, right = add_draft(store, turn_id, "Left."), add_draft(store, turn_id, "Right.", side=1)
    assert store.accepted_text(turn_id) is None
    store.add_act("pick", turn_id, draft_id=left, other_draft_id=right)
    assert store.accepted_text(turn_id) == "Left."
    store.add_act("edit", turn_id, draft_id=left, text="Mine.")
    assert store.accepted_text(turn_id) == "Mine."
    accept = store.add_act("accept", turn_id, draft_id=left, text="Mine, kept.")
    assert store.accepted_text(turn_id) == "Mine, kept."
    store.add_act("undo", turn_id, undoes_id=accept)
    assert store.accepted_text(turn_id) == "Mine."


def test_evidence_is_that_of_one_backbone_oldest_first(store: Store) -> None:
    (first, left, _), (_, _, _), (third, _, _) = (add_pick(store, backbone=name) for name in (B, "other", B))
    store.add_act("edit", first, draft_id=left, text="Mine.")
    found = store.evidence(backbone_id=B)
    assert [(e.act_id, e.turn_id, e.source) for e in found] == [
        (1, first, "pick"),
        (3, third, "pick"),
        (4, first, "edit"),
    ]
    assert found[0].messages == (Message("user", "Write."),)
    assert found[0].chosen is not None
    assert found[0].chosen.z == (0.5, -1.0)


def test_evidence_since_an_act_is_all_of_the_turns_that_were_acted_on_after_it(store: Store) -> None:
    first, left, _ = add_pick(store)
    add_pick(store)
    seen = store.last_act_id()
    assert (seen, store.evidence(backbone_id=B, since_act=seen)) == (2, [])
    store.add_act("edit", first, draft_id=left, text="Mine.")
    assert [e.act_id for e in store.evidence(backbone_id=B, since_act=seen)] == [1, 3]
    add_pick(store)
    assert [e.act_id for e in store.evidence(backbone_id=B, since_act=3)] == [4]


def test_evidence_of_one_turn_is_its_share_of_all(store: Store) -> None:
    first, _, _ = add_pick(store)
    add_pick(store)
    assert store.evidence_of_turn(first, backbone_id=B) == store.evidence(backbone_id=B)[:1]
    assert store.evidence_of_turn(first, backbone_id="other") == []


def test_evidence_carries_the_context_that_a_turn_is_tagged_with(store: Store) -> None:
    turn_id = store.add_turn(store.add_conversation("t", origin="chat"), "Write.", [], context="club")
    store.add_act("star", turn_id, draft_id=add_draft(store, turn_id, "Hello."))
    assert [e.context for e in store.evidence(backbone_id=B)] == ["club"]


def test_nothing_done_is_no_evidence(store: Store) -> None:
    add_draft(store, add_turn(store), "Hello.")
    assert (store.evidence(backbone_id=B), store.last_act_id(), store.repeats()) == ([], 0, Repeats())


def test_repeats_are_counted_over_all_turns(store: Store) -> None:
    for answered_again in ("left", "left", "right", None):
        turn_id, left, right = add_pick(store)
        if answered_again:
            store.add_act("pick", turn_id, draft_id=left if answered_again == "left" else right, again=True)
    assert store.repeats() == Repeats(same=2, different=1)


def test_vectors_come_back_as_they_were_and_only_for_their_space(store: Store) -> None:
    store.add_vectors("clap", {"a": b"\x00\xff", "b": b""})
    store.add_vectors("clap", {"b": b"new"})
    store.add_vectors("clap", {})
    assert store.vectors("clap", ["a", "b", "c"]) == {"a": b"\x00\xff", "b": b"new"}
    assert store.vectors("other", ["a"]) == store.vectors("clap", []) == {}


def test_any_number_of_vectors_is_read_at_once(store: Store) -> None:
    vectors = {f"key {number}": number.to_bytes(4, "little") for number in range(1234)}
    store.add_vectors("clap", vectors)
    assert store.vectors("clap", [*vectors, "unknown"]) == vectors


def test_unsaved_text_is_replaced_and_forgotten(store: Store) -> None:
    store.keep_unsaved("composer", "Dear")
    store.keep_unsaved("composer", "Dear Ann")
    store.keep_unsaved("edit of draft 2", "Other")
    assert store.unsaved("composer") == "Dear Ann"
    store.keep_unsaved("composer", "")
    assert (store.unsaved("composer"), store.unsaved("edit of draft 2")) == ("", "Other")
    assert store.unsaved_places() == ["edit of draft 2"]


# --- encoders and checks ----------------------------------------------------------------------------------------


def test_the_same_encoder_twice_is_one(store: Store) -> None:
    store.add_encoder(encoder("a"))
    store.add_encoder(encoder("a"))
    assert store.encoders() == [encoder("a")]


def test_an_encoder_that_is_made_again_has_the_report_of_the_last_time(store: Store) -> None:
    store.add_encoder(replace(encoder("a"), status="rejected", report={"reason": "luck"}))
    store.add_encoder(replace(encoder("a"), status="kept", report={"reason": "because you said so"}))
    assert [(e.status, e.report["reason"]) for e in store.encoders()] == [("kept", "because you said so")]


def test_an_encoder_that_is_not_listed_cannot_be_activated(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.activate_encoder("nobody", "why not")


def test_the_last_parity_check_of_these_weights_counts(store: Store) -> None:
    assert store.parity_passed("1", B, "c") is None
    store.add_parity_check("1", B, "c", 0.001, True)
    store.add_parity_check("1", B, "c", 0.9, False)
    store.add_parity_check("2", B, "c", 0.001, True)
    assert (store.parity_passed("1", B, "c"), store.parity_passed("2", B, "c")) == (False, True)


# --- several at once --------------------------------------------------------------------------------------------


def test_two_threads_write_through_one_store(file: Path) -> None:
    store = Store(file)

    def write(thread: int) -> None:
        for i in range(20):
            add_draft(store, add_turn(store, f"{thread} {i}"), f"{thread} {i}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    assert store.counts()["drafts"] == 40
    assert all(store.draft(n).text == store.turn(store.draft(n).turn_id).prompt for n in range(1, 41))


def test_two_connections_write_and_see_each_other(file: Path) -> None:
    stores = [Store(file), Store(file)]
    start = threading.Barrier(2)

    def write(store: Store) -> None:
        start.wait()
        for _ in range(20):
            add_turn(store)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, stores))
    assert [store.counts()["turns"] for store in stores] == [40, 40]


def test_the_file_reads_well_in_any_sqlite_tool(file: Path) -> None:
    store = Store(file)
    add_draft(store, add_turn(store, "Grüße"), "Hello.")
    with sqlite3.connect(file) as db:
        messages, z, sampling = db.execute(
            "SELECT messages, z, sampling FROM drafts JOIN turns ON turns.id = drafts.turn_id"
        ).fetchone()
    assert messages == '[{"role": "user", "content": "Grüße"}]'
    assert (json.loads(z), json.loads(sampling)["temperature"]) == ([0.5, -1.0], 0.8)

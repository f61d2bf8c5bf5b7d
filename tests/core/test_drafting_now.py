"""Whether a draft is being made now, as a run that wants to step aside sees it: from another connection."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.protocols import Message, Sampling
from core.store import Store


@pytest.fixture
def file(penpal_home: Path) -> Path:
    return penpal_home / "penpal.db"


def begin_draft(store: Store) -> int:
    turn_id = store.add_turn(store.add_conversation("t", origin="chat"), "Write.", [Message("user", "Write.")])
    return store.add_draft(turn_id, side=0, z=None, encoder_id=None, backbone_id="b" * 64, sampling=Sampling(), seed=1)


def move_created(file: Path, draft_id: int, by: timedelta) -> None:
    created = (datetime.now(UTC) + by).isoformat(timespec="milliseconds")
    with sqlite3.connect(file) as db:
        db.execute("UPDATE drafts SET created_utc = ? WHERE id = ?", [created, draft_id])
    db.close()


def test_nothing_is_drafted_in_an_empty_home() -> None:
    assert Store().is_drafting() is False


def test_a_draft_is_being_made_from_its_row_to_its_last_token(file: Path) -> None:
    writer, run = Store(file), Store(file)
    draft_id = begin_draft(writer)
    assert run.is_drafting() is True
    writer.save_partial(draft_id, "Dear", 1)
    assert run.is_drafting() is True
    writer.finish_draft(draft_id, "Dear Ann", tokens=2, finish="stop", duration_ms=5)
    assert run.is_drafting() is False


def test_a_cancelled_draft_is_not_being_made(file: Path) -> None:
    store = Store(file)
    store.finish_draft(begin_draft(store), "Dear", tokens=1, finish="cancelled", duration_ms=5)
    assert store.is_drafting() is False


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(-2.9, True), (-3.1, False), (-60 * 24, False), (2.9, True), (3.1, False), (60 * 24 * 365, False)],
)
def test_a_row_left_behind_by_a_killed_program_or_a_clock_set_back_counts_for_three_minutes(
    file: Path, minutes: float, expected: bool
) -> None:
    store = Store(file)
    move_created(file, begin_draft(store), timedelta(minutes=minutes))
    assert store.is_drafting() is expected


def test_a_draft_being_made_is_found_among_many_finished_ones() -> None:
    store = Store()
    for _ in range(150):
        store.finish_draft(begin_draft(store), "Dear", tokens=1, finish="stop", duration_ms=5)
    assert store.is_drafting() is False
    begin_draft(store)
    assert store.is_drafting() is True

"""A database of any earlier version keeps every row, is copied first, and is left alone when something goes wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import time_machine
from sqlite_utils import Database, Migrations

import core.database
from core.errors import StoreError
from core.migrations import migrations
from core.paths import Home
from core.store import Store
from tests.core.filled_home import MIGRATIONS, SCHEMAS, all_rows, database_with

OLDER = [schema for schema in SCHEMAS if len(schema) < len(MIGRATIONS)]


@pytest.fixture
def home(penpal_home: Path) -> Home:
    return Home(penpal_home)


@pytest.fixture
def add_migration(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Database], None]], None]:
    """Makes this the newest migration."""

    def add(function: Callable[[Database], None]) -> None:
        newer = Migrations(migrations.name)
        newer._migrations = list(migrations._migrations)
        newer(name="m900_newest")(function)
        monkeypatch.setattr(core.database, "migrations", newer)

    return add


def test_every_migration_is_tried_on_the_schema_before_it() -> None:
    assert {len(schema) for schema in SCHEMAS} == set(range(1, len(MIGRATIONS) + 1))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda names: names[-1][:4] + f" of {len(names)}")
def test_every_row_of_an_older_database_is_there_after_the_upgrade(home: Home, schema: tuple[str, ...]) -> None:
    database_with(home.database, schema)
    before = all_rows(home.database)
    store = Store(home.database)
    assert migrations.pending(store._db) == []
    assert store.check() == []
    assert [found.snippet for found in store.search("draft 2")] != []
    store.close()
    after = all_rows(home.database)
    assert sum(len(rows) for rows in before.values()) > 15
    for table, rows in before.items():
        assert [{name: row[name] for name in old} for old, row in zip(rows, after[table], strict=True)] == rows


@pytest.mark.parametrize("schema", OLDER, ids=lambda names: names[-1][:4] + f" of {len(names)}")
def test_a_copy_is_taken_before_the_upgrade(home: Home, schema: tuple[str, ...]) -> None:
    database_with(home.database, schema)
    before = all_rows(home.database)
    home.backups.mkdir(mode=0o700)
    (home.backups / ".penpal.db.before-v1.20260101-101010.partial").write_text("of an upgrade that was killed")
    store = Store(home.database)
    copy = store.before_upgrade
    store.close()
    assert copy is not None
    assert copy.parent == home.backups
    assert copy.name.startswith(f"penpal.db.before-v{max(int(name[1:4]) for name in MIGRATIONS)}.")
    assert (copy.stat().st_mode & 0o777, home.backups.stat().st_mode & 0o777) == (0o600, 0o700)
    assert all_rows(copy) == before
    assert list(home.backups.iterdir()) == [copy]


def test_a_new_database_and_one_of_this_version_need_no_copy(home: Home) -> None:
    for _ in range(2):
        store = Store(home.database)
        assert store.before_upgrade is None
        store.close()
    assert not home.backups.exists()


def test_the_newest_three_copies_are_kept(home: Home) -> None:
    made = []
    for day in range(5):
        with time_machine.travel(f"2026-02-0{day + 1}T12:00:00Z"):
            home.database.unlink(missing_ok=True)
            database_with(home.database, MIGRATIONS[:1])
            store = Store(home.database)
            made.append(store.before_upgrade)
            store.close()
    assert sorted(home.backups.iterdir()) == made[2:]


def test_two_that_upgrade_at_once_take_one_copy(home: Home) -> None:
    from concurrent.futures import ThreadPoolExecutor

    database_with(home.database, MIGRATIONS[:1])
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store(home.database), range(4)))
    assert len([store for store in stores if store.before_upgrade]) == 1
    assert all(store.counts()["turns"] == 3 for store in stores)


@pytest.mark.parametrize("schema", OLDER, ids=lambda names: names[-1][:4] + f" of {len(names)}")
def test_an_upgrade_that_fails_leaves_the_database_as_it_was(
    home: Home, schema: tuple[str, ...], add_migration: Callable[[Callable[[Database], None]], None]
) -> None:
    database_with(home.database, schema)
    before = all_rows(home.database)

    @add_migration
    def fail(db: Database) -> None:
        db.execute("DELETE FROM feedback")
        db.execute("DROP TABLE unsaved_texts")
        raise ZeroDivisionError("no such luck")

    with pytest.raises(
        StoreError, match=r"could not be upgraded to this PenPal \(no such luck\): nothing in it was ch"
    ):
        Store(home.database)
    assert all_rows(home.database) == before
    with sqlite3.connect(home.database) as db:
        applied = {row[0] for row in db.execute("SELECT name FROM _sqlite_migrations")}
        assert applied == set(schema)


def test_without_room_for_a_copy_nothing_is_upgraded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    database_with(home.database, MIGRATIONS[:1])
    before = home.database.read_bytes()
    home.backups.write_text("a file where the folder should be")
    with pytest.raises(StoreError):
        Store(home.database)
    assert home.database.read_bytes() == before


def test_a_database_of_a_newer_version_stays_the_same_to_the_byte(home: Home) -> None:
    database_with(home.database, MIGRATIONS)
    newer = sqlite3.connect(home.database)
    newer.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('penpal', 'm999_x', '')")
    newer.commit()
    log = home.database.with_name("penpal.db-wal")
    before = (home.database.read_bytes(), log.read_bytes(), home.database.stat().st_mtime_ns)
    assert before[1]  # what the newer PenPal wrote last is still in its log
    for _ in range(2):
        with pytest.raises(StoreError, match=r"newer PenPal \(it has 'm999_x'\): update PenPal. Nothing was changed"):
            Store(home.database)
    assert (home.database.read_bytes(), log.read_bytes(), home.database.stat().st_mtime_ns) == before
    newer.close()

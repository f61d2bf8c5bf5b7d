"""What the Learning screen is told: nights, weeks, portraits; and the same in numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.learning_numbers import as_markdown
from app.progress import read_portraits, read_progress, read_standing, traits_report
from core.paths import Home
from core.store import EncoderRecord, Store
from core.voices import use_encoder
from tests.app.conftest import Result, answer, picks
from tests.app.test_traits import DRY, WARM

Command = Callable[..., Result]


def add_night(store: Store, home: Home, name: str, accuracy: float, **report: Any) -> EncoderRecord:
    home.encoders.mkdir(parents=True, exist_ok=True)
    (home.encoders / name).touch()
    known = {"accuracy": accuracy, "accuracy_interval": (accuracy - 0.1, accuracy + 0.1), **report}
    when = f"2026-11-{10 + len(store.encoders())}T02:30:00+00:00"
    record = EncoderRecord(name, name, "personalized", None, "b", "c", 47, "kept", known, when)
    store.add_encoder(record)
    return record


def test_nights_weeks_and_the_way_back_are_read_together(store: Store, penpal_home: Path) -> None:
    home = Home(penpal_home)
    for name, accuracy in (("one", 0.6), ("two", 0.7)):
        add_night(store, home, name, accuracy, last_act=len(store.encoders()))
        use_encoder(store, name, home.encoders)
    picks(store, 3)
    found = read_progress(store, home)
    assert [night.accuracy for night in found.nights] == [0.6, 0.7]
    assert (found.lessons, found.can_roll_back) == (3, True)
    assert found.active is not None
    assert found.before is not None
    assert (found.active.id, found.before.id) == ("two", "one")
    standing = read_standing(store)
    assert (standing.lessons, standing.newest, standing.active) == (found.lessons, found.newest, found.active)


def test_portraits_come_from_the_check_of_the_run_else_from_drafts(store: Store, penpal_home: Path) -> None:
    home = Home(penpal_home)
    checked = add_night(store, home, "one", 0.6, traits=traits_report(WARM, DRY))
    portraits = read_portraits(store, store.encoders()[0])
    assert portraits.alike
    assert portraits.voice["warmth"].mean > portraits.generic["warmth"].mean
    unchecked = add_night(store, home, "two", 0.6)
    for text in DRY:
        answer(store, "Write.", texts=(text, text + " Indeed."))
    portraits = read_portraits(store, unchecked)
    assert (portraits.voice, portraits.alike) == ({}, False)
    assert portraits.generic
    assert checked.report["traits"]["voice"]["warmth"] == traits_report(WARM, DRY)["voice"]["warmth"]
    assert traits_report(WARM[:2], DRY) == {}


def test_the_numbers_are_tables_newest_first(store: Store, penpal_home: Path) -> None:
    home = Home(penpal_home)
    add_night(store, home, "one", 0.6, last_act=1, traits=traits_report(WARM, DRY))
    newest = add_night(store, home, "two", 0.71, last_act=2, traits=traits_report(WARM, DRY))
    use_encoder(store, "two", home.encoders)
    text = as_markdown(read_progress(store, home), read_portraits(store, newest))
    assert text.index("71%") < text.index("60%")
    assert "61% to 81%" in text
    assert "| sentences (words) |" in text
    assert "for the same prompts" in text
    assert as_markdown(read_progress(Store(), home), read_portraits(Store(), None)) == ""


def test_a_run_keeps_portraits_of_its_drafts_and_none_of_the_texts(
    penpal: Command, store: Store, penpal_home: Path
) -> None:
    picks(store, 8)
    assert penpal("personalize", "--force").code == 0
    (record,) = store.encoders()
    traits = record.report["traits"]
    assert set(traits) == {"voice", "generic"}
    assert "Thing" not in str(record.report)
    assert read_portraits(store, record).alike


def test_pairs_list_says_that_learning_was_off(penpal: Command, store: Store) -> None:
    act = answer(store, "Write a private note.")
    answer(store, "Write a post.")
    turn_id = next(e.turn_id for e in store.evidence(backbone_id=None) if e.act_id == act)
    store.set_learning(store.turn(turn_id).conversation_id, False)
    rows = {row["act_id"]: row for row in penpal("pairs", "list", "--json").json}
    assert (rows[act]["weight"], "learning was off" in rows[act]["reason"]) == (0, True)
    assert "1 of them left out" in penpal("pairs", "list").out


def test_private_prompts_are_asked_nowhere_else(store: Store) -> None:
    answer(store, "Secret.")
    answer(store, "Open.")
    store.set_learning(1, False)
    assert store.own_prompts() == ["Open."]
    branch = store.unsent_branch(1)
    assert not store.is_learned_from(branch)

"""The log of nightly runs: as long as a year, private, and without a word of the person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.nightly_log import KEPT_BYTES, MAX_BYTES, shorten
from core.paths import Home
from core.store import Store
from tests.app.conftest import Result, picks

Run = Callable[..., Result]


def test_a_long_log_loses_its_older_half_and_goes_on_in_the_same_file(penpal_home: Path) -> None:
    penpal_home.mkdir()
    log = penpal_home / "nightly.log"
    lines = [f"2026-01-01 02:30  night {number}\n" for number in range(MAX_BYTES // 20)]
    log.write_text("".join(lines))
    with log.open("a") as scheduler:
        shorten(Home(penpal_home))
        scheduler.write("the run of tonight\n")
    kept = log.read_text().splitlines(keepends=True)
    assert kept == [*lines[-(len(kept) - 1) :], "the run of tonight\n"]
    assert KEPT_BYTES - 100 < log.stat().st_size < KEPT_BYTES + 100


def test_a_short_log_stays_and_none_is_made(penpal_home: Path) -> None:
    shorten(Home(penpal_home))
    penpal_home.mkdir()
    (penpal_home / "nightly.log").write_text("one night\n")
    shorten(Home(penpal_home))
    assert (penpal_home / "nightly.log").read_text() == "one night\n"


def test_what_a_nightly_run_says_holds_no_word_of_the_person(
    penpal: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.manners.why_not_now", lambda *, when_idle: "")
    picks(store, 12)
    found = penpal("personalize", "--on-schedule", "--no-drafts")
    assert found.code == 0
    assert found.out.count("\n") == 1
    assert "Voice" in found.out
    assert [word for word in ("Thing", "lovely", "again") if word in found.out + found.err] == []

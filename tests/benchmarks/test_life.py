"""The generated home of years: whole, learnable, the same for the same seed; and what its page says of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from app.tui.starting_place import starting_place
from benchmarks.life import QUERIES, Measured, as_markdown, hardly_later, in_proportion, never_over, searches
from benchmarks.life_home import ROUND, Space, fill
from core.files import file_sha256
from core.paths import Home
from core.store import Store
from models.personalize import learn
from models.text_encoder import TextEncoder
from models.text_vectors import TextVectors
from tests.core.filled_home import all_rows

SPACE = Space("b" * 64, "c" * 64, latent_size=8, hidden_size=16)
DRAFTS = 10 * ROUND


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("life"))
    fill(home, DRAFTS, SPACE)
    return home


def unread() -> TextEncoder:
    raise AssertionError("a text was to be read that should have been read already")


def test_so_many_drafts_half_as_many_acts_and_nothing_is_dangling(home: Home) -> None:
    with closing(Store(home.database)) as store:
        counts = store.counts()
        assert (counts["drafts"], counts["feedback"], counts["turns"]) == (DRAFTS, DRAFTS // 2, DRAFTS // 2)
        assert store.check() == []
        assert starting_place(store) is None, "a choice is waiting"
        active = store.active_encoder()
        assert active is not None
        assert file_sha256(home.encoders / active.file) == active.id


def test_its_taste_can_be_learned_without_reading_a_text(home: Home) -> None:
    with closing(Store(home.database)) as store:
        vectors = TextVectors(store, SPACE.clap_id, unread, latent_size=8, hidden_size=16)
        evidence = store.evidence(backbone_id=SPACE.backbone_id)
        assert {one.source for one in evidence} == {"pick", "repeat", "edit", "tie", "both bad"}
        assert learn(evidence, vectors).accuracy.share > 0.7


def test_a_seed_makes_the_same_home_again(home: Home, tmp_path: Path) -> None:
    fill(Home(tmp_path), DRAFTS, SPACE)
    again, first = all_rows(tmp_path / "penpal.db"), all_rows(home.database)
    for table in ("conversations", "turns", "drafts", "feedback", "encoders", "vectors"):
        assert again[table] == first[table]


def test_searches_are_of_words_that_are_there(home: Home) -> None:
    assert len(searches(home)) == len(QUERIES)
    with closing(Store(home.database)) as store:
        found = {query: len(store.search(query)) for query in QUERIES}
    assert [query for query, count in found.items() if not count] == ["neverwritten"]


def test_targets_are_of_the_worst_and_for_starts_of_the_median() -> None:
    start = Measured("start", "", hardly_later, large=[1.4, 1.4, 9.0], small=[1.0, 1.0, 1.0])
    assert start.row()["met"] is True
    assert Measured("start", "", hardly_later, large=[1.6], small=[1.0]).row()["met"] is False
    assert Measured("search", "", never_over(0.1), large=[0.01, 0.01, 0.2]).row()["met"] is False
    assert Measured("learn", "", in_proportion, large=[90], small=[10]).row()["met"] is True
    assert Measured("learn", "", in_proportion, large=[110], small=[10]).row()["met"] is False


def test_the_page_says_what_was_met_and_what_not() -> None:
    measured = [
        Measured("search", "100 ms", never_over(0.1), large=[0.01, 0.02], small=[0.001, 0.001]),
        Measured("backup", "30 s", never_over(30), large=[31.4], small=[0.3]),
        Measured("opening", "", None, large=[1.5], small=[0.2]),
    ]
    found = {
        "machine": "one", "drafts": 40, "small": 40, "trials": 1, "database_mb": 1.0, "backup_mb": {"large": 0.5},
        "rows": {"drafts": 40, "feedback": 20, "conversations": 5, "encoders": 1},
        "choices": {"large": 20_000, "small": 2000}, "measured": [one.row() for one in measured],
    }  # fmt: skip
    lines = as_markdown(found, "a command").splitlines()
    assert lines[-3:] == [
        "| search | 15 ms (worst 20 ms) | 1 ms | 100 ms | yes |",
        "| backup | 31 s | 300 ms | 30 s | **no** |",
        "| opening | 1.50 s | 200 ms |  |  |",
    ]

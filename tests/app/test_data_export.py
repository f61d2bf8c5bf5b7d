"""`penpal data export`: every row that a person made is in it, and the documentation names every field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.store import Store
from tests.app.conftest import Result
from tests.core.filled_home import all_rows, filled_home

Run = Callable[..., Result]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "data-format.md"


@pytest.fixture
def folder(penpal_home: Path, tmp_path: Path) -> Path:
    filled_home(penpal_home)
    return tmp_path / "out"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_is_in_its_file_and_json_is_not_packed_twice(penpal: Run, folder: Path, penpal_home: Path) -> None:
    told = penpal("data", "export", folder, "--json").json["files"]
    held = all_rows(penpal_home / "penpal.db")
    for cache in ("vectors", "digests"):
        del held[cache]
    assert {path.stem for path in folder.glob("*.jsonl")} == {*held, "pairs"}
    for table, rows in held.items():
        written = lines(folder / f"{table}.jsonl")
        assert told[f"{table}.jsonl"] == len(written) == len(rows)
        assert [row.keys() for row in written] == [row.keys() for row in rows]
    assert lines(folder / "turns.jsonl")[0]["messages"] == [{"role": "user", "content": "Write to Zoë."}]
    assert lines(folder / "drafts.jsonl")[0]["z"] == [0.5, -1.0]
    assert [row["text"] for row in lines(folder / "drafts.jsonl")] == [row["text"] for row in held["drafts"]]


def test_pairs_are_what_is_learned_from_in_the_form_of_trainers(penpal: Run, folder: Path, penpal_home: Path) -> None:
    penpal("data", "export", folder)
    store = Store(penpal_home / "penpal.db")
    pairs = lines(folder / "pairs.jsonl")
    assert [pair["act_id"] for pair in pairs] == [e.act_id for e in store.evidence(backbone_id=None)]
    assert pairs[0]["prompt"] == [{"role": "user", "content": "Write to Zoë."}]
    assert pairs[0]["chosen"] == [{"role": "assistant", "content": "Dear Zoë, draft 1 1."}]
    assert pairs[0]["rejected"] == [{"role": "assistant", "content": "Dear Zoë, draft 1 0."}]
    store.close()


def test_every_conversation_that_was_not_deleted_is_a_page_to_read(penpal: Run, folder: Path) -> None:
    penpal("data", "export", folder)
    (page,) = (folder / "conversations").iterdir()
    assert page.name == "00001-zoë.md"
    text = page.read_text(encoding="utf-8")
    for part in (
        "# Zoë\n",
        "> Write to Zoë.",
        "> Dear Zoë, draft 2 1.",
        "- picked draft 2: shorter",
        "**Kept**\n\nZoë, m",
    ):
        assert part in text
    assert "found as good" not in text  # it was undone


def test_since_takes_what_was_written_from_then_on(penpal: Run, folder: Path) -> None:
    penpal("data", "export", folder, "--since", "2026-01-05")
    assert [row["id"] for row in lines(folder / "feedback.jsonl")] == [2, 3, 4]
    assert lines(folder / "drafts.jsonl") == []
    assert [row["act_id"] for row in lines(folder / "pairs.jsonl")] == [3]
    assert len(lines(folder / "preferences.jsonl")) == 1


def test_a_folder_with_something_in_it_is_refused(penpal: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").touch()
    found = penpal("data", "export", folder)
    assert (found.code, found.err) == (2, f"penpal: {folder} is not an empty folder: choose a new one.\n")


def test_the_documentation_names_every_file_and_field(penpal: Run, folder: Path) -> None:
    penpal("data", "export", folder)
    documented = {
        found[1]: set(re.findall(r"`([a-z_0-9]+)`", found[2]))
        for found in re.finditer(r"^\| `(\w+)\.jsonl` \|(.*)\|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert set(documented) == {path.stem for path in folder.glob("*.jsonl")}
    for name, fields in documented.items():
        for row in lines(folder / f"{name}.jsonl"):
            assert set(row) <= fields, name

"""`penpal encoder`, `export`, `import`, `personalize`: which voice writes, and how it travels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import app.learning
from app.cli.learning import _known_encoders
from app.learning import PersonalizeReport
from core.store import Store
from tests.app.conftest import BACKBONE_ID, CLAP_ID, Result, learned

Run = Callable[..., Result]


def test_the_generic_voice_is_listed_and_active_at_first(penpal: Run) -> None:
    assert penpal("encoder", "list", "--json").json == [
        {
            "id": "generic",
            "origin": "built in",
            "status": "kept",
            "pairs": None,
            "accuracy": None,
            "created_utc": None,
            "active": True,
        }
    ]


def test_the_list_marks_the_voice_in_use(penpal: Run, penpal_home: Path) -> None:
    record = learned(penpal_home, 1.0)
    assert penpal("encoder", "use", record.id[:6]).out == f"PenPal now writes in voice {record.id[:12]}.\n"
    header, generic, mine = penpal("encoder", "list").out.splitlines()
    assert header.split() == ["id", "origin", "status", "pairs", "right", "made"]
    assert generic.split() == ["generic", "built", "in", "kept"]
    assert mine.split() == ["*", record.id[:12], "personalized", "kept", "12", "75%", "2026-11-20"]


def test_rolling_back_twice_goes_two_voices_back(penpal: Run, penpal_home: Path) -> None:
    records = [learned(penpal_home, lean) for lean in (0.5, 1.0, 1.5)]
    for record in records:
        penpal("encoder", "use", record.id)
    assert penpal("encoder", "rollback", "--json").json["id"] == records[1].id
    assert penpal("encoder", "rollback").out == f"PenPal now writes in voice {records[0].id[:12]}.\n"
    assert penpal("encoder", "rollback").out == "PenPal now writes in the generic voice.\n"
    assert penpal("encoder", "rollback") == Result(
        2, "", "penpal: There is nothing to roll back: the generic voice has always been active.\n"
    )


def test_an_unknown_voice_is_one_clear_line(penpal: Run) -> None:
    assert penpal("encoder", "use", "zzz") == Result(
        2, "", "penpal: No encoder has an id that starts with 'zzz': 'penpal encoder list' shows them.\n"
    )


def test_the_generic_voice_cannot_be_exported(penpal: Run, tmp_path: Path) -> None:
    found = penpal("export", tmp_path / "me.penpal")
    assert (found.code, found.err) == (
        2,
        "penpal: The generic voice is part of every PenPal, there is nothing to export: 'penpal personalize' makes "
        "one of your own.\n",
    )
    assert not (tmp_path / "me.penpal").exists()


def test_a_voice_travels_from_home_to_home(
    penpal: Run, penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = learned(penpal_home, 1.0)
    first, second = tmp_path / "first.penpal", tmp_path / "second.penpal"
    manifest = penpal("export", first, "--encoder", record.id[:8], "--json").json["manifest"]
    assert (manifest["backbone"], manifest["clap"]) == (BACKBONE_ID, CLAP_ID)
    assert (manifest["pairs"], manifest["accuracy"], manifest["created"]) == (12, 0.75, "2026-11-20")

    monkeypatch.setenv("PENPAL_HOME", str(tmp_path / "other"))
    imported = penpal("import", first)
    new = Store(tmp_path / "other" / "penpal.db").encoders()[0]
    assert imported.out.endswith(f"To write in it: penpal encoder use {new.id[:12]}\n")
    assert penpal("encoder", "list", "--json").json[0]["active"]
    assert penpal("import", first, "--use", "--json").json["active"]
    assert penpal("write", "Hi.", "--json").json[0]["encoder"] == new.id
    penpal("export", second)
    assert second.read_bytes() == first.read_bytes()


def test_an_export_does_not_replace_a_file_by_accident(penpal: Run, penpal_home: Path, tmp_path: Path) -> None:
    record, file = learned(penpal_home, 1.0), tmp_path / "thesis.txt"
    file.write_text("Five years of work.", encoding="utf-8")
    assert penpal("export", file, "--encoder", record.id) == Result(
        2, "", f"penpal: {file} exists: choose another name, or add --force to replace it.\n"
    )
    assert file.read_text(encoding="utf-8") == "Five years of work."
    assert penpal("export", file, "--encoder", record.id, "--force").code == 0


def test_a_damaged_file_is_not_imported(penpal: Run, tmp_path: Path) -> None:
    (tmp_path / "x.penpal").write_bytes(b"PK")
    assert penpal("import", tmp_path / "x.penpal") == Result(
        1, "", f"penpal: {tmp_path / 'x.penpal'} is not a PenPal encoder, or it was cut short.\n"
    )


def test_a_full_disk_is_one_clear_line(
    penpal: Run, penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = learned(penpal_home, 1.0)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    found = penpal("export", tmp_path / "me.penpal", "--encoder", record.id)
    assert found == Result(1, "", "penpal: The disk is full: free some space and try again.\n")
    assert list(tmp_path.glob("*.penp*")) == []


def test_a_dry_run_counts_what_there_is_to_learn_from(penpal: Run) -> None:
    penpal("write", "Say hello.", "-n", "2")
    penpal("feedback", "pick", "1")
    penpal("feedback", "edit", "1", "--text", "Mine.")
    assert penpal("personalize", "--dry-run", "--json").json == {"pairs": 2, "by_source": {"pick": 1, "edit": 1}}
    assert penpal("personalize", "--dry-run").out == (
        "2 pairs to learn from: 1 from pick, 1 from edit. Nothing was changed.\n"
    )


def test_learning_shows_before_and_after(penpal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    report = PersonalizeReport(
        pairs=12,
        pairs_by_source={"pick": 12},
        accuracy_generic=0.5,
        accuracy=0.75,
        p_value=0.07,
        shift=2.0,
        perplexity_generic=6.1,
        perplexity_personal=6.4,
        strength=1.0,
        encoder_id="e" * 64,
        activated=True,
        reason="activated: it foresees 75% of your 12 choices",
        seconds={"learn": 3.2},
    )
    forced: list[bool] = []

    def learn(penpal: object, *, force: bool, progress: Callable[[str, float], None]) -> PersonalizeReport:
        progress("Learning", 0.5)
        forced.append(force)
        return report

    monkeypatch.setattr(app.learning, "personalize", learn)
    assert penpal("personalize") == Result(
        0,
        "Learned from 12 pairs in 3 s.\n"
        "Choices foreseen: before 50%, now 75%.\n"
        "Perplexity: before 6.1, now 6.4.\n"
        "Voice eeeeeeeeeeee: activated: it foresees 75% of your 12 choices.\n",
        "",
    )
    assert penpal("personalize", "--force", "--json").json["p_value"] == 0.07
    assert forced == [False, True]


def test_the_shell_completes_voices_and_never_fails(
    penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = learned(penpal_home, 1.0)
    assert _known_encoders() == ["generic", record.id[:12]]
    (penpal_home / "penpal.db").write_bytes(b"no database" * 100)
    assert _known_encoders() == ["generic"]

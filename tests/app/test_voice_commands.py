"""`penpal encoder`, `export`, `import`: which voice writes, what is known of it, and how it travels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.encoders import known_encoders
from core.store import Store
from tests.app.conftest import BACKBONE_ID, CLAP_ID, Result, learned, picks

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
            "forgotten": 0,
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
        2, "", "penpal: There is nothing to roll back: no other voice was active before.\n"
    )


@pytest.mark.parametrize("command", [["use", "zzz"], ["show", "zzz"], ["diff", "generic", "zzz"], ["remove", "zzz"]])
def test_an_unknown_voice_is_one_clear_line(penpal: Run, command: list[str]) -> None:
    assert penpal("encoder", *command) == Result(
        2, "", "penpal: No encoder has an id that starts with 'zzz': 'penpal encoder list' shows them.\n"
    )


# --- show -------------------------------------------------------------------------------------------------------


def test_all_that_is_known_of_a_voice_is_shown(penpal: Run, store: Store, penpal_home: Path) -> None:
    picks(store, 12)
    made = penpal("personalize", "--no-drafts", "--json").json
    record = store.encoders()[0]
    shown = penpal("encoder", "show", record.id[:6])
    assert (shown.code, shown.err) == (0, "")
    title, *lines = shown.out.splitlines()
    assert title == f"Voice {record.id[:12]} (in use)"
    assert {line[:14].strip(): line[14:] for line in lines} == {
        "made": f"{record.created_utc[:10]}, personalized",
        "learned from": "12 answers: pick 12",
        "what": "one way of writing for everything",
        "foresees": "100% of choices it has not seen (95% interval 76% to 100%)",
        "leans": f"{made['shift']:.1f} away from the generic voice",
        "status": f"kept ({made['reason']})",
        "comes after": "the generic voice",
        "file": f"{penpal_home / 'encoders' / record.file}, {(penpal_home / 'encoders' / record.file).stat().st_size} "
        "bytes",
        "report": made["markdown"],
    }


def test_a_voice_as_json_has_its_numbers_and_its_whole_report(penpal: Run, penpal_home: Path) -> None:
    record = learned(penpal_home, 1.0, contexts={"mail": 0.5}, accuracy_interval=[0.6, 0.9], capacity="contexts")
    found = penpal("encoder", "show", record.id, "--json").json
    length = found["drift"]
    assert length == pytest.approx(1.852, abs=1e-3)
    assert found["contexts"] == {"mail": pytest.approx(length / 2)}
    assert (found["capacity"], found["accuracy_interval"], found["active"]) == ("contexts", [0.6, 0.9], False)
    assert (found["parent_id"], found["report_file"], found["report"]) == (None, None, record.report)
    words = penpal("encoder", "show", record.id).out
    assert "kinds         mail 0.9 (how far each leads away from the rest)" in words
    assert "what          a way of writing of its own for each kind of text" in words


def test_the_generic_voice_is_shown_too(penpal: Run) -> None:
    assert penpal("encoder", "show", "generic").out.splitlines()[0] == "The generic voice (in use)"
    assert penpal("encoder", "show", "generic", "--json").json["active"]


def test_a_voice_of_another_backbone_is_shown_without_its_numbers(
    penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.app.conftest.BACKBONE_ID", "d" * 64)
    record = learned(penpal_home, 1.0, shift=1.9)
    monkeypatch.setattr("tests.app.conftest.BACKBONE_ID", BACKBONE_ID)
    shown = penpal("encoder", "show", record.id)
    assert "backbone      dddddddddddd, another one than here: it cannot be used" in shown.out
    assert "leans         1.9 away" in shown.out
    refused = penpal("encoder", "diff", record.id, "generic")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "belongs to backbone dddddddddddd" in refused.err


# --- diff -------------------------------------------------------------------------------------------------------


def test_two_voices_are_compared_in_words_and_numbers(penpal: Run, penpal_home: Path) -> None:
    mine = learned(penpal_home, 1.0, contexts={"mail": 0.5}, perplexity_personal=4.25, flip_rate=0.05)
    other = learned(penpal_home, -1.0)
    a, b = mine.id[:12], other.id[:12]
    assert penpal("encoder", "diff", mine.id, b).out.splitlines() == [
        f"Voice {a} leans 3.7 away from voice {b}: they lean opposite ways (cosine -1.00).",
        f"For mail they are 4.6 apart; only voice {a} has a way of its own for it.",
        "",
        f"{'':<20}{a:>14}  {b:>14}",
        f"{'pairs':<20}{12:>14}  {12:>14}",
        f"{'accuracy':<20}{0.75:>14}  {0.75:>14}",
        f"{'perplexity personal':<20}{4.25:>14}",
        f"{'flip rate':<20}{0.05:>14}",
    ]


def test_a_comparison_as_json(penpal: Run, penpal_home: Path) -> None:
    mine = learned(penpal_home, 1.0, contexts={"mail": 0.5})
    found = penpal("encoder", "diff", mine.id[:8], "generic", "--json").json
    assert (found["a"], found["b"], found["cosine"], found["prompts"]) == (mine.id, "generic", None, [False, False])
    assert found["distance"] == pytest.approx(1.852, abs=1e-3)
    assert found["contexts"] == {"mail": pytest.approx(2.777, abs=1e-3)}
    assert found["report"]["accuracy"] == [0.75, None]


def test_a_voice_beside_the_generic_one_leans_no_particular_way(penpal: Run, penpal_home: Path) -> None:
    mine = learned(penpal_home, 1.0)
    told = penpal("encoder", "diff", "generic", mine.id).out.splitlines()[0]
    assert told == f"The generic voice leans 1.9 away from voice {mine.id[:12]}."


# --- remove -----------------------------------------------------------------------------------------------------


def test_a_removed_voice_leaves_its_record_behind(penpal: Run, penpal_home: Path, store: Store) -> None:
    record = learned(penpal_home, 1.0)
    assert penpal("encoder", "remove", record.id[:8]).out == f"Removed voice {record.id[:12]}.\n"
    assert list((penpal_home / "encoders").iterdir()) == []
    assert store.encoders() == [record]
    assert penpal("encoder", "list").out.splitlines()[-1].split() == [
        record.id[:12], "personalized", "removed", "12", "75%", "2026-11-20",
    ]  # fmt: skip
    shown = penpal("encoder", "show", record.id, "--json").json
    assert (shown["status"], shown["size_bytes"], shown["contexts"]) == ("removed", None, None)
    told = f"penpal: Voice {record.id[:12]} was removed: 'penpal encoder list' shows those that are left.\n"
    for command in ("use", "remove"):
        assert penpal("encoder", command, record.id) == Result(2, "", told)
    assert penpal("encoder", "diff", record.id, "generic") == Result(2, "", told)


def test_removing_as_json(penpal: Run, penpal_home: Path) -> None:
    record = learned(penpal_home, 1.0)
    found = penpal("encoder", "remove", record.id, "--json").json
    assert (found["id"], found["status"]) == (record.id, "removed")


def test_the_voice_in_use_is_not_removed(penpal: Run, penpal_home: Path) -> None:
    record = learned(penpal_home, 1.0)
    penpal("encoder", "use", record.id)
    assert penpal("encoder", "remove", record.id, "--force") == Result(
        2,
        "",
        f"penpal: Voice {record.id[:12]} is in use: choose another one first with 'penpal encoder use', then remove "
        "it.\n",
    )
    assert penpal("write", "Hi.", "--json").json[0]["encoder"] == record.id


def test_the_way_back_is_removed_only_by_force(penpal: Run, penpal_home: Path) -> None:
    first, second = learned(penpal_home, 0.5), learned(penpal_home, 1.0)
    for record in (first, second):
        penpal("encoder", "use", record.id)
    refused = penpal("encoder", "remove", first.id)
    assert (refused.code, refused.out) == (2, "")
    assert "is where 'penpal encoder rollback' leads: add --force" in refused.err
    assert penpal("encoder", "remove", first.id, "--force").code == 0
    assert penpal("encoder", "rollback").out == "PenPal now writes in the generic voice.\n"


def test_a_voice_that_is_learned_again_is_back(penpal: Run, store: Store) -> None:
    picks(store, 12)
    made = penpal("personalize", "--no-drafts", "--json").json["encoder_id"]
    penpal("encoder", "use", "generic")
    penpal("encoder", "remove", made, "--force")
    assert penpal("personalize", "--no-drafts", "--json").json["encoder_id"] == made
    assert [row["status"] for row in penpal("encoder", "list", "--json").json] == ["kept", "kept"]


# --- export, import ---------------------------------------------------------------------------------------------


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


def test_a_voice_travels_with_the_kinds_of_writing_it_knows(
    penpal: Run, penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = learned(penpal_home, 1.0, contexts={"mail": 0.5, "my diary": 1.0})
    told = penpal("export", tmp_path / "me.penpal", "--encoder", record.id).out
    assert "(mail, my diary)" in told
    monkeypatch.setenv("PENPAL_HOME", str(tmp_path / "other"))
    imported = penpal("import", tmp_path / "me.penpal", "--json").json["id"]
    assert penpal("encoder", "show", imported, "--json").json["contexts"].keys() == {"mail", "my diary"}


def test_a_removed_voice_cannot_be_exported_and_an_imported_one_brings_it_back(
    penpal: Run, penpal_home: Path, tmp_path: Path
) -> None:
    record = learned(penpal_home, 1.0)
    file = tmp_path / "me.penpal"
    penpal("export", file, "--encoder", record.id)
    imported = penpal("import", file, "--json").json["id"]
    penpal("encoder", "remove", imported)
    refused = penpal("export", tmp_path / "again.penpal", "--encoder", imported)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "was removed" in refused.err
    assert penpal("import", file, "--use", "--json").json["active"]


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


def test_the_shell_completes_voices_and_never_fails(
    penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = learned(penpal_home, 1.0)
    assert known_encoders() == ["generic", record.id[:12]]
    (penpal_home / "penpal.db").write_bytes(b"no database" * 100)
    assert known_encoders() == ["generic"]

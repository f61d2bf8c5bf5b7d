"""`penpal pack show`, `verify`, `mix`: files with voices in them, looked at, checked and mixed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.files import file_sha256
from core.store import Store
from tests.app.conftest import BACKBONE_ID, CLAP_ID, Result, learned

Run = Callable[..., Result]


@pytest.fixture
def pack(penpal: Run, penpal_home: Path, tmp_path: Path) -> Path:
    record = learned(penpal_home, 1.0, contexts={"mail": 0.5}, accuracy_interval=[0.6, 0.9])
    penpal("export", tmp_path / "me.penpal", "--encoder", record.id, "--licence", "CC0-1.0")
    return tmp_path / "me.penpal"


@pytest.fixture
def foreign(penpal: Run, penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack of another backbone, made where that one is."""
    from exporters.pack import Space, export_pack
    from models.checkpoint import read_arrays

    monkeypatch.setattr("tests.app.conftest.BACKBONE_ID", "d" * 64)
    record = learned(tmp_path / "elsewhere", 1.0)
    monkeypatch.setattr("tests.app.conftest.BACKBONE_ID", BACKBONE_ID)
    file = tmp_path / "foreign.penpal"
    layers = {"norm.weight": read_arrays(tmp_path / "elsewhere" / "encoders" / record.file)[0]["mean"]}
    space = Space("d" * 64, CLAP_ID, 8, layers)
    export_pack(record, tmp_path / "elsewhere" / "encoders", file, space=space)
    return file


def test_a_file_is_shown_in_plain_words(penpal: Run, pack: Path) -> None:
    shown = penpal("pack", "show", pack)
    title, *lines = shown.out.splitlines()
    assert title == f"{pack}: a PenPal voice (format 2), {pack.stat().st_size:,} bytes"
    found = {line[:14].strip(): line[14:] for line in lines}
    assert found.pop("card").startswith("A PenPal voice: how one person likes their drafts")
    assert found == {
        "what": "a way of writing of its own for each kind of text",
        "learned from": "12 answers by 2026-11-20",
        "foresees": "75% of choices it had not seen (95% interval 60% to 90%)",
        "kinds": "mail",
        "licence": "CC0-1.0",
        "backbone": BACKBONE_ID,
        "CLaP": CLAP_ID,
        "fits": "yes: it is for this home's backbone and CLaP",
        "SHA-256": file_sha256(pack),
        "signed": "no",
    }


def test_looking_changes_nothing(penpal: Run, pack: Path, store: Store) -> None:
    before = store.encoders()
    found = penpal("pack", "show", pack, "--json").json
    assert (found["fits"], found["contexts"], found["manifest"]["licence"]) == (True, ["mail"], "CC0-1.0")
    assert penpal("pack", "verify", pack, "--json").json["good"]
    assert store.encoders() == before


def test_a_file_for_another_backbone_is_shown_and_checked_and_says_so(penpal: Run, foreign: Path) -> None:
    assert "fits          no: it was made for backbone dddddddddddd" in penpal("pack", "show", foreign).out
    checked = penpal("pack", "verify", foreign)
    assert checked.code == 0
    assert "fits          no: it was made for backbone dddddddddddd" in checked.out
    foreign.write_bytes(foreign.read_bytes()[:-1] + b"\x7f")
    assert penpal("pack", "verify", foreign).code == 1


def test_a_good_file_is_verified(penpal: Run, pack: Path) -> None:
    told = penpal("pack", "verify", pack).out.splitlines()
    assert told[0] == f"{pack} is whole, and what it says it is."
    assert f"file          SHA-256 {file_sha256(pack)}" in told
    assert "fits          this home's backbone and CLaP" in told


def test_one_changed_bit_is_one_line_and_exit_code_1(penpal: Run, pack: Path) -> None:
    data = pack.read_bytes()
    pack.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused = penpal("pack", "verify", pack)
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert "SHA-256" in refused.err


@pytest.mark.parametrize("command", ["show", "verify"])
def test_something_else_is_one_clear_line(penpal: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "x.penpal").write_bytes(b"PK\x03\x04 and so on, for a while")
    refused = penpal("pack", command, tmp_path / "x.penpal")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)


def test_two_voices_become_one(penpal: Run, penpal_home: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.penpal", tmp_path / "b.penpal"]
    for file, lean in zip(files, (1.0, -0.5), strict=True):
        penpal("export", file, "--encoder", learned(penpal_home, lean).id)
    both = tmp_path / "both.penpal"
    made = penpal("pack", "mix", *files, "--weights", ".5,.5", "--out", both)
    assert made.out.startswith(f"Wrote the mix to {both}. A PenPal voice: a mix of 2 voices (50%, 50%)")
    shown = penpal("encoder", "show", penpal("import", both, "--json").json["id"], "--json").json
    assert shown["drift"] == pytest.approx(1.852 / 4, abs=1e-3)
    refused = penpal("pack", "mix", *files, "--weights", "1,0", "--out", both)
    assert (refused.code, refused.err) == (
        2, f"penpal: {both} exists: choose another name, or add --force to replace it.\n"
    )  # fmt: skip
    penpal("pack", "mix", *files, "--weights", "1,0", "--out", both, "--force")
    assert both.read_bytes() == files[0].read_bytes()


def test_weights_that_are_no_numbers_are_one_clear_line(penpal: Run, pack: Path, tmp_path: Path) -> None:
    refused = penpal("pack", "mix", pack, pack, "--weights", "much,little", "--out", tmp_path / "x.penpal")
    assert refused == Result(
        2, "", "penpal: 'much,little' is no list of weights: write numbers with commas, such as .7,.3.\n"
    )


def test_a_voice_of_another_backbone_is_not_mixed(penpal: Run, pack: Path, foreign: Path, tmp_path: Path) -> None:
    refused = penpal("pack", "mix", pack, foreign, "--weights", "1,1", "--out", tmp_path / "x.penpal")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "was made for backbone dddddddddddd" in refused.err

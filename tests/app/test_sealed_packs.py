"""Voices that are signed and locked: whose they are, and that nobody else opens them."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core import passphrase as age
from core.store import Store
from tests.app.conftest import Result, learned
from tests.exporters.test_signature import written

Run = Callable[..., Result]


@pytest.fixture
def exported(penpal: Run, penpal_home: Path, tmp_path: Path) -> Callable[..., Result]:
    record = learned(penpal_home, 1.0)
    return lambda *options: penpal("export", tmp_path / "me.penpal", "--encoder", record.id, *options)


@pytest.fixture
def pack(exported: Callable[..., Result], tmp_path: Path) -> Path:
    exported()
    return tmp_path / "me.penpal"


# --- signed -----------------------------------------------------------------------------------------------------


def test_a_signed_voice_says_whose_it_is(
    penpal: Run, exported: Callable[..., Result], tmp_path: Path, store: Store
) -> None:
    key, file = written(tmp_path), tmp_path / "me.penpal"
    signer = exported("--sign", key, "--json").json["signed_by"]
    assert (tmp_path / "me.penpal.sig").read_text(encoding="utf-8").startswith("-----BEGIN SSH SIGNATURE-----\n")
    public = tmp_path / "id_ed25519.pub"
    assert f"signed        by {signer}, as asked" in penpal("pack", "verify", file, "--key", public).out
    assert penpal("pack", "verify", file, "--key", public.read_text(encoding="utf-8")).code == 0
    assert f"by {signer};" in penpal("pack", "show", file).out
    imported = penpal("import", file)
    assert f"Signed by {signer}." in imported.out
    guest = next(each for each in store.encoders() if each.origin == "imported")
    assert guest.report["signed_by"] == signer
    assert f"signed        by {signer}" in penpal("encoder", "show", guest.id).out


def test_another_key_and_no_signature_are_one_line(
    penpal: Run, exported: Callable[..., Result], tmp_path: Path
) -> None:
    file, (mine, theirs) = tmp_path / "me.penpal", (tmp_path / "mine", tmp_path / "theirs")
    for folder in (mine, theirs):
        folder.mkdir()
        written(folder)
    exported()
    refused = penpal("pack", "verify", file, "--key", mine / "id_ed25519.pub")
    assert refused == Result(1, "", f"penpal: {file} is not signed: there is no me.penpal.sig beside it.\n")
    exported("--sign", theirs / "id_ed25519", "--force")
    refused = penpal("pack", "verify", file, "--key", mine / "id_ed25519.pub")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert "was signed by SHA256:" in refused.err


@pytest.mark.parametrize("command", [["import"], ["pack", "verify"], ["pack", "show"]])
def test_a_file_that_was_changed_after_it_was_signed_is_refused(
    penpal: Run, exported: Callable[..., Result], tmp_path: Path, store: Store, command: list[str]
) -> None:
    exported("--sign", written(tmp_path))
    before = store.encoders()
    data = (tmp_path / "me.penpal").read_bytes()
    (tmp_path / "me.penpal").write_bytes(data.replace(b"12 choices", b"99 choices"))
    refused = penpal(*command, tmp_path / "me.penpal")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert "is not a signature of this file" in refused.err
    assert store.encoders() == before


def test_a_new_file_does_not_keep_the_old_signature(exported: Callable[..., Result], tmp_path: Path) -> None:
    exported("--sign", written(tmp_path))
    refused = exported()
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    exported("--force")
    assert not (tmp_path / "me.penpal.sig").exists()


def test_a_key_of_another_kind_leaves_nothing_behind(exported: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "note").write_text("Dear Ann", encoding="utf-8")
    refused = exported("--sign", tmp_path / "note")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert not (tmp_path / "me.penpal").exists()


# --- locked -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_locked_voice_opens_with_its_passphrase_only(
    penpal: Run, exported: Callable[..., Result], tmp_path: Path
) -> None:
    """One test for all of it: age works for a second at every lock and every opening, and should."""
    file, (right, wrong) = tmp_path / "me.penpal", (tmp_path / "right", tmp_path / "wrong")
    right.write_text("correct horse\n", encoding="utf-8")
    wrong.write_text("battery staple\n", encoding="utf-8")
    assert exported("--passphrase-file", right, "--sign", written(tmp_path)).code == 0
    assert file.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert b"penpal" not in file.read_bytes()
    refused = penpal("import", file, "--passphrase-file", wrong)
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert "The passphrase does not open this file" in refused.err
    imported = penpal("import", file, "--passphrase-file", right, "--json").json
    assert imported["signed_by"].startswith("SHA256:")
    assert penpal("write", "Hi.", "--voice", imported["id"], "--json").json[0]["encoder"] == imported["id"]


def test_without_a_terminal_nobody_is_asked(penpal: Run, pack: Path, tmp_path: Path) -> None:
    pack.write_bytes(asking(18))
    refused = penpal("pack", "show", pack, piped="")
    assert (refused.code, refused.out) == (2, "")
    assert "give --passphrase-file PATH" in refused.err


def asking(work: int) -> bytes:
    """The start of a file in the age format that asks for so much scrypt work, log2."""
    salt = base64.b64encode(os.urandom(16)).rstrip(b"=")
    return age.HEADER + b"-> scrypt " + salt + b" %d\n" % work + b"A" * 43 + b"\n--- " + b"B" * 43 + b"\n" + bytes(64)


@pytest.mark.parametrize("work", [21, 22, 64, 999])
def test_a_file_that_asks_for_absurd_work_is_refused_at_once(
    penpal: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: int
) -> None:
    secret, file = tmp_path / "secret", tmp_path / "x.penpal"
    secret.write_text("anything", encoding="utf-8")
    file.write_bytes(asking(work))
    monkeypatch.setattr("pyrage.passphrase.decrypt", lambda *a: pytest.fail("it began to work"))
    refused = penpal("import", file, "--passphrase-file", secret)
    assert (refused.code, refused.out) == (1, "")
    assert "more memory than any honest one" in refused.err

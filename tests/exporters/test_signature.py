"""A signature is of one file by one key, and OpenSSH's own tool makes and checks the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import PackError, UsageError
from exporters.signature import read_key, read_signer, sign, signer_of

DATA = b"a voice " * 100
needs_openssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen here")


def written(folder: Path, passphrase: str = "") -> Path:
    """A new key pair, as `ssh-keygen -t ed25519` leaves it."""
    key = Ed25519PrivateKey.generate()
    locked = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    private = folder / "id_ed25519"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, locked))
    private.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (folder / "id_ed25519.pub").write_text(f"{public} ann@desk\n", encoding="utf-8")
    return private


def never() -> str:
    raise AssertionError("a passphrase was asked for")


def test_a_signature_names_the_key_that_made_it(tmp_path: Path) -> None:
    private = written(tmp_path)
    signer = signer_of(DATA, sign(DATA, read_key(private, never)), source="x.sig")
    public = tmp_path / "id_ed25519.pub"
    assert signer == read_signer(str(public)) == read_signer(public.read_text(encoding="utf-8"))
    assert signer.fingerprint.startswith("SHA256:")


def test_another_file_and_another_key_are_seen(tmp_path: Path) -> None:
    signature = sign(DATA, read_key(written(tmp_path), never))
    with pytest.raises(PackError, match="is not a signature of this file"):
        signer_of(DATA + b".", signature, source="x.sig")
    other = signer_of(DATA, sign(DATA, read_key(written(tmp_path), never)), source="x.sig")
    assert other != signer_of(DATA, signature, source="x.sig")


def test_a_locked_key_is_opened_by_its_passphrase(tmp_path: Path) -> None:
    private = written(tmp_path, "correct horse")
    assert sign(DATA, read_key(private, lambda: "correct horse"))
    with pytest.raises(UsageError, match="its passphrase is another one"):
        read_key(private, lambda: "wrong")


def test_other_keys_are_refused_in_one_line(tmp_path: Path) -> None:
    rsa = tmp_path / "id_rsa"
    rsa.write_bytes(
        generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    with pytest.raises(UsageError, match="is not an Ed25519 key: 'ssh-keygen -t ed25519' makes one"):
        read_key(rsa, never)
    (tmp_path / "note").write_text("Dear Ann", encoding="utf-8")
    with pytest.raises(UsageError, match="is no private SSH key"):
        read_key(tmp_path / "note", never)
    for told in (str(tmp_path / "note"), "ssh-ed25519 AAAA", "ssh-ed25519 !", "ssh-ed25519 "):
        with pytest.raises(UsageError, match="is no public SSH key"):
            read_signer(told)
    with pytest.raises(UsageError, match="cannot be read"):
        read_signer(str(tmp_path / "nowhere.pub"))


@pytest.mark.parametrize(
    "bad", ["", "no signature", "-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----"]
)
def test_something_else_is_no_signature(bad: str) -> None:
    with pytest.raises(PackError, match="is no signature by an SSH key"):
        signer_of(DATA, bad, source="x.sig")


def test_a_spoiled_signature_is_never_anything_but_refused(tmp_path: Path) -> None:
    whole = sign(DATA, read_key(written(tmp_path), never))

    @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(whole) - 1), st.text(max_size=3), st.integers(0, 4))
    def spoil(place: int, put: str, taken: int) -> None:
        spoiled = whole[:place] + put + whole[place + taken :]
        if "".join(spoiled.split()) != "".join(whole.split()):
            with pytest.raises(PackError):
                signer_of(DATA, spoiled, source="x.sig")

    spoil()


# --- with OpenSSH -----------------------------------------------------------------------------------------------


def openssh(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *arguments], input=data, capture_output=True, check=False, timeout=20)


@needs_openssh
def test_openssh_checks_what_was_signed_here(tmp_path: Path) -> None:
    private, signature = written(tmp_path), tmp_path / "me.penpal.sig"
    signature.write_text(sign(DATA, read_key(private, never)), encoding="utf-8")
    public = (tmp_path / "id_ed25519.pub").read_text(encoding="utf-8")
    (tmp_path / "allowed").write_text(f"ann@example.com {public}", encoding="utf-8")
    check = ["-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "ann@example.com", "-n", "file"]
    good = openssh(*check, "-s", str(signature), data=DATA)
    assert good.returncode == 0, good.stderr
    assert signer_of(DATA, signature.read_text(encoding="utf-8"), source="x").fingerprint.encode() in good.stdout
    assert openssh(*check, "-s", str(signature), data=DATA + b".").returncode != 0


@needs_openssh
@pytest.mark.parametrize("hashed", ["sha512", "sha256"])
def test_what_openssh_signed_is_checked_here(tmp_path: Path, hashed: str) -> None:
    file, private = tmp_path / "me.penpal", written(tmp_path)
    file.write_bytes(DATA)
    made = openssh("-Y", "sign", "-n", "file", "-O", f"hashalg={hashed}", "-f", str(private), str(file))
    assert made.returncode == 0, made.stderr
    signature = (tmp_path / "me.penpal.sig").read_text(encoding="utf-8")
    assert signer_of(DATA, signature, source="x.sig") == read_signer(str(tmp_path / "id_ed25519.pub"))


@needs_openssh
def test_a_signature_for_another_purpose_is_none_of_a_file(tmp_path: Path) -> None:
    file, private = tmp_path / "me.penpal", written(tmp_path)
    file.write_bytes(DATA)
    openssh("-Y", "sign", "-n", "git", "-f", str(private), str(file))
    with pytest.raises(PackError, match="is no signature"):
        signer_of(DATA, (tmp_path / "me.penpal.sig").read_text(encoding="utf-8"), source="x.sig")


@needs_openssh
def test_a_key_that_openssh_made_and_locked_signs_here(tmp_path: Path) -> None:
    private = tmp_path / "key"
    assert openssh("-q", "-t", "ed25519", "-a", "1", "-N", "correct horse", "-f", str(private)).returncode == 0
    signature = sign(DATA, read_key(private, lambda: "correct horse"))
    assert signer_of(DATA, signature, source="x.sig") == read_signer(f"{private}.pub")

"""How a file with a voice is locked and signed on its way out, and opened and checked on its way in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import passphrase
from core.errors import PackError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from exporters.pack import Seal
    from exporters.signature import Signer

MAX_WORK = 20
"""log2 of the scrypt work that a stranger's file may ask for: 1 GB and a few seconds. The age tool asks for 18."""

SigningKey = Annotated[
    Path | None,
    typer.Option("--sign", metavar="KEY", help="Sign the file with your SSH key (Ed25519), into FILE.sig beside it."),
]


@dataclass(frozen=True)
class Opened:
    """A file that was read."""

    data: bytes
    """What is in it, unlocked."""
    signer: Signer | None
    """Whose signature lies beside it, made of this very file; None: there is no signature."""
    sha256: str
    """Of the file as it lies there, locked or not."""
    size_bytes: int


def refuse_existing(file: Path, *, force: bool) -> None:
    """Raises UsageError when this file, or a signature of it, is there and may not be replaced."""
    from exporters.signature import signature_file

    for there in (file, signature_file(file)):
        if there.exists() and not force:
            raise UsageError(f"{there} exists: choose another name, or add --force to replace it.")


def forget_old_signature(file: Path) -> None:
    """Takes away what was a signature of the file that has just been replaced."""
    from exporters.signature import signature_file

    signature_file(file).unlink(missing_ok=True)


def seal(passphrase_file: Path | None, *, ask: bool) -> Seal:
    """What locks the bytes of a file, if somebody asked for that. Asks for the passphrase now, twice."""
    if not ask and passphrase_file is None:
        return bytes
    from core.passphrase import encrypt

    secret = passphrase.ask(passphrase_file, new=True)
    return lambda data: encrypt(data, secret)


def signing_key(path: Path | None) -> Ed25519PrivateKey | None:
    """The key at this path; asks for its passphrase if it has one. Raises UsageError for anything else."""
    if path is None:
        return None
    from exporters.signature import read_key

    return read_key(path, lambda: passphrase.ask(None, new=False))


def write_signature(file: Path, key: Ed25519PrivateKey) -> Signer:
    """Signs a file as it lies there, beside it."""
    from core.files import write_atomically
    from exporters.signature import sign, signature_file, signer_of

    data = file.read_bytes()
    signature = sign(data, key)
    write_atomically(signature_file(file), signature.encode())
    return signer_of(data, signature, source=str(signature_file(file)))


def opened(file: Path, passphrase_file: Path | None, *, key: str | None = None) -> Opened:
    """Reads a file; asks for the passphrase if it is locked.

    `key`: whose signature it must have, a public key or the file of one. Raises PackError when a signature beside it is
    of another file or by another key, or when it lacks the one that was asked for; PassphraseError.
    """
    from core.passphrase import decrypt, is_encrypted
    from exporters.pack_file import read_bytes

    data = read_bytes(file)
    signer, sha256, size_bytes = _signer(file, data, key), hashlib.sha256(data).hexdigest(), len(data)
    if is_encrypted(data):
        data = decrypt(data, passphrase.ask(passphrase_file, new=False), max_work=MAX_WORK)
    return Opened(data, signer, sha256, size_bytes)


def _signer(file: Path, data: bytes, key: str | None) -> Signer | None:
    """Of the signature beside a file, if there is one, by this key, if one is named."""
    from exporters.signature import MAX_SIGNATURE_BYTES, read_signer, signature_file, signer_of

    beside, wanted = signature_file(file), read_signer(key) if key is not None else None
    if not beside.is_file():
        if wanted is not None:
            raise PackError(f"{file} is not signed: there is no {beside.name} beside it.")
        return None
    with beside.open("rb") as lines:
        signature = lines.read(MAX_SIGNATURE_BYTES).decode("utf-8", "replace")
    signer = signer_of(data, signature, source=str(beside))
    if wanted is not None and wanted != signer:
        raise PackError(f"{file} was signed by {signer.fingerprint}, not by {wanted.fingerprint}.")
    return signer

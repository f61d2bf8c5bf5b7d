"""Detached signatures in OpenSSH's own format (SSHSIG) by an SSH key (Ed25519), which stock tools make and check too.

`ssh-keygen -Y sign -n file -f KEY me.penpal` writes such a `me.penpal.sig`, and
`ssh-keygen -Y check-novalidate -n file -s me.penpal.sig < me.penpal` checks it. The layout is OpenSSH's
PROTOCOL.sshsig; the cryptography is the library's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import PackError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAGIC, VERSION = b"SSHSIG", 1
NAMESPACE = b"file"
"""What OpenSSH suggests for files: a signature of a login or a mail is none of a file."""
ALGORITHM = b"ssh-ed25519"
HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
MAX_KEY_BYTES = 64_000
MAX_SIGNATURE_BYTES = 16_000


@dataclass(frozen=True)
class Signer:
    """Whose key a signature was made with; nothing says yet whether it is the right person's."""

    public: bytes
    """The public key as SSH sends it."""

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        return f"SHA256:{base64.b64encode(hashlib.sha256(self.public).digest()).decode().rstrip('=')}"


def signature_file(file: Path) -> Path:
    """Where the signature of a file lies: beside it."""
    return file.with_name(f"{file.name}.sig")


def sign(data: bytes, key: Ed25519PrivateKey) -> str:
    """The signature of a file with these bytes, ready to be written."""
    public = _field(ALGORITHM) + _field(key.public_key().public_bytes_raw())
    made = key.sign(_signed(data, b"sha512"))
    signature = _field(_field(ALGORITHM) + _field(made))
    blob = MAGIC + struct.pack(">I", VERSION) + _field(public) + _field(NAMESPACE) + _field(b"") + _field(b"sha512")
    lines = textwrap.wrap(base64.b64encode(blob + signature).decode(), 70)
    return "\n".join([BEGIN, *lines, END, ""])


def signer_of(data: bytes, signature: str, *, source: str) -> Signer:
    """Who signed these bytes. Raises PackError unless the signature is whole and theirs."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public, hashed, made = _parsed(signature)
    except (ValueError, binascii.Error, struct.error) as error:
        raise PackError(f"{source} is no signature by an SSH key (Ed25519), or it is damaged.") from error
    try:
        key = Ed25519PublicKey.from_public_bytes(_fields(public, 2)[1])
        key.verify(made, _signed(data, hashed))
    except (InvalidSignature, ValueError) as error:
        raise PackError(f"{source} is not a signature of this file: one of them was changed.") from error
    return Signer(public)


def read_signer(told: str) -> Signer:
    """Of a public key: the line itself, or the file that it is in. Raises UsageError for anything else."""
    line = told
    if not told.startswith(f"{ALGORITHM.decode()} "):
        line = _read(Path(told).expanduser()).decode("utf-8", "replace")
    parts = line.split()
    try:
        public = base64.b64decode(parts[1], validate=True)
        kind, _ = _fields(public, 2)
    except (IndexError, ValueError, binascii.Error, struct.error):
        kind, public = b"", b""
    if kind != ALGORITHM or parts[0].encode() != ALGORITHM:
        raise UsageError(f"{told[:80]} is no public SSH key (Ed25519): give a file such as ~/.ssh/id_ed25519.pub.")
    return Signer(public)


def read_key(path: Path, passphrase: Callable[[], str]) -> Ed25519PrivateKey:
    """A private key; `passphrase` is asked if it is locked. Raises UsageError for another kind of file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    data = _read(path.expanduser())
    try:
        try:
            key = load_ssh_private_key(data, None)
        except TypeError:  # it is locked
            key = load_ssh_private_key(data, passphrase().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no private SSH key, or its passphrase is another one.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 key: 'ssh-keygen -t ed25519' makes one.")
    return key


def _parsed(signature: str) -> tuple[bytes, bytes, bytes]:
    """Public key, name of the hash, and the 64 bytes themselves. Raises ValueError and its like for anything else."""
    text = signature.strip()
    if not text.startswith(BEGIN) or not text.endswith(END):
        raise ValueError("no armour")
    blob = base64.b64decode("".join(text[len(BEGIN) : -len(END)].split()), validate=True)
    if not blob.startswith(MAGIC) or struct.unpack(">I", blob[6:10]) != (VERSION,):
        raise ValueError("another format")
    public, namespace, _, hashed, wrapped = _fields(blob[10:], 5)
    kind, made = _fields(wrapped, 2)
    if namespace != NAMESPACE or hashed not in HASHES or kind != ALGORITHM or _fields(public, 2)[0] != ALGORITHM:
        raise ValueError("another kind of signature")
    return public, hashed, made


def _signed(data: bytes, hashed: bytes) -> bytes:
    """What the key itself signs."""
    digest = HASHES[hashed](data).digest()
    return MAGIC + _field(NAMESPACE) + _field(b"") + _field(hashed) + _field(digest)


def _field(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _fields(blob: bytes, count: int) -> list[bytes]:
    """So many fields, and nothing after them."""
    found: list[bytes] = []
    for _ in range(count):
        (size,) = struct.unpack(">I", blob[:4])
        if size > len(blob) - 4:
            raise ValueError("cut short")
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    if blob:
        raise ValueError("something comes after it")
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error

"""Files that only a passphrase opens: the age format (age-encryption.org/v1), so that the `age` tool opens them too.

The passphrase goes through scrypt, whose work age sets to about a second of this machine; then ChaCha20-Poly1305.
"""

from __future__ import annotations

import re

from core.errors import PassphraseError

HEADER = b"age-encryption.org/v1\n"
MAX_WORK = 22
"""log2 of scrypt's N, as in age itself. Each step doubles time and memory: 22 takes 4 GB, and a file asks for it."""
_SCRYPT = re.compile(rb"-> scrypt [A-Za-z0-9+/]{22} (\d{1,3})\n")


def is_encrypted(data: bytes) -> bool:
    """Whether these bytes, or the first 22 of a file, are of a file in the age format."""
    return data.startswith(HEADER)


def encrypt(data: bytes, passphrase: str) -> bytes:
    """Takes a second or two. Raises PassphraseError for an empty passphrase."""
    from pyrage import passphrase as age

    if not passphrase:
        raise PassphraseError("An empty passphrase protects nothing: choose one with at least one letter.")
    return bytes(age.encrypt(data, passphrase))


def decrypt(data: bytes, passphrase: str, *, max_work: int = MAX_WORK) -> bytes:
    """Raises PassphraseError when the passphrase is another one, or the bytes are damaged or not in this format.

    `max_work`: log2 of the scrypt work that the file may ask for; more is refused before anything is allocated.
    """
    import pyrage

    if not is_encrypted(data):
        raise PassphraseError("This file is not locked with a passphrase: open it without one.")
    asks = _SCRYPT.match(data, len(HEADER))
    if asks is None:
        raise PassphraseError("This file is locked with a key or damaged: PenPal opens those with a passphrase.")
    if int(asks[1]) > max_work:
        raise PassphraseError("This file asks for more memory than any honest one would: it is not opened.")
    try:
        return bytes(pyrage.passphrase.decrypt(data, passphrase))
    except pyrage.DecryptError as error:
        raise PassphraseError(
            "The passphrase does not open this file: it is another one, or the file is damaged."
        ) from error

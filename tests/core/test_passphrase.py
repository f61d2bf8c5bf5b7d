"""Files that a passphrase locks: opened by it and by nothing else, and never at the price that a file asks."""

from __future__ import annotations

import pytest

from core.errors import PassphraseError
from core.passphrase import HEADER, MAX_WORK, decrypt, encrypt, is_encrypted

LOCKED = HEADER + b"-> scrypt 6uq0sgbXspgWAMyrVJSgzw %d\nqlquzlxFnmiEUozy8Ipg4rnTfrUeHHEkbaZ+qqFfg1c\n--- x"


@pytest.mark.slow  # age takes a second of an idle machine for each time, and much more of a busy one
def test_what_is_locked_opens_with_the_same_passphrase_only() -> None:
    locked = encrypt(b"a letter", "Größe 1")
    assert is_encrypted(locked)
    assert b"letter" not in locked
    assert decrypt(locked, "Größe 1") == b"a letter"
    with pytest.raises(PassphraseError, match="does not open this file: it is another one, or the file is damaged"):
        decrypt(locked, "grösse 1")
    with pytest.raises(PassphraseError, match="does not open this file: it is another one, or the file is damaged"):
        decrypt(locked[:-1] + bytes([locked[-1] ^ 1]), "Größe 1")


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(PassphraseError, match="An empty passphrase protects nothing"):
        encrypt(b"a letter", "")


@pytest.mark.parametrize("data", [b"", b"a letter", HEADER[:-1]])
def test_what_is_not_locked_is_said_not_to_be(data: bytes) -> None:
    assert not is_encrypted(data)
    with pytest.raises(PassphraseError, match="is not locked with a passphrase"):
        decrypt(data, "secret")


@pytest.mark.parametrize("data", [HEADER, HEADER + b"-> X25519 abc\n", HEADER + b"-> scrypt short 10\n"])
def test_what_a_key_locks_is_not_tried(data: bytes) -> None:
    with pytest.raises(PassphraseError, match="is locked with a key or damaged"):
        decrypt(data, "secret")


@pytest.mark.parametrize("work", [MAX_WORK + 1, 63, 999])
def test_a_file_that_asks_for_gigabytes_is_not_opened(work: int) -> None:
    with pytest.raises(PassphraseError, match="asks for more memory than any honest one would"):
        decrypt(LOCKED % work, "secret")

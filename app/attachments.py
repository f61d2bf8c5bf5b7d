"""Texts that a person brings along: files named on the command line, and what is piped in."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import UsageError

MAX_WORDS = 6000
"""Twice what the embedded backbone can read at once: below it, PenPal offers to cut; above it, that would be silly."""
MAX_BYTES = 1_000_000
BINARY = b"\0"
"""No text in UTF-8 has it, and nearly all other files do."""
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Attachment:
    """A text with the name that the person knows it by."""

    name: str
    text: str


def read_attachments(paths: Sequence[Path]) -> list[Attachment]:
    """Raises UsageError, naming the file, for what is missing, empty, too long, or no text."""
    return [Attachment(path.name, _text_of(path)) for path in paths]


def together(attachments: Sequence[Attachment]) -> str:
    """All texts as one, to be put below a prompt."""
    return "\n\n".join(one.text for one in attachments)


def take_piped_text() -> Attachment:
    """Reads what is piped in, and makes the terminal the standard input in its place.

    Textual reads its keys from the file descriptor of the standard input, so that is the one to replace. Raises
    UsageError when there is no terminal, or when the text is empty, too long, or no text.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError as error:
        raise UsageError(
            "There is no terminal to type in: 'penpal write' takes a piped text and prints a draft without one."
        ) from error
    try:
        text = _checked(sys.stdin.buffer.read(MAX_BYTES + 1), "The piped text")
        os.dup2(terminal, sys.stdin.fileno())
    finally:
        os.close(terminal)
    return Attachment("the piped text", text)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _checked(file.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _checked(data: bytes, name: str) -> str:
    if BINARY in data and not data.startswith(UTF_16):
        raise UsageError(f"{name} is not a text but a binary file: save it as plain text (UTF-8) and try again.")
    try:
        # A longer file was cut anywhere, perhaps inside a character; its length is what is told of it below.
        text = data.decode("utf-8-sig", errors="ignore" if len(data) > MAX_BYTES else "strict").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not a text in UTF-8: save it as plain text (UTF-8) and try again.") from error
    if not text:
        raise UsageError(f"{name} is empty.")
    if len(data) > MAX_BYTES or len(text.split()) > MAX_WORDS:
        raise UsageError(f"{name} is too long: PenPal reads about 3,000 words at once. Give the part that matters.")
    return text

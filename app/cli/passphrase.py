"""How commands come by a passphrase: asked for at the terminal without showing it, or read from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import PassphraseError, UsageError

MAX_CHARACTERS = 4096

WithPassphrase = Annotated[
    bool, typer.Option("--passphrase", help="Lock the file with a passphrase; you are asked for it, twice.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="PATH", help="The passphrase is the first line of this file."),
]


def ask(file: Path | None, *, new: bool) -> str:
    """The passphrase: the first line of `file`, or what the person types; `new`: typed twice.

    Raises UsageError where nobody can be asked, and PassphraseError for an empty or unreadable one.
    """
    passphrase = _typed(new=new) if file is None else _first_line(file)
    if not passphrase:
        raise PassphraseError("An empty passphrase protects nothing: choose one with at least one letter.")
    return passphrase


def _typed(*, new: bool) -> str:
    if not sys.stdin.isatty():
        raise UsageError("Nobody can be asked for the passphrase here: give --passphrase-file PATH.")
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            return lines.readline(MAX_CHARACTERS).rstrip("\r\n")
    except OSError as error:
        raise PassphraseError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PassphraseError(f"{file} is not text: its first line should be the passphrase.") from error

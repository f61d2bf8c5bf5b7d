"""A text into a file of the person's choice: never over another file without their word for it."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from core.errors import UsageError

NAME_CHARACTERS = 40


def file_name_for(title: str) -> str:
    """A name made of the first words of a text or a title."""
    words = re.findall(r"\w+", title)
    name = "-".join(words)[:NAME_CHARACTERS].strip("-").lower()
    return f"{name or 'draft'}.txt"


def path_of(name: str) -> Path:
    """Where a typed name leads: '~' is the home folder, a bare name the current one. Raises UsageError without one."""
    if not name.strip():
        raise UsageError("A file needs a name.")
    path = Path(name.strip()).expanduser().absolute()
    if name.strip().endswith(("/", os.sep)) or path.is_dir():
        raise UsageError(f"{path} is a folder: add a file name to it.")
    return path


def save_text(path: Path, text: str, *, replace: bool) -> None:
    """Writes the whole text or nothing. Raises UsageError, in words; FileExistsError unless it may `replace`."""
    text = text if text.endswith("\n") else f"{text}\n"
    try:
        (_replace if replace else _create)(path, text)
    except FileExistsError:
        raise
    except FileNotFoundError as error:
        raise UsageError(f"There is no folder {path.parent}: choose another, or make it first.") from error
    except PermissionError as error:
        raise UsageError(f"{path} may not be written: choose another place.") from error
    except OSError as error:
        raise UsageError(f"{path}: {os.strerror(error.errno or 0)}. Choose another place.") from error


def _create(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8", errors="replace", newline="") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            path.unlink()
            raise


def _replace(path: Path, text: str) -> None:
    """Beside it, then in its place: who reads the old file meanwhile, or pulls the plug, sees one of the two whole."""
    path = path.resolve()
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".penpal-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
        if path.exists():
            os.chmod(beside, path.stat().st_mode)
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise

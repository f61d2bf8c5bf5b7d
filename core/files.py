"""Files that are whole or not there at all, and never more open to others than the folder that they lie in."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a whole file or nothing."""
    with whole_file(path) as file:
        file.write(data)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write into; it takes its name, in the place of an older one, when the body ends without an error."""
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb", opener=_for_those_who_see_the_folder) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it that are missing, each as private as the one it lies in."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=folder.parent.stat().st_mode & 0o777)


def sync_folder(folder: Path) -> None:
    """Until then a power failure may undo what was renamed in it."""
    if sys.platform == "win32":  # folders cannot be opened there, and renaming needs no such help
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems know no such thing
        pass
    finally:
        os.close(descriptor)


def _for_those_who_see_the_folder(path: str, flags: int) -> int:
    return os.open(path, flags, os.stat(os.path.dirname(path) or ".").st_mode & 0o666)

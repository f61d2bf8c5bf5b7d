"""What a backup file holds, and reading one that may come from anywhere: nothing is believed before it is checked.

Names are of the few places that a home has, without links and ways up; sizes are those that the manifest says, and all
together fit on the disk; each file is what its SHA-256 says.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.errors import BackupError
from core.files import make_folder
from core.passphrase import HEADER, decrypt, is_encrypted

MANIFEST, DATABASE = "manifest.json", "penpal.db"
MAX_MANIFEST_BYTES = 20_000_000
MAX_FILES = 100_000
MAX_ENCRYPTED_BYTES = 8_000_000_000
"""Those are opened in memory."""
CHUNK_BYTES = 1 << 20
_FOLDERS = {"encoders": 1, "runs": 1, "backbones": 2}
"""How many names may follow these."""
_NAME = re.compile(r'(?![. ])[^\x00-\x1f\x7f/\\:*?"<>|]{1,200}')
"""What every system takes as a file's name, and hidden files of none."""


class FileEntry(BaseModel):
    """One file of a home."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("name")
    @classmethod
    def _in_a_home(cls, name: str) -> str:
        folder, *rest = name.split("/")
        deep = _FOLDERS.get(folder, 0)
        placed = 1 <= len(rest) <= deep if deep else name in (DATABASE, "config.toml")
        if not placed or not all(_NAME.fullmatch(part) for part in rest):
            raise ValueError(f"{ascii(name)[:60]} is no file of a home")
        return name


class Manifest(BaseModel):
    """`manifest.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["penpal-backup"] = "penpal-backup"
    format_version: Literal[1] = 1
    created_utc: str = Field(max_length=40)
    penpal: str = Field(max_length=40)
    """The version that wrote it."""
    home: str = Field(max_length=5000)
    """Where the home was: settings in it may name files there."""
    everything: bool = False
    """With what can be made again."""
    files: list[FileEntry] = Field(max_length=MAX_FILES)

    @field_validator("files")
    @classmethod
    def _one_each(cls, files: list[FileEntry]) -> list[FileEntry]:
        # Some systems take a.md and A.md for one.
        if len({file.name.casefold() for file in files}) != len(files):
            raise ValueError("a file is listed twice")
        if all(file.name != DATABASE for file in files):
            raise ValueError("there is no database in it")
        return files

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def open_backup(file: Path, passphrase: Callable[[], str]) -> zipfile.ZipFile:
    """The archive in a backup file; `passphrase` is asked only for one that is locked.

    Raises BackupError when there is no such file, or it is none of PenPal's or damaged; PassphraseError.
    """
    with _readable(file):
        with file.open("rb") as data:
            locked = is_encrypted(data.read(len(HEADER)))
        if not locked:
            return zipfile.ZipFile(file)
        if file.stat().st_size > MAX_ENCRYPTED_BYTES:
            raise BackupError(f"{file} is too large to be opened with a passphrase here.")
        return zipfile.ZipFile(io.BytesIO(decrypt(file.read_bytes(), passphrase())))


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}.") from error
    except _BROKEN as error:
        raise BackupError(f"{file} is not a backup of PenPal, or it is damaged. Nothing was changed.") from error


_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, struct.error, RuntimeError)
"""What `zipfile` raises for archives that are damaged, cut short, locked its own way, or packed in ways it lacks."""


def read_manifest(archive: zipfile.ZipFile, file: Path) -> Manifest:
    """Raises BackupError unless the archive holds exactly the files, of the sizes, that its manifest lists."""
    held = {entry.filename: entry for entry in archive.infolist()}
    about = held.pop(MANIFEST, None)
    if about is None or about.file_size > MAX_MANIFEST_BYTES:
        raise BackupError(f"{file} is not a backup of PenPal.")
    try:
        with _readable(file):
            text = archive.read(about)
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("format_version",):
            raise BackupError(f"{file} was written by a newer PenPal: update PenPal. Nothing was changed.") from error
        raise BackupError(f"{file} is not a backup that PenPal understands: {first['msg']}.") from error
    if len(held) + 1 != len(archive.infolist()) or {e.filename: e.file_size for e in held.values()} != {
        entry.name: entry.size_bytes for entry in manifest.files
    }:
        raise BackupError(f"{file} is damaged: it does not hold the files that it lists.")
    return manifest


def verified(archive: zipfile.ZipFile, file: Path, into: Path | None = None) -> Manifest:
    """Reads every file of the archive, and keeps it below `into` if that is given.

    Raises BackupError for the first that is not what its size and SHA-256 say.
    """
    manifest = read_manifest(archive, file)
    for entry in manifest.files:
        digest, size_bytes = hashlib.sha256(), 0
        with _target(into, entry.name) as target:
            for chunk in _chunks(archive, entry, file):
                digest.update(chunk)
                size_bytes += len(chunk)
                if target is not None:
                    target.write(chunk)
        if (size_bytes, digest.hexdigest()) != (entry.size_bytes, entry.sha256):
            raise BackupError(f"{file} is damaged: {entry.name} in it is not what was put in. Nothing was changed.")
    return manifest


def _chunks(archive: zipfile.ZipFile, entry: FileEntry, file: Path) -> Iterator[bytes]:
    """What is read of one file of the archive: hardly more than it should hold, whatever it does hold."""
    left = entry.size_bytes
    with _readable(file), archive.open(entry.name) as source:
        while left >= 0 and (chunk := source.read(CHUNK_BYTES)):
            left -= len(chunk)
            yield chunk


@contextmanager
def _target(into: Path | None, name: str) -> Iterator[BinaryIO | None]:
    if into is None:
        yield None
        return
    path = into / name
    make_folder(path.parent)
    with open(path, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())

"""A backup: one file with all that a person made, taken while programs write, checked before it gets its name.

A ZIP archive of files of a home, described by `manifest.json` (`core.backup_file`), in the age format if a passphrase
locks it. Left out is what can be made again from the rest (caches, learned projections of a backbone), a backbone's
GGUF, and the token of `penpal serve`, which opens a door and is made anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from core import passphrase as age
from core.backup_file import DATABASE, MANIFEST, FileEntry, Manifest, verified
from core.database import copy_database
from core.errors import BackupError, BusyError, StoreError, UsageError
from core.files import file_sha256, make_folder, whole_file, write_atomically
from core.paths import Home
from core.store import Store, now_utc

CHUNK_BYTES = 1 << 20
ROOM = 3
"""The copy, the room that SQLite needs to make it smaller, and the archive to be locked, in databases."""
LEVEL = 1
"""Of DEFLATE: texts become a third in a quarter of the time of the usual level."""


@dataclass(frozen=True)
class Backup:
    """What was written."""

    file: Path
    size_bytes: int
    files: int
    rows: dict[str, int]
    """Of the tables that hold what the person made."""
    encrypted: bool
    missing: tuple[str, ...]
    """Ids of voices that the database lists and whose files are gone, or no longer what they were."""


def write_backup(home: Home, destination: Path, *, passphrase: str | None = None, everything: bool = False) -> Backup:
    """Writes a backup of a home, whoever uses the home meanwhile. `everything`: also what can be made again.

    Raises UsageError when there is nothing to back up or no folder to put it in, BackupError when the database is
    damaged or the file cannot be written, StoreError when the database cannot be read.
    """
    if not home.database.is_file():
        raise UsageError(f"There is nothing to back up: no PenPal wrote in {home.folder} yet.")
    if not destination.absolute().parent.is_dir():  # a stick that is not plugged in
        raise UsageError(f"There is no folder {destination.parent}: choose another, or make it first.")
    with _scratch(home) as scratch:
        copied = scratch / DATABASE
        copy_database(home.database, copied)
        rows, encoders = _examined(copied, everything=everything)
        missing = tuple(name for name, file in encoders.items() if _sha256_or_none(home.encoders / file) != name)
        files = {DATABASE: copied, **_beside(home, everything=everything)}
        files |= {f"encoders/{file}": home.encoders / file for name, file in encoders.items() if name not in missing}
        try:
            if passphrase is None:
                with whole_file(destination) as file:
                    manifest = _write(Path(file.name), files, home, everything=everything)
            else:
                manifest = _write(scratch / "plain.zip", files, home, everything=everything)
                write_atomically(destination, age.encrypt((scratch / "plain.zip").read_bytes(), passphrase))
        except FileNotFoundError as error:  # a voice was removed, or a setting changed, in the same moment
            raise BackupError(f"{error.filename} went away while it was copied: try again.") from error
        except OSError as error:
            raise BackupError(f"{destination} cannot be written: {error.strerror}. No backup was made.") from error
    size_bytes = destination.stat().st_size
    return Backup(destination, size_bytes, len(manifest.files), rows, passphrase is not None, missing)


@contextmanager
def alone_at_it(home: Home) -> Iterator[None]:
    """One backup or restore of a home at a time. Raises BusyError."""
    make_folder(home.runs)
    try:
        with FileLock(home.runs / "backup.lock", timeout=0, mode=0o600):
            yield
    except Timeout as error:
        raise BusyError("Another backup or restore of this home is at work: wait for it.") from error


@contextmanager
def _scratch(home: Home) -> Iterator[Path]:
    """A private folder: in the home, if that has room, so that no copy of what a person wrote is left elsewhere.

    What a killed backup left in it is removed first.
    """
    needed = ROOM * home.database.stat().st_size
    if not os.access(home.folder, os.W_OK) or shutil.disk_usage(home.folder).free < needed:
        with tempfile.TemporaryDirectory(prefix="penpal-") as elsewhere:
            yield Path(elsewhere)
        return
    folder = home.folder / ".backup"
    with alone_at_it(home):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _examined(copied: Path, *, everything: bool) -> tuple[dict[str, int], dict[str, str]]:
    """Rows by table, and the voices' files by id. Raises BackupError when the copy is damaged."""
    try:
        with closing(Store(copied)) as store:
            if not everything:
                store.forget_caches()
            problems = store.check()
            rows, encoders = store.counts(), {encoder.id: encoder.file for encoder in store.encoders()}
    except StoreError as error:
        if "damaged" not in str(error):
            raise
        problems = [str(error)]
    if problems:
        raise BackupError(
            f"The database is damaged ({problems[0].rstrip('.')}), so no backup was made of it: an earlier one is the "
            "way back, with 'penpal restore'."
        )
    return rows, encoders


def _beside(home: Home, *, everything: bool) -> dict[str, Path]:
    """What belongs in a backup besides the database and the voices it lists, by name."""
    wanted = ["config.toml", "runs/*.md", "backbones/*/*"]
    if everything:
        wanted += ["encoders/*", "backbones/*"]
    found = {
        path.relative_to(home.folder).as_posix(): path
        for pattern in wanted
        for path in sorted(home.folder.glob(pattern))
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    }
    return {name: path for name, path in found.items() if everything or path.suffix != ".gguf"}


def _write(archive: Path, files: dict[str, Path], home: Home, *, everything: bool) -> Manifest:
    """Writes the archive, and reads it again from the disk to see that it is what it should be."""
    with zipfile.ZipFile(archive, "w") as into:
        entries = [_add(into, name, path) for name, path in files.items()]
        manifest = Manifest(
            created_utc=now_utc(), penpal=version("penpal"), home=str(home.folder.absolute()), everything=everything,
            files=entries,
        )  # fmt: skip
        into.writestr(MANIFEST, manifest.model_dump_json(indent=1))
    with zipfile.ZipFile(archive) as written:
        verified(written, archive)
    return manifest


def _add(into: zipfile.ZipFile, name: str, path: Path) -> FileEntry:
    digest, size_bytes = hashlib.sha256(), 0
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o600 << 16
    # Weights do not get smaller.
    entry.compress_type = zipfile.ZIP_STORED if path.suffix in (".safetensors", ".gguf") else zipfile.ZIP_DEFLATED
    entry._compresslevel = LEVEL  # type: ignore[attr-defined]
    with path.open("rb") as source, into.open(entry, "w", force_zip64=True) as target:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += target.write(chunk)
    try:
        return FileEntry(name=name, size_bytes=size_bytes, sha256=digest.hexdigest())
    except ValidationError as error:
        raise BackupError(f"{path} has a name that a backup cannot hold: give it another one.") from error


def _sha256_or_none(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None

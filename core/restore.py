"""A backup becomes a home again. What the home held before is set aside, whole; nothing is overwritten.

Until the last step the home is as it was: everything is unpacked beside it and checked there. The step itself is one
rename, of the database: voices lie under their SHA-256, so those that only the backup names are in nobody's way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.backup import alone_at_it
from core.backup_file import DATABASE, Manifest, open_backup, read_manifest, verified
from core.config_file import change_settings
from core.database import held_alone
from core.errors import BackupError, UsageError
from core.files import make_folder, sync_folder
from core.paths import Home
from core.settings import read_settings
from core.store import Store

MADE = (DATABASE, "config.toml", "encoders/*", "runs/*.md", "backbones/*/*")
"""What a home holds of a person."""
LOGS = ("-wal", "-journal", "-shm")
"""What SQLite keeps beside a database, and could not fold into one that is damaged."""
SPARE_BYTES = 50_000_000
"""Left free on the disk."""


@dataclass(frozen=True)
class Restored:
    """What a home has become."""

    home: Path
    created_utc: str
    """When the backup was made."""
    rows: dict[str, int]
    missing: tuple[str, ...]
    """Ids of voices that the database lists and that were not in the backup."""
    aside: Path | None
    """A home of its own, with what was there before; None when there was nothing."""
    lacks: tuple[Path, ...]
    """What the settings name and is not there: the GGUF of another backbone."""


def restore(file: Path, home: Home, passphrase: Callable[[], str]) -> Restored:
    """Puts a backup into the place of what a home holds, and that aside. An older backup is upgraded.

    Raises, having changed nothing: BackupError when the file is no backup, damaged or too large for the disk;
    PassphraseError; StoreError when it was written by a newer PenPal; BusyError while a program has the home open.
    """
    with closing(open_backup(file, passphrase)) as archive:
        manifest = read_manifest(archive, file)
        home.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone_at_it(home), _staging(home) as staged:
            _refuse_larger(manifest, home, file)
            if home.database.exists():
                with held_alone(home.database):  # told now, not after minutes of unpacking
                    pass
            verified(archive, file, staged.folder)
            rows, missing = _examined(staged, file)
            if not home.database.exists():
                aside = _changed_places(staged, home, manifest)
            else:
                with held_alone(home.database) as whole:
                    aside = _changed_places(staged, home, manifest, damaged=not whole)
    return Restored(home.folder, manifest.created_utc, rows, missing, aside, _moved_settings(home, Path(manifest.home)))


@contextmanager
def _staging(home: Home) -> Iterator[Home]:
    folder = home.folder / ".restore"
    shutil.rmtree(folder, ignore_errors=True)  # what a killed one left
    try:
        folder.mkdir(mode=0o700)
        yield Home(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_larger(manifest: Manifest, home: Home, file: Path) -> None:
    free = shutil.disk_usage(home.folder).free - SPARE_BYTES
    if manifest.size_bytes > free:
        raise BackupError(
            f"{file} needs {manifest.size_bytes / 1e6:.0f} MB and {max(free, 0) / 1e6:.0f} MB are free in "
            f"{home.folder}: free some space. Nothing was changed."
        )


def _examined(staged: Home, file: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Rows by table, and voices without a file; upgrades the database. Raises BackupError when it is damaged."""
    with closing(Store(staged.database)) as store:
        if problems := store.check():
            raise BackupError(f"The database in {file} is damaged ({problems[0]}). Nothing was changed.")
        encoders = store.encoders()
        rows = store.counts()
    return rows, tuple(e.id for e in encoders if not (staged.encoders / e.file).is_file())


def _changed_places(staged: Home, home: Home, manifest: Manifest, *, damaged: bool = False) -> Path | None:
    """Sets aside what is there, then puts what is staged into its place; the database last, at one stroke."""
    logs = [home.folder / f"{DATABASE}{end}" for end in LOGS if damaged]
    aside = _set_aside(home, logs)
    try:
        for entry in manifest.files:
            if entry.name not in (DATABASE, home.config_file.name):
                target = home.folder / entry.name
                make_folder(target.parent)
                os.replace(staged.folder / entry.name, target)
                sync_folder(target.parent)
        os.replace(staged.database, home.database)
    except BaseException:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        raise
    for log in logs:
        log.unlink(missing_ok=True)
    if staged.config_file.exists():
        os.replace(staged.config_file, home.config_file)
    else:
        home.config_file.unlink(missing_ok=True)
    sync_folder(home.folder)
    return aside


def _set_aside(home: Home, logs: list[Path]) -> Path | None:
    """A home below `backups` with all that this one holds and a person made: other names of the same files."""
    made = [path for pattern in MADE for path in home.folder.glob(pattern)]
    held = [path for path in (*made, *logs) if path.is_file()]
    if not held:
        return None
    home.backups.mkdir(exist_ok=True, mode=0o700)
    folder = _free_name(home.backups / f"before-restore-{datetime.now(UTC).astimezone():%Y%m%d-%H%M%S}")
    for path in held:
        target = folder / path.relative_to(home.folder)
        make_folder(target.parent)
        _give_second_name(path, target)
    return folder


def _give_second_name(path: Path, target: Path) -> None:
    """A hard link, so that nothing is opened: closing a file lets go of the locks that this program has on it."""
    try:
        os.link(path, target)
    except OSError:  # a file system without links, such as FAT
        shutil.copy2(path, target)


def _free_name(folder: Path) -> Path:
    names = (folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, 1000)))
    return next(name for name in names if not name.exists())


def _moved_settings(home: Home, before: Path) -> tuple[Path, ...]:
    """Lets settings that name files of the home before name those of this one. Returns which are missing."""
    try:
        settings = read_settings(home)
    except UsageError:  # it was wrong when the backup was made; whoever uses the home is told
        return ()
    moved: dict[str, str | None] = {}
    lacks = []
    for name, path in (("clap", settings.clap), ("backbone", settings.backbone)):
        if path is None:
            continue
        if home.folder.absolute() != before and path.is_relative_to(before):
            path = home.folder.absolute() / path.relative_to(before)
            moved[name] = str(path)
        if not path.exists():
            lacks.append(path)
    if moved:
        change_settings(home, moved)
    return tuple(lacks)

"""Who may read a home: its owner, nobody else.

PenPal makes its files so; this narrows those of older versions and those that came from elsewhere.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from core.paths import Home

OTHERS = 0o077
"""The rights of everybody but the owner."""


def make_private(home: Home) -> None:
    """Narrows the rights of what PenPal made in this home, and of the home itself if it holds nothing else.

    Links are not followed, and what cannot be changed stays as it is: what belongs to another user, or lies on a disk
    that cannot be written.
    """
    if os.name != "posix":
        return
    with suppress(OSError):
        held = list(home.folder.iterdir())
        ours = [path for path in held if home.is_ours(path)]
        for path in ours:
            _narrow(path)
        # A person may have said PENPAL_HOME=~ or /tmp, which is not ours to close.
        if held and held == ours:
            _narrow(home.folder, inside=False)


def _narrow(path: Path, *, inside: bool = True) -> None:
    with suppress(OSError):  # gone meanwhile, as another PenPal's partial file
        found = path.lstat()
        if found.st_mode & OTHERS and found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode):
            path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
        if inside and stat.S_ISDIR(found.st_mode):
            for inner in path.iterdir():
                _narrow(inner)

"""One learning run at a time per home. The kernel holds the lock and lets go when its owner dies, however it dies.

What the file says (who, since when) is only for the message to the second one; the lock does not depend on it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from filelock import lock_descriptor

from core.errors import BusyError
from core.paths import Home

LOCK_FILE = "personalize.lock"
ABOUT_OFFSET = 1
"""Windows locks the first byte, also for those who only want to read it."""
ABOUT_BYTES = 1000


@contextmanager
def run_lock(home: Home) -> Iterator[None]:
    """Held while the body runs. Raises BusyError, naming the owner, while another process or thread holds it."""
    home.runs.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Never truncated on opening and never removed: the file may be another's, and a lock on a removed file guards
    # nothing.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    descriptor = os.open(home.runs / LOCK_FILE, flags, 0o600)
    try:
        if not lock_descriptor(descriptor, blocking=False):
            raise BusyError(_told(descriptor))
        _write_about(descriptor)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # lets go of the lock


def _write_about(descriptor: int) -> None:
    about = {"pid": os.getpid(), "started_utc": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, b"\n" * ABOUT_OFFSET + json.dumps(about).encode())


def _told(descriptor: int) -> str:
    """The owner in one line; less of it in the moment before the owner has written who it is."""
    os.lseek(descriptor, ABOUT_OFFSET, os.SEEK_SET)
    try:
        about = json.loads(os.read(descriptor, ABOUT_BYTES))
        since, pid = datetime.fromisoformat(about["started_utc"]).astimezone(), int(about["pid"])
    except (ValueError, KeyError, TypeError, OSError):
        return "Another run is learning: wait for it, or stop it."
    today = since.date() == datetime.now(UTC).astimezone().date()
    shown = since.strftime("%H:%M" if today else "%d %b %H:%M")
    return f"Another run is learning since {shown} (process {pid}): wait for it, or stop it."

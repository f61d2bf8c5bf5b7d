"""A text in the person's own editor, and what came back. Knows no screen: the caller hands the terminal over."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import UsageError

EDITORS = ("notepad",) if sys.platform == "win32" else ("nano", "vi")
"""What is tried where neither $VISUAL nor $EDITOR says."""
WAITING_FLAGS = {"-w", "-f", "--wait", "--nofork"}
OWN_WINDOW = {"code": "--wait", "codium": "--wait", "zed": "--wait", "subl": "--wait", "mate": "--wait", "gvim": "-f"}
"""Editors with a window of their own come back before the text is edited, unless they are told to wait."""


def editor_command() -> list[str]:
    """$VISUAL, $EDITOR, or what is there. Raises UsageError when that is nothing."""
    chosen = next((value for name in ("VISUAL", "EDITOR") if (value := os.environ.get(name, "").strip())), None)
    if chosen is None:
        found = next((path for name in EDITORS if (path := shutil.which(name))), None)
        if found is None:
            raise UsageError("There is no editor here: set $EDITOR to one, or edit in PenPal.")
        return [found]
    try:
        command = shlex.split(chosen, posix=sys.platform != "win32")
    except ValueError as error:
        raise UsageError(f"$VISUAL or $EDITOR cannot be read ({chosen}): {error}.") from error
    if shutil.which(command[0]) is None:
        raise UsageError(f"The editor '{command[0]}' was not found: set $VISUAL or $EDITOR to one that is there.")
    flag = OWN_WINDOW.get(Path(command[0]).stem)
    return [*command, flag] if flag and not WAITING_FLAGS & set(command) else command


def edit_outside(text: str) -> str | None:
    """What the person made of the text; None when they changed nothing.

    Blocks until the editor ends. Raises UsageError, and then nothing has changed: there is no editor, it failed, or
    the text came back empty.
    """
    command = editor_command()
    name = Path(command[0]).stem
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # as it is read back
    with tempfile.TemporaryDirectory(prefix="penpal-") as folder:  # of its own, for the editor's backups to go as well
        file = Path(folder) / "text.md"
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        with _keys_for_the_editor():
            if name in OWN_WINDOW:
                print(f"Your text is open in {name}. PenPal goes on when you close it there.")
            try:
                code = subprocess.run([*command, str(file)], check=False).returncode
            except OSError as error:
                raise UsageError(f"'{name}' could not be started ({error.strerror}): the text is as it was.") from error
        if code:
            raise UsageError(f"'{name}' ended with an error ({code}), so the text is as it was.")
        after = _read(file, name)
    if not after.strip():
        raise UsageError("The text came back empty, so it is as it was.")
    if not text.endswith("\n"):
        after = after.removesuffix("\n")  # most editors end a file with one
    return None if after.rstrip() == text.rstrip() else after


def _read(file: Path, name: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"'{name}' saved something that is no UTF-8 text, so the text is as it was.") from error
    except OSError as error:
        raise UsageError(f"'{name}' left no text behind ({error.strerror}), so it is as it was.") from error


@contextmanager
def _keys_for_the_editor() -> Iterator[None]:
    """Ctrl-C and Ctrl-\\ reach every program of the terminal; only the editor shall hear them."""
    names = [getattr(signal, name) for name in ("SIGINT", "SIGQUIT") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A function and not SIG_IGN, which the editor would inherit.
    before = [(name, signal.signal(name, lambda number, frame: None)) for name in names]
    try:
        yield
    finally:
        for name, handler in before:
            signal.signal(name, handler)

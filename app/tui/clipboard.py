"""Onto the clipboard: through a program of this desktop where there is one, else through the terminal.

The terminal is asked with the escape code OSC 52. It never answers, so nobody can know whether the text arrived.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

PATIENCE_S = 2.0
"""A clipboard program that takes longer waits for a desktop that is not there."""


def clipboard_program(
    environment: Mapping[str, str] = os.environ, find: Callable[[str], str | None] = shutil.which
) -> Sequence[str] | None:
    """The command that takes a text on its standard input; None where the clipboard is not on this machine."""
    if "SSH_CONNECTION" in environment or "SSH_TTY" in environment:
        return None  # the person sits elsewhere; only their terminal can reach their clipboard
    candidates: list[tuple[bool, list[str]]] = [
        (sys.platform == "darwin", ["pbcopy"]),
        ("WSL_DISTRO_NAME" in environment, ["clip.exe"]),
        ("WAYLAND_DISPLAY" in environment, ["wl-copy"]),
        ("DISPLAY" in environment, ["xclip", "-selection", "clipboard"]),
        ("DISPLAY" in environment, ["xsel", "--clipboard", "--input"]),
    ]
    return next((command for fits, command in candidates if fits and find(command[0])), None)


def copy_with(command: Sequence[str], text: str) -> bool:
    """Whether the program took the text. xclip and wl-copy stay behind to hand it out, so nothing of theirs is read."""
    try:
        subprocess.run(
            command,
            input=text.encode("utf-16-le" if command[0] == "clip.exe" else "utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True

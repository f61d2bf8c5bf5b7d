"""The command line: one file per group of commands. Heavy imports stay inside commands: help answers at once."""

from __future__ import annotations

import errno
import os
import sys

from app.harmless import harmless
from core.errors import PenPalError


def main() -> None:
    """Runs `penpal`. What a person can act on is one line on stderr and an exit code; only our bugs have tracebacks."""
    from app.cli.commands import application

    try:
        try:
            application(prog_name="penpal")
        finally:
            sys.stdout.flush()  # here, where a full disk or a closed pipe can still be told
    except PenPalError as error:
        _end(str(error), error.exit_code)
    except KeyboardInterrupt:
        _end("", 130)
    except BrokenPipeError:
        _end("", 1)
    except UnicodeEncodeError:
        _end("That text is not valid UTF-8.", 2)
    except OSError as error:
        _end(_told(error), 1)


def _told(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        reason = "the disk is full: free some space and try again"
    return f"{error.filename}: {reason}." if error.filename else f"{reason[:1].upper()}{reason[1:]}."


def _end(message: str, exit_code: int) -> None:
    if message:
        print(f"penpal: {harmless(' '.join(message.split()))}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        # What cannot be written must not be tried again when Python closes stdout: that would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(exit_code)

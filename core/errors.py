"""Errors that a person may see. Each message names the fact and the way out; the edges print it as one line."""

from __future__ import annotations


class PenPalError(Exception):
    """Something a person can act on. `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(PenPalError):
    """The request itself is wrong: an empty prompt, an unknown draft, a bad option."""

    exit_code = 2


class PromptTooLongError(UsageError):
    """The prompt does not fit the backbone's context."""

    def __init__(self, message: str, *, tokens: int, room_tokens: int) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.room_tokens = room_tokens


class BackboneError(PenPalError):
    """The backbone's weights or its CLaP are missing, damaged or do not belong together."""


class LatentStateError(PenPalError):
    """llama.cpp's cache state is not in the layout that latent injection knows."""


class StoreError(PenPalError):
    """The database cannot be used: locked, full, newer than this program, not a database."""


class PackError(PenPalError):
    """An encoder file is not what it claims to be, or does not fit this backbone."""


class LearnError(PenPalError):
    """Nothing can be learned from what there is: no pairs, or pairs of another backbone."""


class BusyError(PenPalError):
    """Another process of this home is doing what only one may do at a time."""


class ScheduleError(PenPalError):
    """The machine's own scheduler refused, or there is none."""


class PassphraseError(PenPalError):
    """A passphrase is missing or empty, or it does not open the file."""


class BackupError(PenPalError):
    """A backup cannot be written, is not what it claims to be, or cannot be restored here."""

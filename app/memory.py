"""Gives memory that was freed back to the system, which glibc's allocator otherwise keeps for later."""

from __future__ import annotations

import ctypes
import sys


def return_freed_memory() -> None:
    """A few milliseconds, for after weights were read, converted and let go: 40 MB with the embedded backbone.

    Other systems' allocators give it back by themselves.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none
    if trim is not None:
        trim(0)

"""Keeps a library from importing another one that it can do without."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hiding(library: str) -> Iterator[None]:
    """For the body, this library seems not to be installed, unless it was imported before; then all is as it was."""
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]  # Python's own way to say so
    try:
        yield
    finally:
        del sys.modules[library]

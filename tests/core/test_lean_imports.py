"""A hidden library cannot be imported, and nothing is hidden for longer than it should be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.lean_imports import hiding

ROOT = Path(__file__).parents[2]


def test_a_hidden_library_is_there_again_afterwards() -> None:
    sys.modules.pop("colorsys", None)
    with hiding("colorsys"), pytest.raises(ImportError):
        __import__("colorsys")
    assert __import__("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_what_was_imported_before_stays() -> None:
    with hiding("json"):
        assert __import__("json") is sys.modules["json"]


def test_the_store_imports_no_pandas() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import core.store, sys; print('pandas' in sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout == "False\n"

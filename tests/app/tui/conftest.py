"""A PenPal whose decoder is a script, and screens of it that a test can press keys on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from app.wiring import PenPal, open_penpal
from core.session import Voice
from tests.scripted_decoder import ScriptedDecoder


@pytest.fixture
def decoder() -> ScriptedDecoder:
    return ScriptedDecoder()


@pytest.fixture
def penpal(decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch) -> Iterator[PenPal]:
    """The real wiring on this test's home; only decoder and voice are put in."""
    wired = open_penpal()
    wired.__dict__["decoder"] = decoder
    monkeypatch.setattr(wired, "voice", lambda *, generic=False: Voice(None, None))
    yield wired
    wired.close()


async def until(condition: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Waits until something is true, as a person would look at the screen until it is."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.01)


@pytest.fixture(name="until")
def _until() -> Callable[..., object]:
    return until

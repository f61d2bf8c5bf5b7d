"""A PenPal whose decoder is a script, and a chat with it that a test can press keys on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from textual.pilot import Pilot

from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.wiring import PenPal, open_penpal
from core.feedback import in_force
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


async def until(condition: Callable[[], object], *, within_s: float = 30.0) -> None:
    """Waits until something is true, as a person would look at the screen until it is."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.01)


@pytest.fixture(name="until")
def _until() -> Callable[..., object]:
    return until


class Chat:
    """The screen, its app and the keys."""

    until = staticmethod(until)

    def __init__(self, penpal: PenPal, pilot: Pilot[None], screen: ChatScreen) -> None:
        self.penpal, self.pilot, self.screen = penpal, pilot, screen

    async def press(self, *keys: str) -> None:
        """Presses keys one by one, each after what the one before did is stored and shown."""
        for key in keys:
            await self.pilot.press(key)
            await until(lambda: all(w.is_finished for w in self.pilot.app.workers if w.group == "record"))

    async def send(self, prompt: str) -> None:
        self.screen.composer.focus()
        self.screen.composer.replace_text(prompt)
        await self.pilot.press("enter")

    async def drafts(self, prompt: str = "Write.") -> None:
        await self.send(prompt)
        await until(
            lambda: self.screen.stream is None and self.screen.waiting and self.screen.turn.turn.prompt == prompt
        )
        await self.pilot.pause()

    def kinds(self) -> list[str]:
        assert self.screen.turn is not None
        return [act.kind for act in in_force(self.penpal.store.acts(self.screen.turn.turn.id))]


@pytest.fixture
def open_chat(penpal: PenPal) -> Callable[..., AbstractAsyncContextManager[Chat]]:
    @asynccontextmanager
    async def opened(*, size: tuple[int, int] = (120, 36), ready: bool = True) -> AsyncIterator[Chat]:
        screen = ChatScreen(penpal.store)
        async with PenPalApp(penpal, screen).run_test(size=size) as pilot:
            if ready:
                await until(lambda: screen.status.phase == "ready")
            yield Chat(penpal, pilot, screen)

    return opened

"""A PenPal whose decoder is a script, and the screens with it that a test can press keys on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Static

import app.tui.screens.rate
from app.pair_sources import PairSource, PromptSource
from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.tui.screens.rate import Answer, RateScreen
from app.tui.widgets.draft_card import DraftCard
from app.wiring import Clap, PenPal, open_penpal
from core.feedback import in_force
from core.session import Voice
from models.backbone import Backbone
from tests.app.conftest import CLAP_ID, LATENT_SIZE
from tests.scripted_decoder import ScriptedDecoder
from tests.scripted_text_encoder import HIDDEN_SIZE, ScriptedTextEncoder


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


@pytest.fixture
def learning(penpal: PenPal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PenPal:
    """`penpal` with its own voice, which learns from every answer; a rule takes the place of the encoder of texts."""
    monkeypatch.delattr(penpal, "voice")
    monkeypatch.setattr(penpal, "latents_trusted", lambda: True)
    arrays = {
        "adapter.inp.weight": np.zeros((4, LATENT_SIZE), np.float32),
        "encoder.norm.weight": np.ones(HIDDEN_SIZE, np.float32),
    }
    vars(penpal).update(
        text_encoder=ScriptedTextEncoder(LATENT_SIZE),
        backbone=Backbone(tmp_path / "scripted.gguf", ScriptedDecoder.backbone_id),
        clap=Clap(Path("scripted.clap"), CLAP_ID, arrays, {}),
    )
    return penpal


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
        await until(lambda: all(w.is_finished for w in self.pilot.app.workers if w.group == "write"))
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


class Rate:
    """The screen and the keys."""

    until = staticmethod(until)

    def __init__(self, penpal: PenPal, pilot: Pilot[None], screen: RateScreen) -> None:
        self.penpal, self.pilot, self.screen = penpal, pilot, screen

    async def answer(self, key: str) -> Answer:
        await until(lambda: self.screen.pair)
        before = len(self.screen.answers)
        await self.pilot.press(key)
        await until(lambda: len(self.screen.answers) == before + 1)
        return self.screen.answers[-1]

    def shown(self) -> list[str]:
        return [str(card.query_one(Static).content) for card in self.screen.query(DraftCard)]


@pytest.fixture
def open_rate(penpal: PenPal, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractAsyncContextManager[Rate]]:
    monkeypatch.setattr(app.tui.screens.rate, "MIN_LOOK_S", 0.0)

    @asynccontextmanager
    async def opened(
        prompts: Sequence[str] = ("First task.", "Second task."),
        context: str | None = None,
        *,
        source: PairSource | None = None,
        goal: int = 20,
        size: tuple[int, int] = (120, 36),
    ) -> AsyncIterator[Rate]:
        screen = RateScreen(penpal.store, source or PromptSource(prompts, context=context), goal=goal)
        async with PenPalApp(penpal, screen).run_test(size=size) as pilot:
            yield Rate(penpal, pilot, screen)
            await screen.leave()

    return opened

"""Every screen as it is drawn at three sizes and in both themes, compared with what was looked at and found good.

After a wanted change, look at the screen (docs/screenshots.py), then renew what it is compared with:

    python -m pytest tests/app/tui/test_snapshots.py --snapshot-update
"""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, OptionList, TextArea

from app.pair_sources import PromptSource
from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.tui.screens.morning import MorningScreen
from app.tui.screens.rate import RateScreen
from app.tui.screens.tour import POINTERS, TourScreen
from app.tui.screens.warm_up import WarmUpScreen
from app.wiring import PenPal
from tests.app.tui.conftest import Chat, until
from tests.app.tui.drawn import drawn_at_all_sizes
from tests.app.tui.test_learning_screen import add_night, keep_draft, open_learning
from tests.scripted_decoder import ScriptedDecoder

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WARM = (
    "Dear Mila,\n\nthank you so much for your help with the move! I could not have carried the piano alone, and your "
    "soup was the best part of the day.\n\nWarmly,\nSam"
)
DRY = "Hi Mila, thanks for helping with the move. The soup was good. See you next week. Sam"


class ScreenExtension(SingleFileSnapshotExtension):
    """One readable file for each test."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@pytest.fixture
def screen(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(ScreenExtension)


@pytest.fixture(autouse=True)
def _nothing_by_chance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same day, the same dice, and cursors that do not blink."""
    monkeypatch.setattr(TextArea, "_toggle_cursor_blink_visible", lambda self: None)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(random, "SystemRandom", lambda: random.Random(0))
    monkeypatch.setattr(secrets, "randbelow", lambda limit: 0)
    monkeypatch.setattr("app.tui.rating_session.active_seconds", lambda times, *, now: 0.0)
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def decoder() -> ScriptedDecoder:
    return ScriptedDecoder((WARM, DRY))


@asynccontextmanager
async def opened(penpal: PenPal, opening: Screen[None]) -> AsyncIterator[Pilot[None]]:
    async with PenPalApp(penpal, opening).run_test(size=(120, 36)) as pilot:
        yield pilot


@asynccontextmanager
async def chatting(penpal: PenPal) -> AsyncIterator[Chat]:
    chat_screen = ChatScreen(penpal.store)
    async with opened(penpal, chat_screen) as pilot:
        await until(lambda: chat_screen.status.phase == "ready")
        yield Chat(penpal, pilot, chat_screen)


Step = Callable[[Chat], Awaitable[None]]


async def empty(chat: Chat) -> None:
    pass


async def keys(chat: Chat) -> None:
    await chat.pilot.press("f1")


async def start(chat: Chat) -> None:
    await chat.pilot.press("ctrl+t")


async def start_form(chat: Chat) -> None:
    await chat.pilot.press("ctrl+t", "2", *"yes, and I bring a salad")
    chat.pilot.app.screen.query_one(TextArea).load_text("Hi Sam,\nwill you come to the party on Friday?\nPaula")


async def learned_nothing(chat: Chat) -> None:
    await open_learning(chat)


async def too_long(chat: Chat) -> None:
    decoder = chat.penpal.decoder
    before, decoder.room = decoder.room, 10  # type: ignore[attr-defined]
    await chat.send("word " * 30)
    await until(lambda: chat.pilot.app.screen is not chat.screen)
    decoder.room = before  # type: ignore[attr-defined]


async def choosing(chat: Chat) -> None:
    await chat.drafts("Write a short note to thank Mila for her help with the move.")
    await chat.press("2")


async def hint(chat: Chat) -> None:
    await chat.pilot.press("R")
    await until(lambda: chat.pilot.app.screen is not chat.screen)


async def merging(chat: Chat) -> None:
    await chat.pilot.press("m")
    await until(lambda: chat.pilot.app.screen is not chat.screen)


async def editing(chat: Chat) -> None:
    await chat.press("e")
    await until(lambda: chat.screen.pair.editing)
    await chat.pilot.press(*" PS: I owe you one.")


async def kept(chat: Chat) -> None:
    await choosing(chat)
    await chat.press("a")
    await until(lambda: chat.screen.waiting is None and chat.screen.composer.has_focus)
    chat.screen.composer.replace_text("Now a shorter one,\nfor a postcard.")


async def conversations(chat: Chat) -> None:
    if chat.screen.sidebar.display:
        await chat.pilot.press("ctrl+b")
    await chat.pilot.press("ctrl+b")


async def searching(chat: Chat) -> None:
    await chat.pilot.press("ctrl+f")
    shown = chat.pilot.app.screen
    shown.query_one(Input).value = "soup"
    await until(lambda: shown.query_one(OptionList).option_count)


@pytest.mark.parametrize(
    "steps",
    [
        (empty, keys, start, start_form, learned_nothing, too_long),
        (choosing, hint, merging, editing),
        (kept, searching, conversations),
    ],
    ids=("before", "between", "after"),
)
async def test_chat(penpal: PenPal, screen: SnapshotAssertion, steps: Sequence[Step]) -> None:
    async with chatting(penpal) as chat:
        for step in steps:
            await step(chat)
            assert await drawn_at_all_sizes(chat.pilot) == screen(name=step.__name__)
            while chat.pilot.app.screen is not chat.screen:
                await chat.pilot.press("escape")
                await chat.pilot.pause()


async def test_tour(penpal: PenPal, screen: SnapshotAssertion) -> None:
    async with chatting(penpal) as chat:
        chat.pilot.app.push_screen(TourScreen(chat.screen, Path("/home/ann/.local/share/penpal")))
        for pointer in POINTERS:
            await chat.pilot.pause()
            assert await drawn_at_all_sizes(chat.pilot) == screen(name=pointer.title.rstrip("?"))
            await chat.pilot.press("x")


async def test_warm_up(penpal: PenPal, screen: SnapshotAssertion) -> None:
    async with chatting(penpal) as chat:
        chat.screen.beginnings.show_tour()
        await chat.pilot.press(*(["x"] * 5))
        shown = chat.pilot.app.screen
        assert isinstance(shown, WarmUpScreen)
        await until(lambda: shown._warm_up.pair is not None)
        assert await drawn_at_all_sizes(chat.pilot) == screen


async def test_rate(penpal: PenPal, screen: SnapshotAssertion) -> None:
    rating = RateScreen(penpal.store, PromptSource(["Thank Mila for her help with the move."]))
    async with opened(penpal, rating) as pilot:
        await until(lambda: rating.pair)
        assert await drawn_at_all_sizes(pilot) == screen(name="pair")
        for key, name in (("w", "why"), ("i", "panel")):
            await pilot.press(key)
            await until(lambda: pilot.app.screen is not rating)
            assert await drawn_at_all_sizes(pilot) == screen(name=name)
            await pilot.press("escape")
            await until(lambda: pilot.app.screen is rating)
        await rating.leave()


async def test_learning(learning: PenPal, screen: SnapshotAssertion) -> None:
    with time_machine.travel(NOON - timedelta(weeks=3), tick=False):
        keep_draft(learning.store, "One two three four.", "One five six seven.")
        add_night(learning, 0, accuracy=0.6, lean=0.5)
    with time_machine.travel(NOON - timedelta(weeks=1), tick=False):
        keep_draft(learning.store, "One two three four.", "One two three five.")
        add_night(learning, 0, accuracy=0.7, kept=False, lean=1.0)
    add_night(learning, 0, accuracy=0.8, lean=2.0)
    async with chatting(learning) as chat:
        await open_learning(chat)
        assert await drawn_at_all_sizes(chat.pilot) == screen


async def test_morning(learning: PenPal, screen: SnapshotAssertion) -> None:
    for number, night in enumerate((2, 0)):
        for prompt in ("Thank Ann.", "Ask Bo.", "Tell Cy."):
            keep_draft(learning.store, f"One two {prompt}", f"One three {prompt}")
        add_night(learning, night, lean=1.0 + number)
    async with chatting(learning) as chat:
        await chat.press("f4")
        shown = chat.pilot.app.screen
        assert isinstance(shown, MorningScreen)
        await until(lambda: shown.question is not None)
        assert await drawn_at_all_sizes(chat.pilot) == screen


async def test_a_window_that_is_too_small(penpal: PenPal) -> None:
    async with chatting(penpal) as chat:
        await chat.pilot.resize_terminal(50, 12)
        await until(lambda: chat.pilot.app.screen is not chat.screen)

"""The chat in trouble: bad prompts, slow or broken decoders, locked databases, small windows, no terminal."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from textual import events

from app.tui import run_chat, run_rate
from app.tui.screens.help import HelpScreen
from app.tui.screens.too_long import TooLongScreen
from app.tui.screens.too_small import TooSmallScreen
from app.wiring import PenPal
from core.errors import BackboneError, StoreError, UsageError
from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]
WARM, DRY = WARM_AND_DRY


async def test_an_empty_prompt_says_so(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.press("enter")
        assert "nothing to write about" in chat.screen.notice.text


async def test_a_prompt_that_is_too_long_offers_to_cut(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    decoder.room = 20
    prompt = "start " + "middle " * 40 + "end"
    async with open_chat() as chat:
        await chat.send(prompt)
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooLongScreen))
        await chat.press("escape")
        assert chat.screen.composer.text == prompt
        await chat.press("enter")
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooLongScreen))
        await chat.press("c")
        await chat.until(lambda: chat.screen.waiting)
        asked = chat.screen.turn.turn.prompt
        assert asked.startswith("start")
        assert asked.endswith("end")
        assert len(asked.split()) <= 20


async def test_a_prompt_sent_while_loading_is_written_when_it_is_ready(
    open_chat: OpenChat, penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, writer = threading.Event(), penpal.writer
    monkeypatch.setattr(penpal, "writer", lambda: loaded.wait() and writer())
    async with open_chat(ready=False) as chat:
        await chat.send("Early.")
        await chat.until(lambda: chat.screen.status.phase == "loading the backbone")
        await chat.until(lambda: chat.penpal.store.unsaved("composer") == "Early.")
        loaded.set()
        await chat.until(lambda: chat.screen.waiting)
        assert chat.screen.turn.turn.prompt == "Early."
        await chat.until(lambda: not chat.screen.unsaved.dirty)
        assert chat.penpal.store.unsaved_places() == []


async def test_escape_while_loading_takes_the_prompt_back(
    open_chat: OpenChat, penpal: PenPal, monkeypatch: pytest.MonkeyPatch, decoder: ScriptedDecoder
) -> None:
    loaded, writer = threading.Event(), penpal.writer
    monkeypatch.setattr(penpal, "writer", lambda: loaded.wait() and writer())
    async with open_chat(ready=False) as chat:
        await chat.send("Early.")
        await chat.press("escape")
        assert chat.screen.composer.text == "Early."
        loaded.set()
        await chat.until(lambda: chat.screen.status.phase == "ready")
        assert decoder.asked == []
        assert chat.penpal.store.counts()["turns"] == 0


async def test_what_cannot_be_loaded_is_a_notice_and_can_be_tried_again(
    open_chat: OpenChat, penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise BackboneError("The weights are damaged: install them again.")

    writer = penpal.writer
    monkeypatch.setattr(penpal, "writer", broken)
    async with open_chat(ready=False) as chat:
        await chat.until(lambda: "damaged" in chat.screen.notice.text)
        await chat.send("Hello.")
        await chat.until(lambda: chat.screen.stream is None)
        assert chat.screen.composer.text == "Hello."
        monkeypatch.setattr(penpal, "writer", writer)
        await chat.drafts("Hello.")


async def test_a_locked_database_is_a_notice_and_the_text_stays(
    open_chat: OpenChat, penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*args: object, **options: object) -> int:
        raise StoreError("penpal.db is locked by another program: close it and try again.")

    async with open_chat() as chat:
        with monkeypatch.context() as patched:
            patched.setattr(penpal.store, "add_turn", locked)
            await chat.send("Write.")
            await chat.until(lambda: "locked" in chat.screen.notice.text)
            assert chat.screen.composer.text == "Write."
        await chat.drafts("Write.")
        with monkeypatch.context() as patched:
            patched.setattr(penpal.store, "add_act", locked)
            await chat.press("1")
            assert "locked" in chat.screen.notice.text
            assert chat.kinds() == []


async def test_leaving_asks_again_when_typed_text_cannot_be_saved(
    open_chat: OpenChat, penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(place: str, text: str) -> None:
        raise StoreError("The disk is full.")

    async with open_chat() as chat:
        await chat.press(*"words")
        monkeypatch.setattr(penpal.store, "keep_unsaved", full)
        chat.screen.composer.insert("!")
        await chat.press("ctrl+q")
        assert "Leave again" in chat.screen.notice.text
        assert chat.pilot.app.is_running


async def test_latents_that_are_off_are_shown(open_chat: OpenChat, penpal: PenPal) -> None:
    penpal.latents_off = "the check failed; run 'penpal doctor'."
    async with open_chat() as chat:
        await chat.pilot.pause()
        notice = chat.screen.query_one("#latents-off")
        assert notice.display
        assert "penpal doctor" in str(notice.content)


async def key_wait_s(chat: Any) -> float:
    """How long a typed letter takes to stand in the composer: the median of ten."""
    waits = []
    for _ in range(10):
        pressed, before = time.monotonic(), len(chat.screen.composer.text)
        chat.pilot.app.post_message(events.Key("x", "x"))
        while len(chat.screen.composer.text) == before:
            await asyncio.sleep(0.001)
        waits.append(time.monotonic() - pressed)
        await asyncio.sleep(0.03)
    return sorted(waits)[len(waits) // 2]


@pytest.mark.parametrize("busy", [False, True])
async def test_a_key_is_answered_at_once_while_a_slow_decoder_writes(
    open_chat: OpenChat, decoder: ScriptedDecoder, busy: bool
) -> None:
    decoder.texts = ["word " * 2000, "other " * 2000]
    decoder.delay_s, decoder.busy = 0.02, busy
    async with open_chat() as chat:
        idle_s = await key_wait_s(chat)
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.pair.display)
        # On a machine that something else keeps busy, the idle screen is slow too.
        assert await key_wait_s(chat) < max(0.05, 3 * idle_s)


async def test_escape_stops_within_one_token(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    asked: list[int] = []
    decoder.texts, decoder.delay_s, decoder.before_token = ["word " * 2000] * 2, 0.02, asked.append
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.pair.display)
        stream = chat.screen.stream
        stop, asked_at_stop = stream.stop, []
        stream.stop = lambda: (asked_at_stop.append(len(asked)), stop())
        await chat.press("escape")
        await chat.until(lambda: chat.screen.stream is None)
        assert len(asked) - asked_at_stop[0] <= 1


async def test_help_lists_every_binding(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.press("f1")
        assert isinstance(chat.pilot.app.screen, HelpScreen)
        text = chat.pilot.app.export_screenshot()
        assert "Leave" in text
        await chat.press("escape")
        assert chat.pilot.app.screen is chat.screen


async def test_a_window_that_is_too_small_says_so_until_it_grows(open_chat: OpenChat) -> None:
    async with open_chat(size=(59, 16)) as chat:
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooSmallScreen))
        await chat.pilot.resize_terminal(60, 16)
        await chat.until(lambda: chat.pilot.app.screen is chat.screen)
        await chat.drafts()


@pytest.mark.parametrize("command", [lambda p: run_chat(p), lambda p: run_rate(p, ["Write."])])
def test_without_a_terminal_it_says_what_to_do_instead(command: Callable[[PenPal], None], penpal: PenPal) -> None:
    with pytest.raises(UsageError, match="needs a terminal"):
        command(penpal)


async def test_keys_between_panes_right_after_keeping_a_draft_end_nothing(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1")
        chat.screen.pair.display = False  # as it is for a moment: hidden, and still with the focus
        chat.screen.desk.action_previous_pane()
        await chat.pilot.pause()
        assert chat.screen.desk.pane in ("thread", "composer")


async def test_what_comes_to_show_something_while_penpal_is_left_ends_nothing(open_chat: OpenChat) -> None:
    found: list[Any] = []

    async def late() -> None:
        while app.is_running:
            await asyncio.sleep(0)
        found.append(app)
        app.query_one("#gone-already")

    async with open_chat() as chat:
        app = chat.pilot.app
        app.run_worker(late())
    assert found

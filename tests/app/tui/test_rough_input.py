"""What no form expects: binary pastes, megabytes, writing of all directions, terminals that change their size."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from rich.cells import cell_len
from textual import events
from textual.drivers.headless_driver import HeadlessDriver

from app.tui.app import MOST_PASTED_CHARACTERS, PenPalApp
from app.tui.screens.chat import ChatScreen
from app.tui.screens.too_long import TooLongScreen
from app.wiring import PenPal
from tests.app.tui.conftest import Chat, until
from tests.scripted_decoder import ScriptedDecoder

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]

EVIL = "\x1b]0;owned\x07 \x1b[31mred \x9b5m \x00nul \x1b[2J \u202eback"
"""Sets the window's title, colours, blinks, clears the screen and turns the line, where it is obeyed."""
SHOWN = "]0;owned [31mred 5m nul [2J back"
SCRIPTS = {
    "right to left": "שלום עולם, كيف حالك؟",
    "wide": "日本語のテキストと한국어",
    "emoji": "a family 👨‍👩‍👧, a thumb 👍🏽, a flag 🇨🇭, a heart ❤️",
    "combining": "e\u0301tude, naïve, Ångström",
}


class KeepingDriver(HeadlessDriver):
    """Keeps everything that would go to the terminal."""

    written = ""

    @property
    def is_headless(self) -> bool:
        return False  # or Textual would not draw

    def write(self, data: str) -> None:
        self.written += data

    def flush(self) -> None:
        pass


async def paste(chat: Chat, text: str) -> None:
    chat.pilot.app.post_message(events.Paste(text))
    await chat.pilot.pause()


async def test_nothing_in_any_text_reaches_the_terminal_as_a_command(penpal: PenPal, decoder: ScriptedDecoder) -> None:
    decoder.texts = [f"first {EVIL}", f"second {EVIL}"]
    conversation = penpal.store.add_conversation(f"title {EVIL}", origin="chat")
    screen = ChatScreen(penpal.store)
    app = PenPalApp(penpal, screen)
    app.driver_class = KeepingDriver
    async with app.run_test(headless=False, size=(120, 36)) as pilot:
        chat = Chat(penpal, pilot, screen)
        await until(lambda: screen.status.phase == "ready")
        screen.sidebar.highlighted = 0
        screen.sidebar.action_select()
        await until(lambda: screen.conversation_id == conversation)
        screen.composer.focus()
        screen.composer.load_text(f"prompt {EVIL}")  # as if an older PenPal had kept it
        await pilot.press("enter")
        await until(lambda: screen.stream is None and screen.waiting)
        screen.notice.say(f"trouble {EVIL}")
        await chat.press("1", "enter")  # the first one goes into the thread
        await pilot.pause()
        assert isinstance(app._driver, KeepingDriver)
        written = app._driver.written
    for name in ("title", "prompt", "first", "second", "trouble"):
        assert f"{name} ]0;owned" in written, f"the {name} is shown"
    for command in ("\x1b]0;owned", "owned\x07", "\x00", "\x9b", "\x1b[2J", "\x1b[31m", "\u202e"):
        assert command not in written, f"{command!r} is obeyed"


async def test_a_binary_paste_is_text_and_sends_nothing(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await paste(chat, f"{EVIL}\r\nsecond line\r")
        assert chat.screen.composer.text == f"{SHOWN}\nsecond line\n"
        assert decoder.asked == []
        await chat.press("enter")
        await chat.until(lambda: chat.screen.waiting)
        assert chat.screen.turn.turn.prompt.startswith(SHOWN)


async def test_two_megabytes_are_offered_with_their_middle_cut(open_chat: OpenChat) -> None:
    text = "start " + "middle " * 300_000 + "end"
    assert len(text) > 2_000_000
    async with open_chat() as chat:
        await chat.press(*"mine")
        started = time.process_time()
        await paste(chat, text)
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooLongScreen))
        assert time.process_time() - started < 1.0
        await chat.press("escape")
        assert chat.screen.composer.text == "mine"
        await paste(chat, text)
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooLongScreen))
        await chat.press("c")
        await chat.until(lambda: chat.screen.composer.text != "mine")
        taken = chat.screen.composer.text
        assert taken.startswith("minestart middle")
        assert taken.endswith("middle end")
        assert "[…]" in taken
        assert len(taken) < MOST_PASTED_CHARACTERS


async def test_a_long_paste_that_an_editor_can_hold_goes_in_whole(
    open_chat: OpenChat, decoder: ScriptedDecoder
) -> None:
    text, decoder.room = "A line of a long letter.\n" * 3_900, 100
    async with open_chat() as chat:
        await paste(chat, text)
        assert chat.screen.composer.text == text
        await chat.press("enter")
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooLongScreen))
        await chat.press("escape")
        assert chat.screen.composer.text == text


@pytest.mark.parametrize("kind", SCRIPTS)
async def test_writing_of_all_kinds_is_kept_to_the_letter_and_drawn_in_its_columns(
    open_chat: OpenChat, decoder: ScriptedDecoder, kind: str
) -> None:
    text = SCRIPTS[kind]
    decoder.texts = [f"{text} {n} {text}" for n in (1, 2)]
    async with open_chat(size=(60, 24)) as chat:
        await paste(chat, text)
        await chat.press("home", "right", "end", "left", "x", "backspace")
        assert chat.screen.composer.text == text
        await chat.press("enter")
        await chat.until(lambda: chat.screen.stream is None and chat.screen.waiting)
        turn = chat.screen.turn
        assert turn.turn.prompt == text
        assert [draft.text for draft in turn.drafts] == decoder.texts
        await chat.press("1", "e")
        await chat.pilot.pause()
        for strip in chat.screen._compositor.render_strips():
            assert cell_len("".join(segment.text for segment in strip)) == 60


async def test_a_terminal_may_change_its_size_while_drafts_are_written(
    open_chat: OpenChat, decoder: ScriptedDecoder
) -> None:
    decoder.texts, decoder.gate = ["word " * 60 + "end one", "other " * 60 + "end two"], threading.Event()
    async with open_chat(size=(120, 36)) as chat:
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.pair.display)
        for size in ((60, 24), (200, 60), (30, 8), (80, 24), (61, 16)):
            await chat.pilot.resize_terminal(*size)
        decoder.gate.set()
        await chat.until(lambda: chat.screen.stream is None and chat.screen.waiting)
        assert [draft.text for draft in chat.screen.turn.drafts] == decoder.texts
        await chat.pilot.resize_terminal(120, 36)
        await chat.press("2")
        assert chat.kinds() == ["pick"]


async def test_keys_that_arrive_all_at_once_act_in_their_order(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        for key in ("a", "c", "left", "b", "end", "x", "backspace", "d", "home", "ctrl+j", "up", "e"):
            chat.pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await chat.until(lambda: chat.screen.composer.text == "e\nabcd")


async def test_what_is_typed_after_enter_is_not_sent_with_it(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        for key in ("a", "b", "enter", "c", "d"):
            chat.pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await chat.until(lambda: chat.screen.waiting)
        await chat.until(lambda: all(worker.is_finished for worker in chat.pilot.app.workers))
        assert chat.screen.turn.turn.prompt == "ab"
        assert chat.screen.composer.text == "cd"


async def test_a_pick_and_enter_at_once_keep_the_picked_draft(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.stream is None and chat.screen.waiting)
        assert chat.screen.pair.cards[0].has_focus_within
        for key, character in (("2", "2"), ("enter", None)):
            chat.pilot.app.post_message(events.Key(key, character))
        await chat.until(lambda: "accept" in chat.kinds())
        assert chat.penpal.store.accepted_text(chat.screen.turn.turn.id) == decoder.texts[1]


async def test_what_is_typed_while_kept_drafts_go_is_the_next_prompt(
    open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.stream is None and chat.screen.waiting)
        refresh = chat.screen.refresh_turns

        async def slowly() -> None:
            for key in "so":
                chat.pilot.app.post_message(events.Key(key, key))
            await asyncio.sleep(0.1)
            await refresh()

        monkeypatch.setattr(chat.screen, "refresh_turns", slowly)
        await chat.press("enter")
        await chat.until(lambda: chat.screen.composer.text == "so")
        assert chat.kinds() == ["pick", "accept"]

"""The chat, driven by keys: stopping, leaving, coming back, and text that is never lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from textual import events

from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]
WARM, DRY = WARM_AND_DRY


async def test_escape_keeps_the_partial_and_again_returns_the_prompt(
    open_chat: OpenChat, decoder: ScriptedDecoder
) -> None:
    decoder.gate = threading.Event()
    async with open_chat() as chat:
        await chat.send("My prompt.")
        await chat.until(lambda: chat.screen.pair.display)
        await chat.press("escape")
        await chat.until(lambda: chat.screen.stream is None)
        drafts = chat.screen.waiting.drafts
        assert [(draft.text, draft.status) for draft in drafts] == [("A", "cancelled")] * 2
        assert "stopped" in chat.screen.pair.cards[0].border_subtitle
        await chat.press("escape")
        assert chat.screen.composer.text == "My prompt."
        assert chat.screen.turns == ()
        assert chat.penpal.store.draft(drafts[0].id).text == "A"


async def test_a_stopped_redo_gives_the_drafts_before_back(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        decoder.gate = threading.Event()
        await chat.press("r")
        await chat.until(lambda: chat.screen.pair.writing)
        await chat.press("escape")
        await chat.until(lambda: chat.screen.stream is None)
        await chat.press("escape")
        assert [draft.text for draft in chat.screen.waiting.drafts] == [WARM, DRY]


async def test_leaving_while_it_writes_keeps_the_partial(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    decoder.gate = threading.Event()
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.pair.display)
        await chat.pilot.press("ctrl+q")
        (turn,) = chat.penpal.store.turns(chat.screen.conversation_id)
        drafts = chat.penpal.store.drafts(turn.id)
        assert [(draft.text, draft.status) for draft in drafts] == [("A", "cancelled")] * 2
    async with open_chat() as chat:
        assert [draft.text for draft in chat.screen.waiting.drafts] == ["A", "A"]


async def test_typed_text_comes_back_after_a_restart(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("1", "a", *"half a thought")
        place = f"composer of conversation {chat.screen.conversation_id}"
        await chat.until(lambda: chat.penpal.store.unsaved(place) == "half a thought", within_s=0.6)
    async with open_chat() as chat:  # not left with ctrl+q: as after a crash
        assert chat.screen.composer.text == "half a thought"
        assert chat.screen.turn.turn.prompt == "First."


async def test_each_conversation_has_its_own_unsent_text(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("1", "a", *"abc", "ctrl+n")
        assert (chat.screen.composer.text, chat.screen.turns) == ("", ())
        await chat.press("x", "shift+tab", "shift+tab")
        assert chat.screen.sidebar.has_focus
        await chat.press("down", "enter")
        await chat.until(lambda: chat.screen.turns)
        assert chat.screen.composer.text == "abc"


async def test_a_half_made_edit_of_a_settled_turn_does_not_decide_where_to_start(
    open_chat: OpenChat,
) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("1", "e", "!", "escape", "a")
        await chat.until(lambda: chat.screen.turn.kept == WARM)
        assert chat.penpal.store.unsaved_places() == [f"edit of draft {chat.screen.turn.drafts[0].id}"]
    async with open_chat() as chat:
        assert chat.screen.conversation_id is None


async def test_enter_sends_and_ctrl_j_and_paste_do_not(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await chat.press("a", "ctrl+j", "b")
        chat.pilot.app.post_message(events.Paste("one\ntwo\n"))
        await chat.until(lambda: chat.screen.composer.text == "a\nbone\ntwo\n")
        assert decoder.asked == []
        await chat.press("enter")
        await chat.until(lambda: chat.screen.waiting)
        assert chat.screen.turn.turn.prompt == "a\nbone\ntwo\n"

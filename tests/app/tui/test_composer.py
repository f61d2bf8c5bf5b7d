"""The prompt as a place to write: undo and redo, selection, pastes, and the words counted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from textual import events

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]
LINES = "some words on a line\n" * 30


async def paste(chat: Any, text: str) -> None:
    before = chat.screen.composer.text
    chat.pilot.app.post_message(events.Paste(text))
    await chat.until(lambda: chat.screen.composer.text != before)
    await chat.pilot.pause()


async def test_undo_and_redo_take_back_typing_and_a_paste_longer_than_the_box(open_chat: OpenChat) -> None:
    """Textual 8.2 itself ends with a traceback here."""
    async with open_chat(ready=False) as chat:
        composer = chat.screen.composer
        composer.focus()
        await paste(chat, LINES)
        await chat.press("x", "ctrl+z")
        assert composer.text == LINES
        await chat.press("ctrl+z")
        assert composer.text == ""
        await chat.press("ctrl+y", "ctrl+y")
        assert composer.text == f"{LINES}x"


async def test_everything_selected_can_be_cut_replaced_and_pasted(open_chat: OpenChat) -> None:
    async with open_chat(ready=False) as chat:
        composer = chat.screen.composer
        composer.focus()
        await paste(chat, LINES)
        await chat.press("f7", "ctrl+x")
        assert composer.text == ""
        await chat.press("ctrl+v")
        assert composer.text == LINES
        await chat.press("f7", "a", "b", "shift+left", "c")
        assert composer.text == "ac"


async def test_words_are_counted_and_the_box_grows_to_its_limit(open_chat: OpenChat) -> None:
    async with open_chat(ready=False) as chat:
        composer = chat.screen.composer
        composer.focus()
        assert composer.border_subtitle == ""
        await chat.press(*"two words")
        assert composer.border_subtitle == "2 words"
        assert composer.size.height == 1
        await paste(chat, LINES)
        assert composer.border_subtitle == "151 words"
        assert composer.size.height == 8


async def test_the_focus_is_in_the_prompt_from_the_first_moment(open_chat: OpenChat) -> None:
    async with open_chat(ready=False) as chat:
        assert chat.screen.composer.has_focus

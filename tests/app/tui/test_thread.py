"""The thread moves when a key is pressed, not a moment later."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from textual import events

from tests.app.tui.conftest import Chat


async def test_a_page_is_turned_at_once(open_chat: Callable[..., AbstractAsyncContextManager[Chat]]) -> None:
    async with open_chat() as chat:
        await chat.drafts("\n".join(f"Line {i}." for i in range(90)))
        thread = chat.screen.thread
        thread.focus()
        await chat.until(lambda: thread.has_focus and thread.scroll_y > 20)
        before = thread.scroll_y
        chat.pilot.app.post_message(events.Key("pageup", None))
        await chat.until(lambda: thread.scroll_y != before)
        assert thread.scroll_y == max(0, before - thread.scrollable_content_region.height), "it slides there"

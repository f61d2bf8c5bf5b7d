"""What is typed is in the store at every moment: a kill between two writes finds it in one place or in the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from textual.widgets import TextArea

from app.starting_points import REPLY
from app.tui.unsaved_texts import UnsavedTexts
from app.wiring import PenPal
from core.errors import StoreError
from core.paths import Home
from core.store import Store
from tests.app.tui.conftest import Chat, until

Open = Callable[..., AbstractAsyncContextManager[Chat]]
HERE, THERE = "composer", "composer of conversation 1"


class WritesOnce(Store):
    """As if it were killed after its first write."""

    written = 0

    def keep_unsaved(self, place: str, text: str) -> None:
        if self.written:
            raise StoreError("It is gone.")
        super().keep_unsaved(place, text)
        self.written += 1


def test_a_text_that_moves_is_in_its_new_place_before_it_leaves_the_old_one(penpal_home: Path) -> None:
    with closing(Store(Home(penpal_home).database)) as store:
        store.keep_unsaved(HERE, "A long prompt.")
    with closing(WritesOnce(Home(penpal_home).database)) as store:
        unsaved = UnsavedTexts(store)
        unsaved.changed(HERE, "")
        unsaved.changed(THERE, "A long prompt.")
        with pytest.raises(StoreError, match="gone"):
            unsaved.save()
        assert store.unsaved(THERE) == "A long prompt."


async def test_a_prompt_from_a_form_is_kept_while_the_backbone_loads(
    open_chat: Open, penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, writer = threading.Event(), penpal.writer
    monkeypatch.setattr(penpal, "writer", lambda: loaded.wait() and writer())
    async with open_chat(ready=False) as chat:
        await chat.pilot.press("ctrl+t", "2")
        await chat.pilot.pause()
        await chat.pilot.press(*"yes")
        chat.pilot.app.screen.query_one(TextArea).load_text("Will you come?")
        await chat.pilot.press("ctrl+s")
        prompt = REPLY.prompt("yes", "Will you come?")
        try:
            await until(lambda: penpal.store.unsaved(HERE) == prompt, within_s=10)
        finally:
            loaded.set()
        await until(lambda: chat.screen.stream is None and chat.screen.waiting)
        await until(lambda: not penpal.store.unsaved_places())
        await until(lambda: all(worker.is_finished for worker in chat.pilot.app.workers))

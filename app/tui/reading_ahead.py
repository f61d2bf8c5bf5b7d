"""Reads the conversation and what is being typed ahead of time, so that after Enter the first words come at once."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from core.errors import PenPalError

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen

PAUSE_S = 0.2
"""Between two looks at what was typed; a word or so, which is what Enter then waits for."""


class ReadingAhead:
    """For a chat screen. Drafts never wait for it: the decoder drops it when it is asked for them."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._due = False
        self._stopped = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Something has changed that the next drafts will have to read."""
        self._due = True
        if self.at_rest:
            self._task = asyncio.create_task(self._read_all(), name="read ahead")

    @property
    def at_rest(self) -> bool:
        """All that there is has been read."""
        return self._task is None or self._task.done()

    def stop(self) -> None:
        """Ends within one block of tokens."""
        self._stopped.set()
        if self._task is not None:
            self._task.cancel()

    async def _read_all(self) -> None:
        while self._due:
            self._due = False
            await self._read()
            await asyncio.sleep(PAUSE_S)

    async def _read(self) -> None:
        screen = self._screen
        if not screen.app.loaded or screen.stream is not None:
            return
        writer, choice = await screen.app.writer(), screen.drafting.choice
        try:
            await asyncio.to_thread(
                writer.warm,
                screen.composer.text,
                conversation_id=screen.conversation_id,
                choice=None if choice is None else (choice.turn.turn.id, choice.text),
                cancelled=self._stopped.is_set,
            )
        except PenPalError:
            return  # whatever it is, the drafts will say it

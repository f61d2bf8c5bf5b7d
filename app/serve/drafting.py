"""One request's drafts at a time, in a thread; others wait in the order they came, and a slow reader holds up nobody.

What is generated goes into a queue of the event loop, which is as long as a draft at most: the decoder never waits for
a client. A client that goes away stops its drafts within a token.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from core.protocols import Chunk
from core.session import Proposal

MAX_WAITING = 16
"""More requests than this are turned away: each holds a connection, and its client waits in vain."""


class TooManyError(Exception):
    """So many requests wait already."""


class Drafting:
    """The queue before the decoder."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The decoder, for one request. Raises TooManyError at once when too many wait."""
        if self._waiting >= MAX_WAITING:
            raise TooManyError
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1

    async def chunks(self, propose: Callable[[], Proposal]) -> AsyncGenerator[Proposal | Chunk]:
        """The proposal, then its text as it is written. Leaving the loop early stops the decoder."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Proposal | Chunk | Exception | None]()
        cancelled = threading.Event()

        def put(item: Proposal | Chunk | Exception | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, item)

        def write() -> None:
            try:
                proposal = propose()
                put(proposal)
                for chunk in proposal.stream(cancelled=cancelled.is_set):
                    put(chunk)
                put(None)
            except Exception as error:
                put(error)

        async with self.turn():
            writing = loop.run_in_executor(None, write)
            try:
                while (item := await queue.get()) is not None:
                    if isinstance(item, Exception):
                        raise item
                    yield item
            finally:
                cancelled.set()
                await asyncio.shield(writing)  # its last words are stored before the next request has the decoder

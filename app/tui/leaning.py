"""Leaning the person's way while they go on: after each answer the voice moves, in a thread, one answer at a time.

Nothing waits for it but the next drafts, and those not for long. The answer is on record before this starts: what goes
wrong here costs a line on the screen, and the next run learns from the answer all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.newest_run import newest_run
from app.tui.wording import counted, in_words, since_when
from core.store import Store

WAIT_S = 2.0
"""Drafts wait for at most so long: an answer takes 50 ms, the very first one a second more."""


class Leaning:
    """Learns from turns in the order they are named; each as it then stands in the store."""

    def __init__(
        self,
        store: Store,
        learn_now: Callable[[int], Awaitable[int | None]],
        *,
        mention: Callable[[str], object],
        complain: Callable[[str], object],
    ) -> None:
        """`learn_now` learns from one turn; what came of it is mentioned, or complained about."""
        self._store, self._learn_now, self._mention, self._complain = store, learn_now, mention, complain
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def learn(self, turn_id: int) -> None:
        """Starts to learn from what was answered about a turn, and returns at once."""
        task = asyncio.create_task(self._learn(turn_id), name=f"learn from turn {turn_id}")
        self._tasks.add(task)  # or it might be collected before it is done
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Lets go: nobody looks any more."""
        for task in self._tasks:
            task.cancel()

    async def caught_up(self) -> None:
        """Returns when nothing is left to learn, or after WAIT_S."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=WAIT_S)

    async def _learn(self, turn_id: int) -> None:
        try:
            async with self._one_at_a_time:
                answers = await self._learn_now(turn_id)
            if answers:
                self._mention(await asyncio.to_thread(self._told, answers))
        except Exception as error:
            self._complain(f"Your answer is kept, but the next drafts do not lean on it yet: {in_words(error)}")

    def _told(self, answers: int) -> str:
        run = newest_run(self._store)
        since = f" since {since_when(run.created_utc).removeprefix('on ')}" if run is not None else ""
        return f"leaning your way: {counted(answers, 'answer')}{since}"

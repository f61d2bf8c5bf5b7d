"""Three pairs of short drafts for made-up tasks, written ahead while the person is still reading the tour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from core.feedback import Draft
from core.session import Writer
from models.writing_tasks import writing_tasks

PICKS = 3
SPARE_TASKS = 6
"""For tasks whose two drafts come out the same."""
LONGEST_DRAFT = 60
"""Tokens: two short texts are compared in a few seconds."""
SHORT_TASKS = ("Write a short note", "Write a text message", "Invite")
FAMILIAR_PEOPLE = ("a close friend", "my sister", "my brother", "the neighbours", "my partner", "the whole team")
"""Anybody has something to say to them, and a way of saying it."""


@dataclass(frozen=True)
class WarmUpPair:
    """A made-up task and its two drafts."""

    turn_id: int
    prompt: str
    drafts: tuple[Draft, Draft]


class WarmUp:
    """Makes the pairs, and records what the person picks."""

    def __init__(self, writer: Callable[[], Awaitable[Writer]], learn: Callable[[int], object]) -> None:
        """`learn` is told each turn that was answered, and does not keep anybody waiting."""
        self._writer, self._learn = writer, learn
        self._stopped = threading.Event()
        self._pairs: list[WarmUpPair] = []
        self.picked: list[tuple[WarmUpPair, int]] = []
        """The pairs that were answered, each with the act that says so."""
        self.skipped = 0
        self.failed: Exception | None = None

    @property
    def pair(self) -> WarmUpPair | None:
        """The pair to show now; None while it is being written."""
        number = len(self.picked) + self.skipped
        return self._pairs[number] if number < len(self._pairs) else None

    @property
    def over(self) -> bool:
        return len(self.picked) + self.skipped >= PICKS

    async def prepare(self) -> None:
        """Writes all pairs. What goes wrong is in `failed`: nobody needs a warm-up so much as to be stopped by it."""
        try:
            await asyncio.to_thread(self._write_pairs, await self._writer())
        except Exception as error:
            self.failed = error

    def stop(self) -> None:
        """Ends the writing within one token."""
        self._stopped.set()

    async def pick(self, side: int) -> None:
        """The person prefers this draft of the pair that is shown."""
        if (pair := self.pair) is None:
            return
        recorder = (await self._writer()).recorder
        left = pair.drafts[0].id
        act_id = await asyncio.to_thread(recorder.pick, pair.drafts[side].id, left_draft_id=left)
        self.picked.append((pair, act_id))
        self._learn(pair.turn_id)

    def skip(self) -> None:
        """The person has no opinion about the pair that is shown."""
        if self.pair is not None:
            self.skipped += 1

    def _write_pairs(self, writer: Writer) -> None:
        short = replace(writer.sampling, max_tokens=min(LONGEST_DRAFT, writer.sampling.max_tokens))
        writer = Writer(writer.store, writer.decoder, writer.voice, sampling=short)
        for task in warm_up_tasks():
            if len(self._pairs) == PICKS or self._stopped.is_set():
                return
            proposal = writer.propose(task, origin="rate")
            left, right = proposal.run(cancelled=self._stopped.is_set)
            if left.is_done and right.is_done and left.text.split() != right.text.split():
                self._pairs.append(WarmUpPair(proposal.turn_id, task, (left, right)))


def warm_up_tasks() -> list[str]:
    """Short tasks in everybody's life, the same for everybody."""
    short = [task for task in writing_tasks("train") if task.startswith(SHORT_TASKS)]
    familiar = [task for task in short if any(f" {who} " in task for who in FAMILIAR_PEOPLE)]
    return familiar[: PICKS + SPARE_TASKS]

"""What becomes of an answer in `rate`: on record, learned from at once, and taken back when the person says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.tui.leaning import Leaning
from app.tui.pair_maker import RatedPair
from app.tui.rating_session import Answer, Reply
from app.tui.rating_words import said
from app.tui.wording import in_words
from core.session import Writer

if TYPE_CHECKING:
    from app.tui.screens.rate import RateScreen


class Answering:
    """Records one answer, or takes one back, at a time."""

    def __init__(self, screen: RateScreen) -> None:
        self._screen = screen
        self.leaning = Leaning(
            screen.store, screen.app.learn_now, mention=screen.status.mention, complain=screen.news.say
        )
        self.busy = False

    def answer(self, pair: RatedPair, reply: Reply) -> None:
        """Starts to record it; the screen goes on when that is done."""
        self.busy = True
        self._screen.run_worker(self._record(pair, reply), name="record an answer", group="record")

    def undo(self) -> None:
        """Starts to take the last answer back, if there is one."""
        if self._screen.answers and not self.busy:
            self.busy = True
            last = self._screen.answers[-1]
            self._screen.run_worker(self._undo(last), name="take an answer back", group="record")

    async def _record(self, pair: RatedPair, reply: Reply) -> None:
        screen = self._screen
        try:
            act_id = await self._recorded(pair, lambda writer: reply.record(writer, pair))
        except Exception as error:
            screen.notice.say(f"{in_words(error)} This pair is not answered yet.")
        else:
            if act_id is None:
                screen.notice.say("You changed nothing, so no edit was kept: choose one, or edit it.")
            else:
                await screen.done_with(Answer(pair, reply, act_id))
        self.busy = False
        screen.look()
        await screen.show_progress()

    async def _undo(self, last: Answer) -> None:
        screen = self._screen
        try:
            await self._recorded(last.pair, lambda writer: writer.recorder.undo(last.pair.turn_id, last.act_id))
        except Exception as error:
            screen.notice.say(in_words(error))
        else:
            screen.answers.pop()
            screen.back_to(last.pair)
            screen.status.show(f"taken back: {said(last)}", hint="answer it again")
        self.busy = False
        await screen.show_progress()

    async def _recorded(self, pair: RatedPair, act: Callable[[Writer], int | None]) -> int | None:
        """Records an act about a pair in a thread, lets the voice lean on it, and returns the act's id."""
        act_id = await asyncio.to_thread(act, await self._screen.app.writer())
        self._screen.news.clear()
        if act_id is not None:
            self.leaning.learn(pair.turn_id)
        return act_id

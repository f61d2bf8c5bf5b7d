"""Four weeks of a simulated person who says I and me, so that the pictures show a PenPal that has learned.

They ask for a text, pick the one that does, cut what goes on after three sentences, and keep it; every week ends with a
night of learning. Drafts, choices and voices are real; only the person and the calendar are made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import time_machine

from app.learning import personalize
from app.tastes import TASTES
from app.tui.acts import keep, save_edit
from app.tui.turn_view import read_turn
from app.wiring import PenPal
from models.writing_tasks import writing_tasks

TODAY = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
WEEKS, TEXTS_A_WEEK = 4, 12
DRAFT_TOKENS = 64
TASTE = TASTES["first-person"]
SENTENCE = re.compile(r".*?[.!?](?=\s|$)", re.DOTALL)


def simulated_month(penpal: PenPal, say: Callable[[str], object] = print) -> None:
    """Fills an empty home."""
    tasks = iter(writing_tasks("train", seed=7))
    for week in range(WEEKS):
        for number in range(TEXTS_A_WEEK):
            day = TODAY - timedelta(weeks=WEEKS - week, days=-(number // 2) - 0.4, hours=number % 2)
            with time_machine.travel(day):
                _one_text(penpal, next(tasks), seed=1000 * week + number)
        night = TODAY - timedelta(weeks=WEEKS - week - 1, hours=7, minutes=-5)
        with time_machine.travel(night):
            report = personalize(penpal, drafts=week == WEEKS - 1)
        say(f"week {week + 1}: {report.reason}")


def _one_text(penpal: PenPal, task: str, *, seed: int) -> None:
    """From a prompt to a kept text."""
    sampling = replace(penpal.settings.drafts.sampling(), max_tokens=DRAFT_TOKENS)
    writer = penpal.writer(sampling=sampling)
    proposal = writer.propose(task, seed=seed)
    for _ in proposal.stream():
        pass
    turn = read_turn(penpal.store, penpal.store.turn(proposal.turn_id))
    chosen = max((draft for draft in turn.drafts if draft.text.strip()), key=lambda draft: TASTE.score(draft.text))
    cut = "".join(SENTENCE.findall(chosen.text)[:3]).strip()
    if cut:
        save_edit(writer.recorder, chosen, cut)
    chosen = next(d for d in read_turn(penpal.store, turn.turn).drafts if d.id == chosen.id)
    keep(writer.recorder, chosen)

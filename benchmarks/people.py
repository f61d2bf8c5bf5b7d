"""Simulated people over one pool of ordinary A/B choices: two drafts of the generic voice for a prompt, one is picked.

The pool is a PenPal home of its own. Each person gets a copy of it with their answers, so that what is measured is what
`penpal personalize` does with a real database; the drafts themselves are written once for all.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.tastes import Taste
from app.wiring import PenPal, open_penpal
from core.feedback import Draft
from core.paths import Home
from core.protocols import Sampling
from models.writing_tasks import writing_tasks

DRAFT_TOKENS = 48
PENPAL = "from app.cli import main; main()"
"""The program, for a Python of its own."""
TASKS_SEED = 1000
UNSEEN = 240
"""The first of the held-out tasks are kept for comparing drafts; the pool starts after them."""
SEED_STEP = 10


def short(penpal: PenPal) -> Sampling:
    """The person's sampling with shorter drafts."""
    return replace(penpal.settings.drafts.sampling(), max_tokens=DRAFT_TOKENS)


def fill_pool(penpal: PenPal, rounds: int, told: Callable[[str], None]) -> None:
    """Writes two generic drafts for so many prompts; goes on where it was stopped."""
    tasks = writing_tasks("held_out", seed=TASKS_SEED)[UNSEEN:]
    done = penpal.store.counts()["turns"]
    if done >= rounds:
        return
    writer = penpal.writer(generic=True, sampling=short(penpal))
    for i in range(done, rounds):
        writer.propose(tasks[i], origin="demo", seed=SEED_STEP * i).run()
        if i % 50 == 0:
            told(f"pool: {i} of {rounds} rounds")


def unread_copy(home: Home) -> Path:
    """The pool as it was before `read_texts`."""
    return home.folder / "unread.db"


def read_texts(penpal: PenPal) -> None:
    """Caches the posteriors of all drafts and the features of all prompts; keeps a copy from before."""
    copy = unread_copy(penpal.home)
    with closing(sqlite3.connect(penpal.home.database)) as source, closing(sqlite3.connect(copy)) as target:
        if not copy.stat().st_size:
            source.backup(target)
    store = penpal.store
    turns = [turn for c in store.conversations(origin="demo", limit=10**6) for turn in store.turns(c.id)]
    penpal.text_vectors().posteriors([(t.messages, d.text) for t in turns for d in store.drafts(t.id)])
    penpal.text_vectors().features([turn.messages for turn in turns])


@dataclass(frozen=True)
class Choice:
    """What a person would answer in one round of the pool."""

    turn_id: int
    better: int
    """Draft id."""
    worse: int


class Pool:
    """The rounds of a pool, in the order in which they were written."""

    def __init__(self, home: Home, rounds: int) -> None:
        self.home = home
        with closing(open_penpal(home)) as penpal:
            store = penpal.store
            turns = sorted(t.id for c in store.conversations(origin="demo", limit=10**6) for t in store.turns(c.id))
            self.rounds: list[tuple[Draft, Draft]] = []
            for turn_id in turns[:rounds]:
                left, right = store.drafts(turn_id)
                if left.text.strip() and right.text.strip():
                    self.rounds.append((left, right))

    def choices(self, taste: Taste, seed: int) -> list[Choice]:
        """Every round in which this person prefers a draft, in an order of their own; ties are no choices."""
        found = []
        for left, right in self.rounds:
            scores = taste.score(left.text), taste.score(right.text)
            if scores[0] != scores[1]:
                better, worse = (left, right) if scores[0] > scores[1] else (right, left)
                found.append(Choice(better.turn_id, better.id, worse.id))
        random.Random(seed).shuffle(found)
        return found

    @contextmanager
    def person(self, answers: Sequence[Choice], *, unread: bool = False) -> Iterator[PenPal]:
        """A home in which these answers were given, in this order, and nothing was learned yet.

        `unread`: nor has the encoder read any text.
        """
        with tempfile.TemporaryDirectory() as folder:
            place = Home(Path(folder))
            pool = unread_copy(self.home) if unread else self.home.database
            with closing(sqlite3.connect(pool)) as source, closing(sqlite3.connect(place.database)) as copy:
                source.backup(copy)
            if self.home.backbones.exists():
                shutil.copytree(self.home.backbones, place.backbones, copy_function=link_or_copy)
            penpal = open_penpal(place)
            for choice in answers:
                penpal.store.add_act("pick", choice.turn_id, draft_id=choice.better, other_draft_id=choice.worse)
            try:
                yield penpal
            finally:
                penpal.store.close()


def link_or_copy(source: str, target: str) -> None:
    """Caches are only read: a link will do."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)

"""Edits: a person corrects every draft to a hidden taste; what counts is how much they still have to change.

The setting of PRELUDE (arXiv 2404.15269): a draft, an edit, its cost, and the method learns before the next round. The
cost is the normalised edit distance in words, summed over all rounds. Contexts are mixed: mails, replies, notes, posts.
PenPal's fast path hears each edit, and it personalizes every so many rounds; the others keep what they are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import fmean
from typing import Protocol

from benchmarks.measuring import costs
from benchmarks.people import UNSEEN
from benchmarks.rivals.method import Author, Comparison, Cost, Method
from benchmarks.rivals.penpal import Library, LivingHome
from benchmarks.rivals.registry import Roster
from benchmarks.row_log import Row, RowLog
from benchmarks.tasks.editor import PEOPLE, Person
from core.contexts import context_of
from core.feedback import edit_distance
from core.protocols import Message
from models.writing_tasks import writing_tasks

TASK = "edits"
METHODS = ("penpal", "penpal-fast", "untouched", "in-context-similar", "retrieval", "cipher", "described")
"""Those that learn from each edit in seconds; weights are not trained anew after every one."""
MAX_TOKENS = 64
TASKS_SEED = 2000
"""Another order of the held-out requests than the other tasks have."""
PERSONALIZE_EVERY = 20


class Learner(Protocol):
    """A method in the course of the rounds."""

    def author(self) -> Author:
        """Who drafts next."""

    def hear(self, edit: Comparison) -> None:
        """`rejected` was edited into `chosen`; equal texts were kept as they are."""


class Told:
    """A method that is given the whole history before every draft."""

    def __init__(self, method: Method) -> None:
        self._method, self._history = method, list[Comparison]()

    def author(self) -> Author:
        return self._method.learn(self._history, seed=0)

    def hear(self, edit: Comparison) -> None:
        self._history.append(edit)


class Growing:
    """PenPal in one home: every edit is heard at once; `every` so many rounds it personalizes (0: never)."""

    def __init__(self, library: Library, home: LivingHome, every: int) -> None:
        self._library, self._home, self._every = library, home, every
        self._rounds = 0
        self._cost = Cost(0.0)

    def author(self) -> Author:
        return self._library.author(self._home.leaning(), self._cost)

    def hear(self, edit: Comparison) -> None:
        before = self._cost.seconds_before + self._library.read([edit])
        self._cost = replace(self._cost, seconds_before=before)
        self._home.tell([edit], as_edits=True)
        self._rounds += 1
        if self._every and self._rounds % self._every == 0:
            started = time.monotonic()
            self._home.personalize()
            seconds = self._cost.seconds + time.monotonic() - started
            encoder = self._home.active()
            size = sum(array.nbytes for array in encoder.arrays().values()) if encoder else 0
            self._cost = replace(self._cost, seconds=seconds, bytes_per_person=size)


@contextmanager
def learner(roster: Roster, name: str, description: str, every: int) -> Iterator[Learner]:
    """The method at the start of the rounds."""
    if name in ("penpal", "penpal-fast"):
        with roster.library.home() as home:
            yield Growing(roster.library, home, every if name == "penpal" else 0)
    else:
        yield Told(roster.method(name, description))


def rounds_of(
    learning: Learner,
    person: Person,
    prompts: Sequence[str],
    seed: int,
    told: Callable[[str], None] = lambda line: None,
) -> Row:
    """Drafts, edits and costs of all rounds."""
    distances, drafting = [], 0.0
    author: Author | None = None
    for i, prompt in enumerate(prompts):
        author = learning.author()
        messages = (Message("user", prompt),)
        started = time.monotonic()
        (draft,) = author.drafts([messages], [3_000_017 * (seed + 1) + i], max_tokens=MAX_TOKENS)
        drafting += time.monotonic() - started
        edited = person.edit(prompt, draft)
        distances.append(edit_distance(draft, edited))
        learning.hear(Comparison(messages, edited, draft, context_of(prompt)))
        if (i + 1) % 20 == 0:
            told(f"round {i + 1} of {len(prompts)}: {fmean(distances):.3f} changed so far")
    last = learning.author()
    return {
        "distances": [round(distance, 4) for distance in distances],
        "cumulative": sum(distances),
        "score": -fmean(distances),
        "score_late": -fmean(distances[len(distances) // 2 :]),
        "seconds_per_draft": drafting / len(prompts),
        **costs(last.cost),
    }


def prompts_of(seed: int, count: int) -> list[str]:
    """Requests of mixed kinds, others for every seed."""
    tasks = writing_tasks("held_out", seed=TASKS_SEED)
    start = UNSEEN + seed * count
    return [tasks[(start + i) % len(tasks)] for i in range(count)]


def compare(
    roster: Roster,
    log: RowLog,
    *,
    methods: Sequence[str],
    people: Sequence[str],
    rounds: int,
    seeds: int,
    told: Callable[[str], None],
) -> None:
    """Every method with every person, from nothing to so many rounds."""
    for seed in range(seeds):
        for taste in people:
            for name in (name for name in methods if name in METHODS):
                key: Row = {"task": TASK, "taste": taste, "method": name, "pairs": rounds, "seed": seed}
                if log.known(**key):
                    continue
                person = PEOPLE[taste]
                say = prefixed(told, f"edits, {name} with '{taste}': ")
                with learner(roster, name, person.description, PERSONALIZE_EVERY) as learning:
                    log.keep(key | rounds_of(learning, person, prompts_of(seed, rounds), seed, say))


def prefixed(told: Callable[[str], None], about: str) -> Callable[[str], None]:
    """Says what a line is about."""
    return lambda line: told(about + line)

"""Everyday writing: people of one taste choose between drafts, and methods write for prompts they never saw."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from app.tastes import TASTES
from benchmarks.measuring import Measuring, Questions, Score
from benchmarks.people import DRAFT_TOKENS, TASKS_SEED, UNSEEN
from benchmarks.rivals.method import Author, Comparison, Method
from benchmarks.rivals.registry import Roster
from benchmarks.row_log import Row, RowLog
from benchmarks.tasks.rounds import Round
from core.contexts import context_of
from core.protocols import Message
from models.writing_tasks import writing_tasks

TASK = "everyday writing"
NEUTRAL = "everyday writing, neutral pairs"
"""The same on drafts of the untouched backbone: see `benchmarks.tasks.rounds`."""
PEOPLE = (
    "first-person", "second-person", "impersonal", "informal", "positive", "negative", "short-words", "long-words",
    "short-sentences", "long-sentences", "brief", "flowing",
)  # fmt: skip
"""As in `benchmarks.personalize`: those who are rarely undecided."""
VALIDATION_PEOPLE = ("questions", "airy")
"""On whom settings are tuned; nobody of `PEOPLE` is like them."""
VALIDATION_PROMPTS = slice(200, UNSEEN)
"""Of the unseen prompts, these are never asked in the comparison."""
FIRST_SEED = 1_000_003
VALIDATION_SEED = 99


class Everyday:
    """Rounds, and the people who answer about them."""

    def __init__(self, rounds: Sequence[Round], prompts: int) -> None:
        """`prompts`: unseen ones per seed."""
        self._rounds, self._prompts = rounds, prompts
        self._tasks = writing_tasks("held_out", seed=TASKS_SEED)[:UNSEEN]

    def choices(self, taste: str, seed: int) -> list[Comparison]:
        """Every round in which this person prefers a draft, in an order of their own; ties are no choices."""
        found = []
        for each in self._rounds:
            left, right = (TASTES[taste].score(text) for text in (each.left, each.right))
            if left != right:
                better, worse = (each.left, each.right) if left > right else (each.right, each.left)
                found.append(Comparison(each.messages, better, worse, context_of(each.messages[-1].content)))
        random.Random(seed).shuffle(found)
        return found

    def questions(self, seed: int) -> Questions:
        """Unseen prompts, others for every seed while there are enough."""
        most = VALIDATION_PROMPTS.start
        chosen = [self._tasks[(seed * self._prompts + i) % most] for i in range(self._prompts)]
        return asked(chosen, seed)

    def validation(self) -> Questions:
        """Prompts for tuning."""
        return asked(self._tasks[VALIDATION_PROMPTS], VALIDATION_SEED)


def asked(prompts: Sequence[str], seed: int) -> Questions:
    """Requests with dice of this seed."""
    messages = tuple((Message("user", prompt),) for prompt in prompts)
    dice = tuple(FIRST_SEED * (seed + 1) + i for i in range(len(prompts)))
    return Questions(messages, dice, DRAFT_TOKENS)


def score_of(taste: str) -> Score:
    """What this person sees in a text, whatever the prompt was."""
    liked = TASTES[taste].score
    return lambda prompt, text: liked(text)


def compare(
    everyday: Everyday,
    roster: Roster,
    measuring: Measuring,
    log: RowLog,
    *,
    task: str,
    methods: Sequence[str],
    people: Sequence[str],
    points: Sequence[int],
    seeds: int,
    told: Callable[[str], None],
    also: Callable[[Row, Author], None] = lambda key, author: None,
) -> None:
    """Every method with every person after so many choices; `also` hears of each author that was made."""
    for pairs in points:
        for seed in range(seeds):
            questions = everyday.questions(seed)
            for taste in people:
                given = everyday.choices(taste, seed)[:pairs]
                if len(given) < pairs:
                    told(f"{task}: '{taste}' has no {pairs} choices in this pool, only {len(given)}; left out")
                    continue
                for name in methods:
                    key: Row = {"task": task, "taste": taste, "method": name, "pairs": pairs, "seed": seed}
                    if log.known(**key):
                        continue
                    author = roster.method(name, TASTES[taste].description).learn(given, seed=seed)
                    log.keep(key | measuring.row(author, questions, score_of(taste)))
                    also(key, author)


def validation_score(everyday: Everyday, measuring: Measuring, method: Method, pairs: int) -> float:
    """Mean win rate, ties counted half, with validation people on validation prompts."""
    questions = everyday.validation()
    rates = []
    for taste in VALIDATION_PEOPLE:
        author = method.learn(everyday.choices(taste, VALIDATION_SEED)[:pairs], seed=VALIDATION_SEED)
        row = measuring.row(author, questions, score_of(taste))
        rates.append(float(row["win_rate_ties_half"]))
    return sum(rates) / len(rates)

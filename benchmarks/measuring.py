"""Authors measured: their drafts for unseen prompts beside those of the untouched backbone with the same dice."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from benchmarks.rivals.method import Author, Cost
from benchmarks.rivals.torch_author import Conversation, SharedSampler
from benchmarks.row_log import Row
from models.fluency import distinct2

Score = Callable[[Conversation, str], float]
"""How much a person likes a text for a prompt."""


@dataclass(frozen=True)
class Questions:
    """What authors are asked: prompts that no method has learned from, each with its dice."""

    prompts: tuple[Conversation, ...]
    seeds: tuple[int, ...]
    max_tokens: int
    references: tuple[str, ...] = ()
    """What a person wrote there, where that is known."""


@dataclass(frozen=True)
class Written:
    """Drafts for all questions, and what they look like whoever reads them."""

    texts: tuple[str, ...]
    seconds: float
    perplexity: float
    """Of all drafts under the untouched backbone."""
    distinct2: float
    tokens: float
    """Mean."""


class Measuring:
    """Asks authors; what the untouched backbone answers is remembered."""

    def __init__(self, sampler: SharedSampler) -> None:
        self.sampler = sampler
        self._untouched: dict[Questions, Written] = {}

    def write(self, author: Author, questions: Questions) -> Written:
        """One draft for each question."""
        started = time.monotonic()
        texts = author.drafts(questions.prompts, questions.seeds, max_tokens=questions.max_tokens)
        return self._read(texts, questions, time.monotonic() - started)

    def untouched(self, questions: Questions) -> Written:
        """The same of the backbone itself."""
        if questions not in self._untouched:
            started = time.monotonic()
            texts = self.sampler.texts(questions.prompts, questions.seeds, max_tokens=questions.max_tokens)
            self._untouched[questions] = self._read(texts, questions, time.monotonic() - started)
        return self._untouched[questions]

    def row(self, author: Author, questions: Questions, score: Score) -> Row:
        """Everything that is told of an author with one person."""
        own, generic = self.write(author, questions), self.untouched(questions)
        return {
            **compared(own, generic, questions, score),
            **costs(author.cost),
            "seconds_per_draft": own.seconds / len(own.texts),
        }

    def _read(self, texts: Sequence[str], questions: Questions, seconds: float) -> Written:
        found = [each for each in self.sampler.likelihoods(questions.prompts, texts) if each.tokens]
        tokens = sum(each.tokens for each in found)
        return Written(
            tuple(texts),
            seconds,
            math.exp(sum(each.nll for each in found) / max(1, tokens)),
            distinct2(texts),
            tokens / len(texts),
        )


def compared(own: Written, generic: Written, questions: Questions, score: Score) -> Row:
    """Wins and losses against the untouched backbone, and against the references where there are any."""

    def scores(texts: Sequence[str]) -> list[float]:
        return [score(prompt, text) for prompt, text in zip(questions.prompts, texts, strict=True)]

    mine, others = scores(own.texts), scores(generic.texts)
    row: Row = {
        **outcome(mine, others, ""),
        "prompts": len(mine),
        "score": fmean(mine),
        "score_generic": fmean(others),
        "perplexity": own.perplexity,
        "perplexity_generic": generic.perplexity,
        "distinct2": own.distinct2,
        "distinct2_generic": generic.distinct2,
        "tokens": own.tokens,
        "tokens_generic": generic.tokens,
    }
    if questions.references:
        row |= outcome(mine, scores(questions.references), "_reference")
    return row


def outcome(mine: Sequence[float], others: Sequence[float], suffix: str) -> Row:
    """Ties are left out of the win rate, which is one half where all are ties."""
    wins = sum(a > b for a, b in zip(mine, others, strict=True))
    losses = sum(a < b for a, b in zip(mine, others, strict=True))
    return {
        f"wins{suffix}": wins,
        f"losses{suffix}": losses,
        f"win_rate{suffix}": wins / (wins + losses) if wins + losses else 0.5,
        f"win_rate_ties_half{suffix}": 0.5 + (wins - losses) / (2 * len(mine)),
    }


def costs(cost: Cost) -> Row:
    """As rows name it."""
    told = asdict(cost)
    return {"seconds_personalize": told.pop("seconds"), **told}

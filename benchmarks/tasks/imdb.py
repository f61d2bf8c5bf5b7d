"""The task of the Latent DPO paper: continue a film review so that it is positive, negative or neutral.

Prompts are the first words of reviews, candidates are sampled from the backbone, and one judge ranks them; another one
evaluates. Pairs are the best and the worst of four candidates; the paper takes rank 1 and rank 31 of 32.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measuring import Measuring, Questions, Score
from benchmarks.people import DRAFT_TOKENS
from benchmarks.rivals.judges import Judge, Judges, Review, read_reviews, train_judges
from benchmarks.rivals.method import Comparison
from benchmarks.rivals.registry import Roster
from benchmarks.rivals.torch_author import Conversation, SharedSampler
from benchmarks.row_log import Row, RowLog
from core.protocols import Message

TASK = "imdb"
TASTES = {
    "positive": "positive about the film",
    "negative": "negative about the film",
    "neutral": "neutral about the film: neither positive nor negative",
}
CANDIDATES = 4
PROMPT_TOKENS = (16, 32)
CHUNK = 64
"""Prompts whose candidates are sampled between two saves."""


def liking(judge: Judge, taste: str, texts: Sequence[str]) -> list[float]:
    """How much a person of this taste likes each text, in the judge's log-odds."""
    scores = judge.scores(texts)
    return [float(s) for s in {"positive": scores, "negative": -scores, "neutral": -abs(scores)}[taste]]


def whole(prompt: Conversation, text: str) -> str:
    """The review as it would be read."""
    return prompt[-1].content + text


class Reviews:
    """Prompts, candidates and judges; candidates are kept in a file."""

    def __init__(self, imdb: Path, folder: Path, sampler: SharedSampler, told: Callable[[str], None]) -> None:
        """Trains the judges: about a minute. Raises UsageError when one of them is not good enough."""
        self._sampler, self._file, self._told = sampler, folder / "imdb-candidates.jsonl", told
        self._training, self._test = read_reviews(imdb, "train"), read_reviews(imdb, "test")
        told("imdb: training the judges")
        self.judges: Judges = train_judges(imdb)

    def candidates(self, count: int) -> list[tuple[str, list[str]]]:
        """For so many prompts of the training split, continuations by the untouched backbone."""
        found = read_candidates(self._file)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        while len(found) < count:
            start = len(found)
            prompts = [cut(self._training, i, self._sampler)[0] for i in range(start, min(start + CHUNK, count))]
            asked = [(Message("text", prompt),) for prompt in prompts for _ in range(CANDIDATES)]
            dice = range(start * CANDIDATES, start * CANDIDATES + len(asked))
            texts = self._sampler.texts(asked, dice, max_tokens=DRAFT_TOKENS)
            new = [(p, texts[i * CANDIDATES : (i + 1) * CANDIDATES]) for i, p in enumerate(prompts)]
            with self._file.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(each) + "\n" for each in new)
            found += new
            self._told(f"imdb: candidates for {len(found)} of {count} prompts")
        return found[:count]

    def choices(self, taste: str, seed: int, count: int) -> list[Comparison]:
        """What such a person prefers, in an order of their own; a prompt whose candidates are all alike gives none."""
        found = []
        for prompt, texts in self.candidates(count):
            messages = (Message("text", prompt),)
            scores = liking(self.judges.labels, taste, [whole(messages, text) for text in texts])
            best, worst = scores.index(max(scores)), scores.index(min(scores))
            if scores[best] > scores[worst] and texts[best].strip() and texts[worst].strip():
                found.append(Comparison(messages, texts[best], texts[worst], "review"))
        random.Random(seed).shuffle(found)
        return found

    def questions(self, seed: int, count: int) -> Questions:
        """Prompts of the test split with what their authors wrote."""
        cuts = [cut(self._test, (seed * count + i) % len(self._test), self._sampler) for i in range(count)]
        prompts = tuple((Message("text", prompt),) for prompt, _ in cuts)
        dice = tuple(2_000_003 * (seed + 1) + i for i in range(count))
        return Questions(prompts, dice, DRAFT_TOKENS, tuple(reference for _, reference in cuts))

    def score(self, taste: str) -> Score:
        """By the judge that has labelled nothing."""
        return lambda prompt, text: liking(self.judges.evaluates, taste, [whole(prompt, text)])[0]


def read_candidates(file: Path) -> list[tuple[str, list[str]]]:
    """What was sampled before; a line that a killed run left half-written is dropped, from the file too."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    kept = text[: text.rfind("\n") + 1]
    if kept != text:
        file.write_text(kept, encoding="utf-8")
    return [(prompt, texts) for prompt, texts in map(json.loads, kept.splitlines())]


def cut(reviews: Sequence[Review], number: int, sampler: SharedSampler) -> tuple[str, str]:
    """The first 16 to 32 tokens of a review, to a whole word, and as long a continuation as drafts may be.

    The continuation begins with its space. Numbers beyond the last review begin again with other cuts.
    """
    text = " ".join(reviews[number % len(reviews)].text.split())
    ids = list(sampler.tokenizer(text, add_special_tokens=False).input_ids)
    tokens = random.Random(number).randint(*PROMPT_TOKENS)
    start, end = (str(sampler.tokenizer.decode(ids[:n])).rfind(" ") for n in (tokens, tokens + DRAFT_TOKENS))
    return text[:start], text[start:end]


def compare(
    reviews: Reviews,
    roster: Roster,
    measuring: Measuring,
    log: RowLog,
    *,
    methods: Sequence[str],
    points: Sequence[int],
    seeds: int,
    prompts: int,
) -> None:
    """Every method with every taste after so many pairs."""
    for pairs in points:
        for seed in range(seeds):
            questions = reviews.questions(seed, prompts)
            for taste, description in TASTES.items():
                missing = [
                    key
                    for name in methods
                    if not log.known(
                        **(key := {"task": TASK, "taste": taste, "method": name, "pairs": pairs, "seed": seed})
                    )
                ]
                if not missing:
                    continue
                given = reviews.choices(taste, seed, most_prompts(points))[:pairs]
                if len(given) < pairs:
                    continue
                for key in missing:
                    author = roster.method(str(key["method"]), description).learn(given, seed=seed)
                    row: Row = key | measuring.row(author, questions, reviews.score(taste))
                    log.keep(row | {"judges": reviews.judges.accuracy})


def most_prompts(points: Sequence[int]) -> int:
    """A few more than the largest number of pairs, since some prompts give none."""
    return max(points) + max(points) // 20 + 4

"""Two judges of a film review's tone, of different kinds, so that nobody wins by what one of them gets wrong.

One labels the pairs that methods learn from, the other evaluates; both are trained on the training split alone.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.errors import UsageError

Scores = NDArray[np.float64]
LEAST_ACCURACY = 0.85
"""Below it a judge is not to be trusted with a comparison."""


@dataclass(frozen=True)
class Review:
    """One labelled text."""

    text: str
    positive: bool


class Judge(Protocol):
    """Says how positive texts are."""

    name: str

    def scores(self, texts: Sequence[str]) -> Scores:
        """[N]: log-odds that each is positive."""
        ...


def read_reviews(folder: Path, split: str) -> list[Review]:
    """`folder/SPLIT.jsonl.gz`: one JSON a line, with 'text' and 'label' ('pos' or 'neg'). Raises UsageError."""
    file = folder / f"{split}.jsonl.gz"
    if not file.is_file():
        raise UsageError(f"No film reviews at {file}: give their folder with --imdb, or leave out the task 'imdb'.")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Review(row["text"], row["label"] == "pos") for row in rows]


def with_excerpts(reviews: Sequence[Review], *, each: int = 2, seed: int = 0) -> list[Review]:
    """The reviews, and pieces of 40 to 80 words of each: what is judged later is as short as those."""
    rng = random.Random(seed)
    found = list(reviews)
    for review in reviews:
        words = review.text.split()
        for _ in range(each):
            length = rng.randint(40, 80)
            start = rng.randint(0, max(0, len(words) - length))
            found.append(Review(" ".join(words[start : start + length]), review.positive))
    return found


class LinearJudge:
    """Logistic regression on TF-IDF of words and pairs of words (scikit-learn)."""

    name = "TF-IDF and logistic regression"

    def __init__(self, reviews: Sequence[Review]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        self._features: Any = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        counts = self._features.fit_transform([review.text for review in reviews])
        self._model: Any = LogisticRegression(C=10, max_iter=300).fit(counts, [review.positive for review in reviews])

    def scores(self, texts: Sequence[str]) -> Scores:
        found: Scores = self._model.decision_function(self._features.transform(texts))
        return found


WORD = re.compile(r"[a-z0-9']+|[!?.,]")
BUCKETS = 2**18
WIDTH = 16


class BagOfVectorsJudge:
    """Learned vectors of words and pairs of words, averaged (fastText: Joulin et al. 2016, arXiv 1607.01759), in torch.

    A few such models of other dice vote.
    """

    name = "learned word vectors (fastText)"

    def __init__(self, reviews: Sequence[Review], *, voters: int = 3, epochs: int = 4) -> None:
        hashed = [hashed_words(review.text) for review in reviews]
        labels = torch.tensor([float(review.positive) for review in reviews])
        self._voters = [_trained(hashed, labels, epochs=epochs, seed=seed) for seed in range(voters)]

    @torch.no_grad()
    def scores(self, texts: Sequence[str]) -> Scores:
        words = [hashed_words(text) for text in texts]
        voices = np.stack([voter(words).numpy().astype(np.float64) for voter in self._voters])
        found: Scores = voices.mean(0)
        return found


class _Voter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean", sparse=True)
        nn.init.normal_(self.vectors.weight, std=0.1)
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, words: Sequence[torch.Tensor]) -> torch.Tensor:
        """[B]: log-odds."""
        starts = torch.tensor([0, *map(len, words[:-1])]).cumsum(0)
        result: torch.Tensor = self.out(self.vectors(torch.cat(list(words)), starts))[:, 0]
        return result


def _trained(hashed: Sequence[torch.Tensor], labels: torch.Tensor, *, epochs: int, seed: int) -> _Voter:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        voter = _Voter()
        # Adam for sparse gradients: those of the other vectors are zero.
        optimizers: Sequence[Any] = (
            torch.optim.SparseAdam(voter.vectors.parameters(), lr=3e-3),
            torch.optim.Adam(voter.out.parameters(), lr=3e-3),
        )
        for _ in range(epochs):
            for batch in torch.randperm(len(hashed)).split(32):
                logits = voter([hashed[i] for i in batch])
                loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[batch])
                for optimizer in optimizers:
                    optimizer.zero_grad()
                loss.backward()
                for optimizer in optimizers:
                    optimizer.step()
    return voter.eval()


def hashed_words(text: str) -> torch.Tensor:
    """Buckets of all words and pairs of neighbouring words; one bucket for a text without any."""
    words = WORD.findall(text.lower())
    grams = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    return torch.tensor([zlib.crc32(gram.encode()) % BUCKETS for gram in grams] or [0])


@dataclass(frozen=True)
class Judges:
    """The judge that labels, the one that evaluates, and how good they are on reviews that neither has seen."""

    labels: Judge
    evaluates: Judge
    accuracy: dict[str, float]


def accuracy(judge: Judge, reviews: Sequence[Review]) -> float:
    """Share of the reviews on whose side of zero it is."""
    positive = np.array([review.positive for review in reviews])
    return float(((judge.scores([review.text for review in reviews]) > 0) == positive).mean())


def train_judges(folder: Path, *, least: float = LEAST_ACCURACY) -> Judges:
    """Both, from the training split. Raises UsageError when one of them is too often wrong on the test split."""
    training, test = with_excerpts(read_reviews(folder, "train")), read_reviews(folder, "test")
    judges: tuple[Judge, Judge] = (LinearJudge(training), BagOfVectorsJudge(training))
    found = {judge.name: accuracy(judge, test) for judge in judges}
    for name, share in found.items():
        if share < least:
            raise UsageError(
                f"The judge '{name}' is right about {share:.1%} of the test reviews in {folder}, at least {least:.0%} "
                "are needed: give more training reviews."
            )
    return Judges(judges[0], judges[1], found)

"""Simulated people: a taste is a score of a text, and such a person always prefers the higher score."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

WORD = re.compile(r"[A-Za-z']+")
SENTENCE_END = re.compile(r"[.!?]+")
FIRST_PERSON = frozenset(("i", "i'm", "i've", "i'd", "i'll", "me", "my", "mine", "myself"))
SECOND_PERSON = frozenset(("you", "you're", "you've", "you'd", "you'll", "your", "yours", "yourself"))
GROUP = frozenset(("we", "we're", "we've", "we'd", "we'll", "us", "our", "ours"))


@dataclass(frozen=True)
class Taste:
    """What a simulated person likes."""

    description: str
    score: Callable[[str], float]


def word_list(text: str) -> list[str]:
    """Words in lower case."""
    return WORD.findall(text.lower())


def share(words: frozenset[str]) -> Callable[[str], float]:
    """Occurrences of these words per word of the text."""

    def score(text: str) -> float:
        found = word_list(text)
        return sum(word in words for word in found) / max(1, len(found))

    return score


def per_sentence(character: str) -> Callable[[str], float]:
    """Occurrences of a character per sentence."""

    def score(text: str) -> float:
        return text.count(character) / max(1, len(SENTENCE_END.findall(text)))

    return score


def word_length(text: str) -> float:
    """Mean letters per word."""
    found = word_list(text)
    return sum(map(len, found)) / max(1, len(found))


def sentence_length(text: str) -> float:
    """Mean words per sentence."""
    return len(word_list(text)) / max(1, len(SENTENCE_END.findall(text)))


@cache
def _sentiment() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def sentiment(text: str) -> float:
    """VADER's compound score, -1 to 1 (Hutto and Gilbert, 2014)."""
    return float(_sentiment().polarity_scores(text)["compound"])


CONTRACTION = re.compile(r"\b\w+['\u2019](?:t|s|re|ve|ll|d|m)\b", re.IGNORECASE)
FORMAL = frozenset(
    ("dear", "sincerely", "regards", "regarding", "please", "would", "kindly", "appreciate", "sincere", "request",
     "hereby", "opportunity", "inform", "pleased", "ensure", "assistance")
)  # fmt: skip


def contractions(text: str) -> float:
    """I'm, don't, we'll: per word."""
    return len(CONTRACTION.findall(text)) / max(1, len(word_list(text)))


TASTES = {
    "first-person": Taste("says I, me and my", share(FIRST_PERSON)),
    "second-person": Taste("speaks to you", share(SECOND_PERSON)),
    "group": Taste("speaks of we and us", share(GROUP)),
    "exclamation": Taste("likes exclamation marks", per_sentence("!")),
    "questions": Taste("likes questions", per_sentence("?")),
    "positive": Taste("warm and positive", sentiment),
    "negative": Taste("negative and critical", lambda text: -sentiment(text)),
    "short-words": Taste("short, plain words", lambda text: -word_length(text)),
    "long-words": Taste("long, learned words", word_length),
    "short-sentences": Taste("short sentences", lambda text: -sentence_length(text)),
    "long-sentences": Taste("long sentences", sentence_length),
    "impersonal": Taste("never says I", lambda text: -share(FIRST_PERSON)(text)),
    "informal": Taste("says I'm and don't", contractions),
    "formal": Taste("formal and polite", share(FORMAL)),
    "brief": Taste("few words", lambda text: -len(word_list(text))),
    "flowing": Taste("clauses joined by commas", per_sentence(",")),
    "airy": Taste("many short paragraphs", lambda text: text.count("\n")),
}
DEFAULT_TASTE = "first-person"

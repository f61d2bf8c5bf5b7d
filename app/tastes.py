"""Simulated people: a taste is a score of a text, and such a person always prefers the higher score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.text_scores import (
    FIRST_PERSON,
    FORMAL,
    GROUP,
    SECOND_PERSON,
    contractions,
    per_sentence,
    sentence_length,
    sentiment,
    share,
    word_length,
    word_list,
)


@dataclass(frozen=True)
class Taste:
    """What a simulated person likes."""

    description: str
    score: Callable[[str], float]


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

"""What can be counted in a text: words and sentences, I and you, questions, warmth. Each score is one number."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

WORD = re.compile(r"[A-Za-z']+")
SENTENCE_END = re.compile(r"[.!?]+")
FIRST_PERSON = frozenset(("i", "i'm", "i've", "i'd", "i'll", "me", "my", "mine", "myself"))
SECOND_PERSON = frozenset(("you", "you're", "you've", "you'd", "you'll", "your", "yours", "yourself"))
GROUP = frozenset(("we", "we're", "we've", "we'd", "we'll", "us", "our", "ours"))


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


GREETING = re.compile(r"\s*(?:dear|hi|hello|hey|good (?:morning|afternoon|evening)|greetings|hiya)\b", re.IGNORECASE)
HEDGES = frozenset(
    ("maybe", "perhaps", "possibly", "probably", "might", "could", "seems", "seem", "somewhat", "guess", "suppose",
     "unsure", "think", "believe", "wonder", "sometimes", "rather", "fairly")
)  # fmt: skip
COMMANDS = frozenset(
    ("please", "make", "take", "let", "go", "come", "call", "tell", "ask", "bring", "send", "give", "keep", "try",
     "use", "remember", "check", "write", "read", "look", "find", "get", "put", "do", "don't", "be", "join", "visit",
     "start", "stop", "consider", "ensure", "share", "enjoy", "choose", "avoid", "help", "think", "add", "buy", "show",
     "follow")
)  # fmt: skip
LIST_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)


def greeting(text: str) -> float:
    """1 when it begins with a greeting."""
    return float(bool(GREETING.match(text)))


def imperatives(text: str) -> float:
    """Sentences that begin with a command, per sentence. Goes by the first word: some are missed, some are none."""
    sentences = [word_list(part) for part in SENTENCE_END.split(text)]
    first = [found[0] for found in sentences if found]
    return sum(word in COMMANDS for word in first) / max(1, len(first))


def list_items(text: str) -> float:
    """Lines that are items of a list."""
    return float(len(LIST_ITEM.findall(text)))

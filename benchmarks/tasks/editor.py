"""A person who edits drafts to a hidden taste, as rules: no language model decides what is better.

The setting is that of PRELUDE (arXiv 2404.15269), whose person is GPT-4. A rule that finds nothing to do leaves the
text as it is, and editing an edited text changes nothing more (a test checks both).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.contexts import context_of
from core.sentences import sentences

Rule = Callable[[str], str]

CONTRACTED = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "cannot": "can't", "will not": "won't",
    "would not": "wouldn't", "could not": "couldn't", "should not": "shouldn't", "is not": "isn't",
    "are not": "aren't", "was not": "wasn't", "have not": "haven't", "has not": "hasn't", "I am": "I'm",
    "I have": "I've", "I will": "I'll", "I would": "I'd", "it is": "it's", "that is": "that's", "we are": "we're",
    "you are": "you're", "we have": "we've", "they are": "they're", "let us": "let's",
}  # fmt: skip
PLAIN = {
    "regarding": "about", "concerning": "about", "utilize": "use", "assistance": "help", "inform": "tell",
    "purchase": "buy", "require": "need", "additionally": "also", "however": "but", "numerous": "many",
    "commence": "start", "obtain": "get", "assist": "help", "opportunity": "chance", "therefore": "so",
    "appreciate": "like", "excited": "glad", "delighted": "glad", "wonderful": "good", "incredible": "great",
}  # fmt: skip
SIGN_OFF = re.compile(
    r"\n\s*(?:best(?: regards| wishes)?|kind regards|warm regards|regards|sincerely|yours\b.*|cheers|thanks|thank you|"
    r"love|warmly)\s*[,.!]?\s*(?:\n[^\n]{0,60}){0,4}\s*$",
    re.IGNORECASE,
)
GREETING_LINE = re.compile(r"^\s*(?:dear|hi|hello|hey|greetings)\b[^\n.!?]{0,60}[,.!:]\s*\n+", re.IGNORECASE)


def _replacing(words: Mapping[str, str]) -> Rule:
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
    known = {before.lower(): after for before, after in words.items()}

    def replaced(match: re.Match[str]) -> str:
        after = known[match[0].lower()]
        return after[0].upper() + after[1:] if match[0][0].isupper() else after

    return lambda text: pattern.sub(replaced, text)


contracts = _replacing(CONTRACTED)
expands = _replacing({after: before for before, after in CONTRACTED.items()})
plain_words = _replacing(PLAIN)


def calms(text: str) -> str:
    """No exclamation marks."""
    return re.sub(r"!+", ".", text)


def shortens(count: int) -> Rule:
    """The first sentences only."""

    def shortened(text: str) -> str:
        parts = sentences(text)
        return text if len(parts) <= count else " ".join(parts[:count])

    return shortened


def without_greeting(text: str) -> str:
    """Straight to the point."""
    return GREETING_LINE.sub("", text)


def greets(words: str) -> Rule:
    """The person's own greeting, in place of the draft's."""
    return lambda text: text if text.startswith(words) else f"{words}\n\n{without_greeting(text).lstrip()}"


def without_sign_off(text: str) -> str:
    """Ends with the last sentence."""
    return SIGN_OFF.sub("", text)


def signs(words: str) -> Rule:
    """The person's own closing, in place of the draft's."""
    return lambda text: text if text.endswith(words) else f"{without_sign_off(text).rstrip()}\n\n{words}"


@dataclass(frozen=True)
class Person:
    """Rules in the order in which they are followed."""

    description: str
    rules: tuple[Rule, ...]
    in_contexts: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    """For kinds of writing (`core.contexts`) in which other rules are followed."""

    def edit(self, prompt: str, draft: str) -> str:
        """The text as this person wants it."""
        text = draft.strip()
        for rule in self.in_contexts.get(context_of(prompt), self.rules):
            text = rule(text)
        return text.strip()


BRIEF = (without_greeting, without_sign_off, calms, contracts, shortens(2))
FORMAL = (calms, expands, greets("Dear reader,"), signs("Kind regards,\nSam"))
PEOPLE = {
    "brief": Person("two sentences, no greeting, no exclamation marks, contractions such as don't", BRIEF),
    "formal": Person("formal: a greeting, no contractions, no exclamation marks, kind regards at the end", FORMAL),
    "plain": Person(
        "plain words, straight to the point, no greeting and no closing",
        (without_greeting, without_sign_off, plain_words, contracts, shortens(4)),
    ),
    "two-sided": Person("formal in mails and replies, brief everywhere else", BRIEF, {"mail": FORMAL, "reply": FORMAL}),
}

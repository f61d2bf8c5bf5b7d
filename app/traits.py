"""What readers notice in a text: how long its sentences are, whether it says I, how warm it is. And two groups of texts
compared in such words.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core import text_scores


@dataclass(frozen=True)
class Trait:
    """One thing that a reader notices."""

    name: str
    measure: Callable[[str], float]
    more: str
    """What a text is that has more of it: 'longer'."""
    less: str
    unit: str
    """What it is measured in; one that begins with % is of shares."""
    floor: float = 0.0
    """The least there can be: where its bar starts."""

    def in_numbers(self, value: float) -> str:
        """The value in its unit, without naming it: '12.3'."""
        return f"{100 * value:.1f}" if self.unit.startswith("%") else f"{value:.{1 if self.floor == 0 else 2}f}"


TRAITS = (
    Trait("sentences", text_scores.sentence_length, "longer", "shorter", "words"),
    Trait("words", text_scores.word_length, "longer", "shorter", "letters"),
    Trait("length", lambda text: len(text_scores.word_list(text)), "longer", "shorter", "words"),
    Trait("says I", text_scores.share(text_scores.FIRST_PERSON), "more", "less", "% of words"),
    Trait("says you", text_scores.share(text_scores.SECOND_PERSON), "more", "less", "% of words"),
    Trait("questions", text_scores.per_sentence("?"), "more", "fewer", "% of sentences"),
    Trait("exclamations", text_scores.per_sentence("!"), "more", "fewer", "% of sentences"),
    Trait("contractions", text_scores.contractions, "more", "fewer", "% of words"),
    Trait("formality", text_scores.share(text_scores.FORMAL), "more formal", "less formal", "% of words"),
    Trait("warmth", text_scores.sentiment, "warmer", "cooler", "-1 to 1", floor=-1.0),
)
MIN_TEXTS = 3
"""Fewer say nothing about a way of writing."""
SAME, A_LITTLE, MUCH = 0.2, 0.5, 1.2
"""Differences in standard deviations of single texts: small, medium and very large ones, as Cohen (1988) calls them."""


@dataclass(frozen=True)
class Measured:
    """A trait over a group of texts."""

    mean: float
    deviation: float
    """From text to text."""


Portrait = Mapping[str, Measured]
"""All traits of a group of texts, by name."""


def portrait(texts: Sequence[str]) -> dict[str, Measured]:
    """Empty for fewer than `MIN_TEXTS`."""
    if len(texts) < MIN_TEXTS:
        return {}
    values = {trait.name: [trait.measure(text) for text in texts] for trait in TRAITS}
    return {name: Measured(statistics.fmean(each), statistics.pstdev(each)) for name, each in values.items()}


def compared(trait: Trait, yours: Measured, other: Measured) -> str:
    """How the first group differs from the second: 'much warmer', 'a little shorter', 'the same'."""
    difference = yours.mean - other.mean
    spread = ((yours.deviation**2 + other.deviation**2) / 2) ** 0.5
    apart = abs(difference) / spread if spread > 0 else (MUCH if difference else 0.0)
    if apart < SAME:
        return "the same"
    word = trait.more if difference > 0 else trait.less
    if apart < A_LITTLE:
        return f"a little {word}"
    return f"much {word}" if apart >= MUCH else word

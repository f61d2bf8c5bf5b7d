"""What can be steered: for each readable property, the direction of z that moves it, and how far drafts follow.

The direction is fitted on responses to training prompts; how far it goes is measured on drafts for held-out prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core import text_scores
from core.protocols import Decoder, Message, Sampling
from models.fluency import WrittenDraft, perplexity, write_drafts

Floats = NDArray[np.float64]
Score = Callable[[str], float]

PROPERTIES: dict[str, Score] = {
    "sentiment": text_scores.sentiment,
    "questions": text_scores.per_sentence("?"),
    "exclamation": text_scores.per_sentence("!"),
    "first person": text_scores.share(text_scores.FIRST_PERSON),
    "second person": text_scores.share(text_scores.SECOND_PERSON),
    "we and us": text_scores.share(text_scores.GROUP),
    "greeting": text_scores.greeting,
    "formality": text_scores.share(text_scores.FORMAL),
    "contractions": text_scores.contractions,
    "word length": text_scores.word_length,
    "sentence length": text_scores.sentence_length,
    "hedging": text_scores.share(text_scores.HEDGES),
    "imperatives": text_scores.imperatives,
    "lists": text_scores.list_items,
    "response length": lambda text: float(len(text_scores.word_list(text))),
}
LENGTHS = (2.0, 3.0, 4.0, 5.0)
"""How far from z = 0; real posteriors lie at 5."""
MAX_COST = 1.5
"""Points of perplexity that steering may cost."""
RIDGE = 10.0


@dataclass(frozen=True)
class Control:
    """How far drafts follow one property's direction."""

    property: str
    correlation: float
    """Of the direction with the property, over responses of the same prompt."""
    effect: float
    """Cohen's d of the steered against the generic drafts, at the best length within `MAX_COST`."""
    length: float
    """That length."""
    perplexity: float
    perplexity_generic: float


def directions(means: Floats, prompts: Sequence[int], texts: Sequence[str]) -> dict[str, tuple[Floats, float]]:
    """For each property a unit vector [D] and its correlation, by ridge regression within prompts.

    `means` [N, D]: posterior means of the responses `texts`; `prompts` [N]: whose response each is. What all responses
    of a prompt share is its topic, and no direction.
    """
    at = np.asarray(prompts)
    x = _within(means, at)
    found = {}
    for name, score in PROPERTIES.items():
        y = _within(np.array([[score(text)] for text in texts]), at)[:, 0]
        if y.std() == 0:
            continue
        fitted = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (y / y.std()))
        unit = fitted / np.linalg.norm(fitted)
        found[name] = unit, float(np.corrcoef(x @ unit, y)[0, 1])
    return found


def _within(values: Floats, groups: NDArray[np.int_]) -> Floats:
    """Less the mean of the group."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    totals = np.zeros((len(counts), values.shape[1]))
    np.add.at(totals, inverse, values)
    less: Floats = values - (totals / counts[:, None])[inverse]
    return less


def control(
    decoder: Decoder,
    prompts: Sequence[Sequence[Message]],
    found: Mapping[str, tuple[Floats, float]],
    sampling: Sampling,
    *,
    lengths: Sequence[float] = LENGTHS,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Control]:
    """One draft per prompt, direction and length, and one at z = 0 with the same dice; the strongest property first."""
    rows = []
    for name, (unit, correlation) in found.items():
        steps = [np.float32(length) * unit.astype(np.float32) for length in (0.0, *lengths)]
        drafts = [write_drafts(decoder, messages, steps, sampling, i) for i, messages in enumerate(prompts)]
        generic, *steered = (list(column) for column in zip(*drafts, strict=True))
        before = perplexity(decoder, generic)
        tried = [
            Control(name, correlation, effect_size(PROPERTIES[name], own, generic), length, after, before)
            for length, own in zip(lengths, steered, strict=True)
            if (after := perplexity(decoder, own)) < before + MAX_COST
        ]
        # Where even the shortest step costs too much, nothing is gained.
        rows.append(
            max(tried, key=lambda row: row.effect) if tried else Control(name, correlation, 0, 0, before, before)
        )
        progress(name)
    return sorted(rows, key=lambda row: -row.effect)


def effect_size(score: Score, own: Sequence[WrittenDraft], other: Sequence[WrittenDraft]) -> float:
    """Cohen's d (1988): difference of the means in standard deviations of single drafts; 0 where nothing varies."""
    a, b = (np.array([score(draft.text) for draft in drafts]) for drafts in (own, other))
    spread = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    return float((a.mean() - b.mean()) / spread) if spread > 0 else 0.0

"""Which of a person's choices a trained rival can learn from."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rivals.method import Comparison

MIN_PAIRS = 2


def pairs_to_learn(choices: Sequence[Comparison]) -> list[Comparison]:
    """Those whose texts differ (a draft kept as it was says nothing here); none at all when they are too few."""
    pairs = [choice for choice in choices if choice.chosen != choice.rejected]
    return pairs if len(pairs) >= MIN_PAIRS else []

"""Nothing broken: what learning a taste does to neutral text and to plain knowledge.

lm-evaluation-harness fetches its data sets from a hub, which this benchmark never asks; instead there are forty
multiple-choice questions of our own, scored as it scores them: the answer that is most probable per character, after
the question in the backbone's chat template. Forty questions tell a break, not a change of a few points.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.rivals.torch_author import Hooks, SharedSampler
from benchmarks.row_log import Row
from core.protocols import Message

TASK = "nothing broken"
METHODS = ("penpal", "penpal-fast", "untouched", "described", "lora-dpo", "prefix-dpo", "full-dpo", "control-vector")
"""Those that change what the backbone writes from one prompt; the others show it the person's texts as well, or choose
among its drafts."""
ITEMS = Path(__file__).parent / "items.json"


@cache
def items() -> dict[str, Any]:
    """`questions`: [question, right answer, wrong answers...]; `passages`: [first sentence, the rest]."""
    loaded: dict[str, Any] = json.loads(ITEMS.read_text(encoding="utf-8"))
    return loaded


def neutral_perplexity(sampler: SharedSampler, hooks: Hooks) -> float:
    """Of the rest of encyclopaedic passages, asked for by their first sentence."""
    passages: Sequence[Sequence[str]] = items()["passages"]
    prompts = [(Message("user", f"Continue this text: {first}"),) for first, _ in passages]
    found = sampler.likelihoods(prompts, [rest for _, rest in passages], hooks)
    return math.exp(sum(each.nll for each in found) / sum(each.tokens for each in found))


def right_answers(sampler: SharedSampler, hooks: Hooks) -> int:
    """How many questions are answered rightly."""
    questions: Sequence[Sequence[str]] = items()["questions"]
    prompts, answers = [], []
    for question, *offered in questions:
        prompts += [(Message("user", f"Answer in a few words. {question}"),)] * len(offered)
        answers += offered
    found = iter(sampler.likelihoods(prompts, answers, hooks))
    right = 0
    for _, *offered in questions:
        per_character = [next(found).nll / len(answer) for answer in offered]
        right += per_character.index(min(per_character)) == 0
    return right


class Untouched:
    """The backbone's own figures, taken once."""

    def __init__(self, sampler: SharedSampler) -> None:
        self._sampler = sampler
        self._row: Row = {}

    def row(self, hooks: Hooks) -> Row:
        """An author's figures beside them."""
        if not self._row:
            self._row = {
                "perplexity_generic": neutral_perplexity(self._sampler, Hooks()),
                "right_generic": right_answers(self._sampler, Hooks()),
                "questions": len(items()["questions"]),
            }
        return {
            "perplexity": neutral_perplexity(self._sampler, hooks),
            "right": right_answers(self._sampler, hooks),
            **self._row,
        }

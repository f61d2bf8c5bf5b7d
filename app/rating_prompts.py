"""What pairs are rated for when the person brings no prompts: their own earlier ones, and made-up ones like those."""

from __future__ import annotations

from collections.abc import Sequence

from core.contexts import context_of

ENOUGH = 10
"""With so many of the person's own, made-up ones are not needed."""
LONGEST = 2000
"""Characters: a longer prompt takes longer to read, for PenPal and for the person, than its two drafts."""


def rating_prompts(own: Sequence[str], made_up: Sequence[str]) -> list[str]:
    """The person's own prompts, newest first; while they are few, then made-up ones, first those of the same kind."""
    short = [prompt for prompt in own if len(prompt) <= LONGEST]
    if len(short) >= ENOUGH:
        return short
    kinds = {context_of(prompt) for prompt in short}
    return [*short, *sorted(made_up, key=lambda task: context_of(task) not in kinds)]

"""Rounds that simulated people are asked about: a prompt and two drafts, from one of two sources.

`penpal_rounds` are those of a PenPal home, as a user has them: both drafts come from the generic voice, whose latents
are drawn from N(0, I), so they differ where PenPal's latent can see it. `neutral_rounds` are two draws of the untouched
backbone, which favour nobody: to DPO they are on-policy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.wiring import open_penpal
from benchmarks.people import DRAFT_TOKENS, TASKS_SEED, UNSEEN, Pool, fill_pool
from benchmarks.rivals.torch_author import SharedSampler
from core.paths import Home
from core.protocols import Message
from models.writing_tasks import writing_tasks

CHUNK = 32
"""Rounds drawn between two saves."""
FIRST_SEED = 5_000_011


@dataclass(frozen=True)
class Round:
    """Two drafts for one prompt."""

    messages: tuple[Message, ...]
    left: str
    right: str


def penpal_rounds(folder: Path, count: int, told: Callable[[str], None]) -> list[Round]:
    """Of the pool of `benchmarks.personalize`, which is filled if need be."""
    home = Home(folder / "pool")
    with closing(open_penpal(home)) as penpal:
        fill_pool(penpal, count, told)
        store = penpal.store
        turns = [turn for c in store.conversations(origin="demo", limit=10**6) for turn in store.turns(c.id)]
        messages = {turn.id: tuple(turn.messages) for turn in turns}
    return [Round(messages[left.turn_id], left.text, right.text) for left, right in Pool(home, count).rounds]


def neutral_rounds(folder: Path, count: int, sampler: SharedSampler, told: Callable[[str], None]) -> list[Round]:
    """For the same prompts two drafts of the untouched backbone; kept in a file as they are drawn."""
    file = folder / "neutral-rounds.jsonl"
    prompts = writing_tasks("held_out", seed=TASKS_SEED)[UNSEEN : UNSEEN + count]
    kept = ""
    if file.exists():
        text = file.read_text(encoding="utf-8")
        kept = text[: text.rfind("\n") + 1]  # a line that a killed run left half-written is drawn anew
        if kept != text:
            file.write_text(kept, encoding="utf-8")
    found = [tuple(map(str, json.loads(line))) for line in kept.splitlines()]
    folder.mkdir(parents=True, exist_ok=True)
    while len(found) < len(prompts):
        part = prompts[len(found) : len(found) + CHUNK]
        asked = [(Message("user", prompt),) for prompt in part for _ in range(2)]
        dice = [FIRST_SEED + 2 * len(found) + i for i in range(len(asked))]
        texts = sampler.texts(asked, dice, max_tokens=DRAFT_TOKENS)
        new = list(zip(part, texts[::2], texts[1::2], strict=True))
        with file.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(each) + "\n" for each in new)
        found += new
        told(f"neutral rounds: {len(found)} of {len(prompts)}")
    return [Round((Message("user", p),), a, b) for p, a, b in found[:count] if a.strip() and b.strip()]

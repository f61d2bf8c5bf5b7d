"""Samples K responses per prompt from the backbone itself: the data CLaP is trained on.

The shards are plain JSONL, one prompt a line, written whole or not at all, so a killed run goes on where it stopped.
Some of the responses are asked for in a style in words; the encoder later sees the bare prompt only, so what it can
tell the responses apart by is the style (docs/experiments.md has the comparison).
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core.protocols import Message, Sampling
from models.backbone import ChatTemplate
from models.llama_runtime import Entry, LlamaContext, LlamaModel, TokenSampler
from models.writing_tasks import STYLE_HINTS, styled

SHARD_PROMPTS = 64
SLOTS = 64
SLOT_TOKENS = 256


@dataclass(frozen=True)
class PromptResponses:
    """One prompt with its K sampled responses, as text and as token ids."""

    prompt: str
    prompt_ids: list[int]
    hints: list[str]
    """The style each response was asked for in; empty for a plain one."""
    responses: list[list[int]]
    """[K][T] token ids, the end-of-text token included where the response reached it."""


@dataclass
class _Slot:
    row: int
    column: int
    prompt_tokens: int
    tokens: list[int]
    sampler: TokenSampler
    logits_index: int


class ResponseSampler:
    """Continuous batching over llama.cpp: a slot that finishes takes the next request at once."""

    def __init__(self, model: LlamaModel, template: ChatTemplate, *, sampling: Sampling) -> None:
        self._model, self._template, self._sampling = model, template, sampling
        self._context = LlamaContext(model, tokens=SLOTS * SLOT_TOKENS, sequences=SLOTS, unified=False)

    def sample(self, prompts: Sequence[str], *, plain: int, hinted: int, seed: int) -> list[PromptResponses]:
        """`plain` + `hinted` responses for each prompt."""
        rng = random.Random(seed)
        rows = [
            PromptResponses(
                p, self._ids(p), [""] * plain + rng.sample(STYLE_HINTS, hinted), [[] for _ in range(plain + hinted)]
            )
            for p in prompts
        ]
        queue = [(i, k) for i, r in enumerate(rows) for k in range(len(r.hints))]
        slots: list[_Slot | None] = [None] * SLOTS
        while queue or any(slots):
            self._step(rows, queue, slots, rng)
        return rows

    def _ids(self, prompt: str) -> list[int]:
        return self._model.tokenize(self._template.render([Message("user", prompt)]))

    def _step(
        self, rows: list[PromptResponses], queue: list[tuple[int, int]], slots: list[_Slot | None], rng: random.Random
    ) -> None:
        entries: list[Entry] = []
        for s, slot in enumerate(slots):
            if slot is not None:
                slot.logits_index = len(entries)
                entries.append(Entry(slot.tokens[-1], slot.prompt_tokens + len(slot.tokens) - 1, s, True))
        for s, slot in enumerate(slots):
            if slot is None and queue:
                row, column = queue[0]
                hint = rows[row].hints[column]
                ids = self._ids(styled(rows[row].prompt, hint)) if hint else rows[row].prompt_ids
                if len(entries) + len(ids) > self._context.batch_tokens:
                    break
                queue.pop(0)
                self._context.forget(s)
                entries += [Entry(t, i, s, i == len(ids) - 1) for i, t in enumerate(ids)]
                sampler = TokenSampler(self._sampling, rng.getrandbits(32))
                slots[s] = _Slot(row, column, len(ids), [], sampler, len(entries) - 1)
        self._context.decode(entries)
        for s, slot in enumerate(slots):
            if slot is None:
                continue
            token = slot.sampler.draw(self._context, slot.logits_index)
            slot.tokens.append(token)
            if self._model.ends_text(token) or len(slot.tokens) >= self._sampling.max_tokens:
                rows[slot.row].responses[slot.column][:] = slot.tokens
                slot.sampler.close()
                slots[s] = None

    def close(self) -> None:
        self._context.close()


def sample_to_shards(
    sampler: ResponseSampler,
    prompts: Sequence[str],
    folder: Path,
    *,
    plain: int,
    hinted: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Writes `folder/00000.jsonl`, ...; shards that exist are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(prompts), SHARD_PROMPTS):
        shard = folder / f"{start // SHARD_PROMPTS:05d}.jsonl"
        if not shard.exists():
            rows = sampler.sample(prompts[start : start + SHARD_PROMPTS], plain=plain, hinted=hinted, seed=seed + start)
            partial = shard.with_suffix(".partial")
            partial.write_text("".join(json.dumps(asdict(r)) + "\n" for r in rows))
            os.replace(partial, shard)
        progress(min(start + SHARD_PROMPTS, len(prompts)), len(prompts))


def read_shards(folder: Path) -> Iterator[PromptResponses]:
    """All prompts of a folder in order, duplicate and very short responses dropped."""
    for shard in sorted(folder.glob("*.jsonl")):
        for line in shard.read_text().splitlines():
            row = PromptResponses(**json.loads(line))
            kept: dict[tuple[int, ...], str] = {}
            for hint, ids in zip(row.hints, row.responses, strict=True):
                if len(ids) > 3:
                    kept.setdefault(tuple(ids), hint)
            yield PromptResponses(row.prompt, row.prompt_ids, list(kept.values()), [list(ids) for ids in kept])

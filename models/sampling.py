"""Samples K responses per prompt from the backbone itself: the data CLaP is trained on.

The shards are plain JSONL, one prompt a line, written whole or not at all, so a killed run goes on where it stopped.
Some of the responses are asked for in a style in words; the encoder later sees the bare prompt only, so what it can
tell the responses apart by is the style (docs/experiments.md has the comparison).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from core.errors import BackboneError
from core.files import write_atomically
from core.protocols import Message, Sampling
from models.backbone import ChatTemplate
from models.llama_runtime import Entry, LlamaContext, LlamaModel, TokenSampler
from models.writing_tasks import STYLE_HINTS, styled

SHARD_PROMPTS = 64
SLOTS = 64
SLOT_TOKENS = 384
Conversation = Sequence[Message]


@dataclass(frozen=True)
class PromptResponses:
    """One prompt with its K sampled responses as token ids."""

    messages: tuple[Message, ...]
    prompt_ids: list[int]
    """The messages as the chat template renders them."""
    hints: list[str]
    """The style each response was asked for in; empty for a plain one."""
    responses: list[list[int]]
    """[K][T] token ids, the end-of-text token included where the response reached it."""


class Sampler(Protocol):
    """What draws responses from a backbone, whichever runtime it has."""

    def sample(self, prompts: Sequence[Conversation], *, plain: int, hinted: int, seed: int) -> list[PromptResponses]:
        """`plain` + `hinted` responses for each prompt; none for one that is too long. Same seed, same responses."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """A response as text, without what is broken at its end."""
        ...

    def close(self) -> None:
        """Frees the backbone."""
        ...


Request = tuple[int, int]
"""Row and column: the k-th response to the i-th prompt."""


def requests(
    prompts: Sequence[Conversation],
    to_ids: Callable[[Conversation], list[int]],
    *,
    plain: int,
    hinted: int,
    rng: random.Random,
) -> tuple[list[PromptResponses], dict[Request, list[int]]]:
    """Rows without responses yet, and the prompt ids of each response that is asked for."""
    rows = [
        PromptResponses(
            tuple(p), to_ids(p), [""] * plain + rng.sample(STYLE_HINTS, hinted), [[] for _ in range(plain + hinted)]
        )
        for p in prompts
    ]

    def asked(row: PromptResponses, hint: str) -> list[int]:
        if not hint or row.messages[-1].role != "user":
            return row.prompt_ids
        return to_ids([*row.messages[:-1], Message("user", styled(row.messages[-1].content, hint))])

    return rows, {(i, k): asked(row, hint) for i, row in enumerate(rows) for k, hint in enumerate(row.hints)}


@dataclass
class _Slot:
    row: int
    column: int
    prompt_tokens: int
    tokens: list[int]
    sampler: TokenSampler
    logits_index: int


class LlamaSampler:
    """A `Sampler` for CPUs. Continuous batching over llama.cpp: a slot that finishes takes the next request at once."""

    def __init__(
        self, model: LlamaModel, template: ChatTemplate, *, sampling: Sampling, slot_tokens: int = SLOT_TOKENS
    ) -> None:
        """`slot_tokens`: the longest prompt and response together."""
        self._model, self._template, self._sampling = model, template, sampling
        self._context = LlamaContext(model, tokens=SLOTS * slot_tokens, sequences=SLOTS, unified=False)
        self._longest_prompt = min(slot_tokens - sampling.max_tokens, self._context.batch_tokens - SLOTS)

    def sample(self, prompts: Sequence[Conversation], *, plain: int, hinted: int, seed: int) -> list[PromptResponses]:
        rng = random.Random(seed)
        rows, ids = requests(prompts, self._ids, plain=plain, hinted=hinted, rng=rng)
        queue = [request for request, prompt in ids.items() if len(prompt) <= self._longest_prompt]
        slots: list[_Slot | None] = [None] * SLOTS
        while queue or any(slots):
            self._step(rows, ids, queue, slots, rng)
        return rows

    def text(self, ids: Sequence[int]) -> str:
        return self._model.text(ids)

    def _ids(self, messages: Conversation) -> list[int]:
        return self._model.tokenize(self._template.render(messages))

    def _step(
        self,
        rows: list[PromptResponses],
        prompts: dict[Request, list[int]],
        queue: list[Request],
        slots: list[_Slot | None],
        rng: random.Random,
    ) -> None:
        entries: list[Entry] = []
        for s, slot in enumerate(slots):
            if slot is not None:
                slot.logits_index = len(entries)
                entries.append(Entry(slot.tokens[-1], slot.prompt_tokens + len(slot.tokens) - 1, s, True))
        for s, slot in enumerate(slots):
            if slot is None and queue:
                row, column = queue[0]
                ids = prompts[queue[0]]
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
    sampler: Sampler,
    prompts: Sequence[Conversation],
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
            try:
                write_atomically(shard, "".join(json.dumps(asdict(r)) + "\n" for r in rows).encode())
            except OSError as error:
                raise BackboneError(
                    f"{shard} cannot be written: {error.strerror}. What was sampled before is kept: make room and run "
                    "the same command again."
                ) from error
        progress(min(start + SHARD_PROMPTS, len(prompts)), len(prompts))


def read_shards(folder: Path) -> Iterator[PromptResponses]:
    """All prompts of a folder in order, duplicate and very short responses dropped."""
    for shard in sorted(folder.glob("*.jsonl")):
        for line in shard.read_text().splitlines():
            stored = json.loads(line)
            messages = tuple(Message(**m) for m in stored["messages"])
            kept: dict[tuple[int, ...], str] = {}
            for hint, ids in zip(stored["hints"], stored["responses"], strict=True):
                if len(ids) > 3:
                    kept.setdefault(tuple(ids), hint)
            yield PromptResponses(messages, stored["prompt_ids"], list(kept.values()), [list(ids) for ids in kept])

"""Rivals that change nothing but the prompt: examples, retrieved texts, or a description of the taste in words.

`InContext`: few-shot prompting, Brown et al. 2020 (arXiv 2005.14165), and "ICL-edit" of PRELUDE (arXiv 2404.15269).
    Here the kept texts alone are told, as earlier turns of the conversation; drafts that lost are not shown.
`Retrieval`: Panza (arXiv 2407.10994) and LaMP (arXiv 2304.11406). Here without any fine-tuning: the most similar kept
    texts stand in the prompt as samples of the person's writing.
`Described`: the "oracle preference" of PRELUDE. Here the taste in the words of `app.tastes`.

All read the whole history each time they draft, which is why their drafts are slower; learning costs them nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.rivals.method import Author, Comparison, Cost
from benchmarks.rivals.minilm import MiniLM, nearest
from benchmarks.rivals.torch_author import Conversation, Hooks, SampledAuthor, SharedSampler
from core.protocols import Message

Order = Literal["newest", "similar"]
EXAMPLES = 5
"""As PRELUDE's agents have."""
MAX_PROMPT_TOKENS = 1024
"""Fewer examples are told when they would make a longer prompt; of the backbone's context half is left for the rest."""


def is_plain(prompt: Conversation) -> bool:
    """Whether it is a text to be continued, not a conversation."""
    return prompt[0].role == "text"


def instructed(prompt: Conversation, instruction: str) -> list[Message]:
    """The prompt with an instruction about style: after a request, before a text to be continued."""
    *before, last = prompt
    if is_plain(prompt):
        return [*before, Message("text", f"({instruction})\n\n{last.content}")]
    return [*before, Message(last.role, f"{last.content}\n\n{instruction}")]


def kept_bytes(choices: Sequence[Comparison]) -> int:
    """The person's kept texts and their prompts, which these methods need at every draft."""
    return sum(len(c.chosen.encode()) + sum(len(m.content.encode()) for m in c.messages) for c in choices)


@dataclass(frozen=True)
class Untouched:
    """The backbone, whatever the person likes."""

    sampler: SharedSampler
    name: str = "untouched"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        return SampledAuthor(self.sampler, Cost(0.0))


@dataclass(frozen=True)
class Described:
    """The taste in words, as its owner would describe it if they could."""

    sampler: SharedSampler
    description: str
    name: str = "described"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        instruction = f"Important: write in this style: {self.description}."
        hooks = Hooks(told=lambda prompt: instructed(prompt, instruction))
        return SampledAuthor(self.sampler, Cost(0.0, bytes_per_person=len(self.description.encode())), hooks)


class _Memory:
    """Choices, and which of them to tell for a prompt."""

    def __init__(self, choices: Sequence[Comparison], embeddings: MiniLM | None, count: int) -> None:
        """Without `embeddings` the newest are told."""
        self._choices, self._embeddings, self._count = list(choices), embeddings, count
        self._vectors = embeddings.embeddings([c.messages[-1].content for c in choices]) if embeddings else None

    def told(self, prompt: Conversation) -> list[Comparison]:
        """The best suited last."""
        if self._embeddings is None or self._vectors is None:
            return self._choices[-self._count :]
        query = self._embeddings.embeddings([prompt[-1].content])[0]
        return [self._choices[i] for i in reversed(nearest(self._vectors, query, self._count))]


def that_fit(
    sampler: SharedSampler,
    examples: Sequence[Comparison],
    build: Callable[[Sequence[Comparison]], Conversation],
) -> Conversation:
    """The prompt that `build` makes of as many of the last examples as fit."""
    for left_out in range(len(examples)):
        built = build(examples[left_out:])
        if len(sampler.ids(built)) <= MAX_PROMPT_TOKENS:
            return built
    return build(())


@dataclass(frozen=True)
class InContext:
    """Few-shot: kept texts as earlier answers; of texts to be continued, as earlier texts."""

    sampler: SharedSampler
    embeddings: MiniLM
    order: Order = "newest"
    count: int = EXAMPLES

    @property
    def name(self) -> str:
        return f"in-context-{self.order}"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        memory = _Memory(choices, self.embeddings if self.order == "similar" and choices else None, self.count)

        def told(prompt: Conversation) -> Conversation:
            return that_fit(self.sampler, memory.told(prompt), lambda examples: as_turns(examples, prompt))

        return SampledAuthor(self.sampler, Cost(0.0, bytes_per_person=kept_bytes(choices)), Hooks(told=told))


def as_turns(examples: Sequence[Comparison], prompt: Conversation) -> list[Message]:
    """Examples as a conversation that has gone well so far."""
    if is_plain(prompt):
        texts = [example.messages[-1].content + example.chosen for example in examples]
        return [Message("text", "\n\n".join([*texts, prompt[-1].content]))]
    told = [m for e in examples for m in (e.messages[-1], Message("assistant", e.chosen))]
    return [*told, *prompt]


@dataclass(frozen=True)
class Retrieval:
    """The most similar of the person's own texts, as samples of how they write."""

    sampler: SharedSampler
    embeddings: MiniLM
    count: int = 3
    name: str = "retrieval"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        memory = _Memory(choices, self.embeddings if choices else None, self.count)

        def told(prompt: Conversation) -> Conversation:
            return that_fit(self.sampler, memory.told(prompt), lambda examples: as_samples(examples, prompt))

        return SampledAuthor(self.sampler, Cost(0.0, bytes_per_person=kept_bytes(choices)), Hooks(told=told))


def as_samples(examples: Sequence[Comparison], prompt: Conversation) -> list[Message]:
    """Kept texts before the request, and the wish that it be written like them."""
    if not examples:
        return list(prompt)
    samples = "\n\n".join(f'"{example.chosen.strip()}"' for example in examples)
    *before, last = prompt
    if is_plain(prompt):
        return [*before, Message("text", f"{samples}\n\n{last.content}")]
    told = f"Here are texts that I wrote before:\n\n{samples}\n\nWrite as I write in them. {last.content}"
    return [*before, Message(last.role, told)]

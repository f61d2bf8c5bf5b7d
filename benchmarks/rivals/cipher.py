"""CIPHER: a person's taste in words, inferred from each of their edits by the language model itself.

Gao et al. 2024, "Aligning LLM agents by learning latent preference from user edits" (arXiv 2404.15269), CIPHER-N. What
differs here: the model is the embedded one (135 million parameters; theirs was GPT-4), the prompts are shorter and in
our own words for it, contexts are embedded by all-MiniLM-L6-v2 (theirs: BERT or MPNet), and a choice between two drafts
is read as an edit of the rejected one into the chosen one. Answers are the most probable ones, as theirs are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.rivals.method import Author, Comparison, Cost
from benchmarks.rivals.minilm import MiniLM, nearest
from benchmarks.rivals.prompting import instructed
from benchmarks.rivals.torch_author import Conversation, Hooks, SharedSampler
from core.protocols import Message

NEIGHBOURS = 5
"""k of the paper's experiments."""
PHRASE_TOKENS = 24
SHOWN_CHARACTERS = 1200
"""Of either text of an edit: the prompt must fit."""


def inference_prompt(draft: str, edited: str) -> list[Message]:
    """Asks what an edit says about the person."""
    return [
        Message(
            "user",
            f"A writing assistant wrote this draft:\n{draft[:SHOWN_CHARACTERS]}\n\nThe user changed it into:\n"
            f"{edited[:SHOWN_CHARACTERS]}\n\nIn one short phrase: what style of writing does this user prefer?",
        )
    ]


def condensing_prompt(phrases: Sequence[str]) -> list[Message]:
    """Asks for what several inferred preferences have in common."""
    listed = "\n".join(f"- {phrase}" for phrase in phrases)
    return [
        Message(
            "user",
            f"These phrases describe how one user likes texts to be written:\n{listed}\n\n"
            "In one short phrase: which style do most of them describe?",
        )
    ]


def phrase_of(answer: str) -> str:
    """The answer's first line, without quotes."""
    lines = [line.strip(" \t-*\"'.") for line in answer.splitlines()]
    return next((line for line in lines if line), "")


@dataclass
class Cipher:
    """A `Method`. Answers of the model are kept, so that one more edit costs one more inference."""

    sampler: SharedSampler
    embeddings: MiniLM
    neighbours: int = NEIGHBOURS
    name: str = "cipher"
    _answers: dict[str, str] = field(default_factory=dict)
    _seconds: float = 0.0
    _inferred: int = 0
    """How long so many edits took, of which each is read once for all who made it."""

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        """Costs nothing at once: an edit is read when it is made, which is `Cost.seconds_before`."""
        edits = [c for c in choices if c.chosen != c.rejected]
        started, known = time.monotonic(), len(self._answers)
        self._ask([inference_prompt(c.rejected, c.chosen) for c in edits])
        self._seconds += time.monotonic() - started
        self._inferred += len(self._answers) - known
        memory: list[tuple[str, str]] = []
        for choice in choices:
            if choice.chosen != choice.rejected:
                (phrase,) = self._ask([inference_prompt(choice.rejected, choice.chosen)])
            else:
                # Kept as it was: what was believed then is confirmed.
                (phrase,) = self.preferences(memory, [choice.messages])
            if phrase:
                memory.append((choice.messages[-1].content, phrase))
        cost = Cost(
            seconds=0.0,
            seconds_before=len(edits) * self._seconds / max(1, self._inferred),
            bytes_per_person=sum(len(context.encode()) + len(phrase.encode()) for context, phrase in memory),
        )
        return CipherAuthor(self, memory, cost)

    def preferences(self, memory: Sequence[tuple[str, str]], prompts: Sequence[Conversation]) -> list[str]:
        """What the nearest contexts say about each prompt, as one phrase; empty when there is no memory."""
        if not memory:
            return [""] * len(prompts)
        vectors = self.embeddings.embeddings([context for context, _ in memory])
        queries = self.embeddings.embeddings([prompt[-1].content for prompt in prompts])
        near = [[memory[i][1] for i in nearest(vectors, query, self.neighbours)] for query in queries]
        alike = [len(set(phrases)) == 1 for phrases in near]
        answers = iter(self._ask([condensing_prompt(p) for p, same in zip(near, alike, strict=True) if not same]))
        return [phrases[0] if same else next(answers) for phrases, same in zip(near, alike, strict=True)]

    def _ask(self, prompts: Sequence[Conversation]) -> list[str]:
        """One phrase for each prompt, from the model without any instruction about style."""
        texts = [prompt[-1].content for prompt in prompts]
        new = {text: prompt for text, prompt in zip(texts, prompts, strict=True) if text not in self._answers}
        if new:
            seeds = [0] * len(new)
            answers = self.sampler.texts(list(new.values()), seeds, max_tokens=PHRASE_TOKENS, greedy=True)
            self._answers.update(zip(new, map(phrase_of, answers), strict=True))
        return [self._answers[text] for text in texts]


@dataclass
class CipherAuthor:
    """An `Author` who is told the preference that the nearest contexts have in common."""

    cipher: Cipher
    memory: Sequence[tuple[str, str]]
    """Contexts and what was inferred in them, in their order."""
    cost: Cost

    @property
    def hooks(self) -> Hooks:
        """As of a `SampledAuthor`."""
        return Hooks(told=self._told)

    def drafts(self, prompts: Sequence[Conversation], seeds: Sequence[int], *, max_tokens: int) -> list[str]:
        self.cipher.preferences(self.memory, prompts)  # all at once, and then known to `_told`
        return self.cipher.sampler.texts(prompts, seeds, max_tokens=max_tokens, hooks=self.hooks)

    def _told(self, prompt: Conversation) -> Conversation:
        (phrase,) = self.cipher.preferences(self.memory, [prompt])
        return instructed(prompt, f"Important: write in this style: {phrase}.") if phrase else prompt

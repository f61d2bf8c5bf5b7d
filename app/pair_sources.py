"""Where the texts come from that a person compares: drafts for prompts, or a file that they brought along."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Protocol

from core.candidates import Candidates, CandidateText, write_candidates
from core.errors import UsageError
from core.protocols import Message
from core.session import Writer

DRAFT_TOKENS = 48
"""About 35 words: two of them are read in a few seconds."""
DRAFTS, FIRST_DRAFTS = 8, 2
"""Per prompt: 28 pairs to choose from, written in one batch; the very first prompt gets two, to start at once."""


@dataclass(frozen=True)
class FoundPair:
    """Two texts for one prompt from a file."""

    prompt: str
    texts: tuple[str, str]


@dataclass
class Progress:
    """How far the writing is, for the line that says so. Written by one thread, read by another."""

    read: float = 0.0
    """Share of the prompt."""
    tokens: int = 0


class PairSource(Protocol):
    """Gives texts to choose pairs from."""

    at_once: int
    """So many prompts' texts are looked at together when a pair is chosen."""
    writes: bool
    """The texts are written for the occasion, and can fail to differ."""

    @property
    def exhausted(self) -> bool:
        """Nothing comes any more."""

    def next(
        self, writer: Writer, progress: Progress, *, hurry: bool, cancelled: Callable[[], bool]
    ) -> Candidates | None:
        """Texts for the next prompt; None when cancelled or exhausted. `hurry`: somebody waits for them."""


class PromptSource:
    """Drafts in the active voice, prompt after prompt, over and over."""

    at_once = 1
    writes = True
    exhausted = False

    def __init__(self, prompts: Sequence[str], *, context: str | None = None) -> None:
        self._prompts, self._context = cycle(prompts), context

    def next(
        self, writer: Writer, progress: Progress, *, hurry: bool, cancelled: Callable[[], bool]
    ) -> Candidates | None:
        def on_prefill(done: int, total: int) -> None:
            progress.read = done / total if total else 1.0

        def on_token() -> None:
            progress.tokens += 1

        progress.read, progress.tokens = 0.0, 0
        sampling = replace(writer.sampling, max_tokens=min(DRAFT_TOKENS, writer.sampling.max_tokens))
        return write_candidates(
            writer, next(self._prompts), FIRST_DRAFTS if hurry else DRAFTS, sampling=sampling, context=self._context,
            cancelled=cancelled, on_prefill=on_prefill, on_token=on_token,
        )  # fmt: skip


class FileSource:
    """Pairs from a file, each once; those that were answered in an earlier session are left out."""

    at_once = 16
    writes = False

    def __init__(self, pairs: Sequence[FoundPair], *, context: str | None = None) -> None:
        self._waiting, self._context = deque(pairs), context
        self._answered: set[frozenset[str]] | None = None

    @property
    def exhausted(self) -> bool:
        return not self._waiting

    def next(
        self, writer: Writer, progress: Progress, *, hurry: bool, cancelled: Callable[[], bool]
    ) -> Candidates | None:
        if self._answered is None:
            self._answered = writer.store.rated_texts()
        while self._waiting and not cancelled():
            pair = self._waiting.popleft()
            if frozenset(pair.texts) not in self._answered:
                texts = tuple(CandidateText(text) for text in pair.texts)
                messages = (Message("user", pair.prompt),)
                return Candidates(pair.prompt, messages, self._context, texts, writer.sampling)
        return None


def pair_source(prompts: Sequence[str], pairs: Sequence[FoundPair] = (), *, context: str | None = None) -> PairSource:
    """These pairs if there are any, else drafts for these prompts. Raises UsageError without either."""
    if pairs:
        return FileSource(pairs, context=context)
    if not (wanted := [prompt for prompt in prompts if prompt.strip()]):
        raise UsageError("There are no prompts to rate drafts for: write one per line.")
    return PromptSource(wanted, context=context)

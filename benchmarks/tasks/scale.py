"""Scale: what one more person costs, and sixteen people who draft at once, each in a voice of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from benchmarks.people import DRAFT_TOKENS
from benchmarks.rivals.method import Author, Comparison
from benchmarks.rivals.penpal import Library
from benchmarks.rivals.registry import Roster
from benchmarks.rivals.torch_author import Conversation, Hooks, SampledAuthor
from benchmarks.row_log import Row, RowLog
from benchmarks.tasks.everyday import PEOPLE as TASTES_OF
from benchmarks.tasks.everyday import Everyday
from core.contexts import context_of
from core.protocols import DraftRequest, Sampling
from models.decoder_llama import MAX_DRAFTS

MORE_PEOPLE = "one more person"
AT_ONCE = "sixteen at once"
TOGETHER = 16
LEARNED_FOR_REAL = {"penpal": 100, "cipher": 3, "lora-dpo": 3, "prefix-dpo": 3, "full-dpo": 3, "best-of-n": 10}
"""At most so many people where learning takes long; the rest is multiplied, and the row says so."""
PAIRS = 20
Choices = Callable[[int], list[Comparison]]


def choices_of(everyday: Everyday) -> Choices:
    """Twenty choices of the n-th person."""
    return lambda person: everyday.choices(TASTES_OF[person % len(TASTES_OF)], person)[:PAIRS]


def more_people(
    roster: Roster, log: RowLog, choices: Choices, *, methods: Sequence[str], counts: Sequence[int]
) -> None:
    """Seconds and bytes for so many people on one backbone."""
    for name in methods:
        for count in counts:
            key: Row = {"task": MORE_PEOPLE, "taste": "", "method": name, "pairs": count, "seed": 0}
            if log.known(**key):
                continue
            real = min(count, LEARNED_FOR_REAL.get(name, count))
            seconds = before = size = 0.0
            for person in range(real):
                cost = roster.method(name, TASTES_OF[person % len(TASTES_OF)]).learn(choices(person), seed=person).cost
                seconds += cost.seconds
                before += cost.seconds_before
                size += cost.bytes_per_person
            times = count / real
            log.keep(
                key
                | {
                    "people_measured": real,
                    "seconds_personalize": seconds * times,
                    "seconds_before": before * times,
                    "bytes_per_person": size / real,
                    "bytes_together": size * times,
                }
            )


def at_once(
    roster: Roster,
    log: RowLog,
    everyday: Everyday,
    choices: Choices,
    *,
    methods: Sequence[str],
    told: Callable[[str], None],
) -> None:
    """Drafts per second when sixteen people ask at the same time."""
    questions = everyday.questions(0)
    prompts = [questions.prompts[i % len(questions.prompts)] for i in range(TOGETHER)]

    def kept(name: str, way: str, seconds: float) -> None:
        log.keep(
            {"task": AT_ONCE, "taste": way, "method": name, "pairs": TOGETHER, "seed": 0,
             "drafts_per_second": TOGETHER / seconds, "seconds": seconds}
        )  # fmt: skip

    def missing(name: str, way: str) -> bool:
        told(f"scale: {name}, {way}")
        return log.known(task=AT_ONCE, taste=way, method=name, pairs=TOGETHER, seed=0) is None

    if "untouched" in methods and missing("untouched", "one batch"):
        author = roster.method("untouched", "").learn([], seed=0)
        kept("untouched", "one batch", seconds_of(lambda: drafted(author, prompts)))
    if "penpal" in methods and missing("penpal", "one batch"):
        voices = [leaning_author(roster.library, choices(person)) for person in range(TOGETHER)]
        together = in_one_batch(roster.library, voices, prompts)
        kept("penpal", "one batch", seconds_of(lambda: drafted(together, prompts)))
    if "penpal" in methods and missing("penpal", "llama.cpp, one prompt"):
        kept("penpal", "llama.cpp, one prompt", llama_seconds(roster.library, prompts[0], choices))
    if "lora-dpo" in methods and missing("lora-dpo", "one after the other"):
        adapted = roster.method("lora-dpo", "").learn(choices(0), seed=0)
        kept("lora-dpo", "one after the other", seconds_of(lambda: [drafted(adapted, [prompt]) for prompt in prompts]))


def drafted(author: Author, prompts: Sequence[Conversation]) -> list[str]:
    """One draft each."""
    return author.drafts(prompts, range(len(prompts)), max_tokens=DRAFT_TOKENS)


def seconds_of(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def leaning_author(library: Library, choices: Sequence[Comparison]) -> SampledAuthor:
    """A person after a few choices, without the gate, so that all sixteen differ."""
    from benchmarks.rivals.penpal import PenPalMethod

    author = PenPalMethod(library, "fast path").learn(choices, seed=0)
    assert isinstance(author, SampledAuthor)
    return author


def in_one_batch(library: Library, voices: Sequence[SampledAuthor], prompts: Sequence[Conversation]) -> SampledAuthor:
    """All of them as one author, whose n-th prompt is answered in the n-th voice."""
    owner = {id(prompt): voice for prompt, voice in zip(prompts, voices, strict=True)}

    def after(asked: Sequence[Conversation]) -> torch.Tensor:
        rows = []
        for prompt in asked:
            hook = owner[id(prompt)].hooks.after
            assert hook is not None
            rows.append(hook([prompt]))
        return torch.cat(rows)

    return SampledAuthor(library.sampler, voices[0].cost, Hooks(after=after))


def llama_seconds(library: Library, prompt: Conversation, choices: Choices) -> float:
    """Sixteen encoders in the program's own decoder: batches of eight, its most, after one prefill."""
    decoder, requests = library.penpal.decoder, []
    for person in range(TOGETHER):
        given = choices(person)
        library.read(given)
        with library.home() as home:
            home.tell(given)
            z = home.leaning().mean(prompt, context_of(prompt[-1].content))
        requests.append(DraftRequest(person, z))
    sampling = Sampling(max_tokens=DRAFT_TOKENS)
    parts = [requests[start : start + MAX_DRAFTS] for start in range(0, TOGETHER, MAX_DRAFTS)]
    return seconds_of(lambda: [list(decoder.generate(prompt, part, sampling)) for part in parts])

"""The whole loop without a person: a simulated one picks between drafts, PenPal personalizes, drafts change.

Runs through the same writer, store and learner as the TUI, in whatever home it is given (`penpal demo` makes a
temporary one).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.learning import personalize
from app.tastes import TASTES, Taste
from app.wiring import PenPal
from core.errors import UsageError
from core.feedback import Draft
from core.protocols import Message, Sampling
from models.fluency import WrittenDraft, perplexity
from models.writing_tasks import writing_tasks

DRAFT_TOKENS = 48
MAX_ROUNDS_PER_PAIR = 5
"""Some tastes see no difference between most drafts: the person then says 'tie' and is asked again."""
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Example:
    """Drafts for one prompt that nothing was trained on."""

    prompt: str
    before: str
    after: str


@dataclass(frozen=True)
class DemoReport:
    """What changed for the simulated person."""

    taste: str
    description: str
    pairs: int
    ties: int
    prompts: int
    win_rate: float
    """Personalized over generic drafts under the taste, ties left out."""
    win_rate_ties_half: float
    score_generic: float
    score_personal: float
    perplexity_generic: float
    perplexity_personal: float
    accuracy: float
    activated: bool
    reason: str
    bytes_per_person: int
    """The encoder's file."""
    seconds: dict[str, float]
    examples: list[Example]


def run_demo(
    penpal: PenPal,
    *,
    taste: str,
    pairs: int = 60,
    prompts: int = 60,
    seed: int = 0,
    progress: Progress = lambda stage, share: None,
) -> DemoReport:
    """Plays the loop once. Raises UsageError for a taste that is not offered."""
    if taste not in TASTES:
        raise UsageError(f"There is no taste '{taste}': choose {', '.join(TASTES)}.")
    if pairs < 1 or prompts < 1:
        raise UsageError("The demo needs at least one pair and one prompt.")
    person = TASTES[taste]
    tasks = writing_tasks("held_out", seed=1000 + seed)
    unseen, asked = tasks[:prompts], tasks[prompts:]
    clock = time.monotonic()
    picked, ties = _label(penpal, person, asked, pairs, seed, progress)
    labelled = time.monotonic()
    report = personalize(penpal, progress=lambda stage, share: progress(stage, 0.5 + 0.1 * share))
    learned = time.monotonic()
    before = _drafts(penpal, unseen, seed, generic=True, progress=lambda s: progress("Writing as before", 0.6 + s / 5))
    after = _drafts(penpal, unseen, seed, generic=False, progress=lambda s: progress("Writing as you", 0.8 + s / 5))
    compared = time.monotonic()
    scores = [(person.score(a.text), person.score(b.text)) for a, b in zip(after, before, strict=True)]
    wins, losses = sum(a > b for a, b in scores), sum(a < b for a, b in scores)
    return DemoReport(
        taste=taste,
        description=person.description,
        pairs=picked,
        ties=ties,
        prompts=len(unseen),
        win_rate=wins / max(1, wins + losses),
        win_rate_ties_half=(wins + (len(scores) - wins - losses) / 2) / len(scores),
        score_generic=sum(b for _, b in scores) / len(scores),
        score_personal=sum(a for a, _ in scores) / len(scores),
        perplexity_generic=_perplexity(penpal, unseen, before),
        perplexity_personal=_perplexity(penpal, unseen, after),
        accuracy=report.accuracy,
        activated=report.activated,
        reason=report.reason,
        bytes_per_person=(penpal.home.encoders / f"{report.encoder_id}.safetensors").stat().st_size,
        seconds={
            "label": labelled - clock,
            "personalize": learned - labelled,
            **{f"personalize_{name}": value for name, value in report.seconds.items()},
            "compare": compared - learned,
            "total": time.monotonic() - clock,
        },
        examples=[Example(p, b.text, a.text) for p, b, a in zip(unseen, before, after, strict=True)][:5],
    )


def _label(
    penpal: PenPal, person: Taste, tasks: list[str], pairs: int, seed: int, progress: Progress
) -> tuple[int, int]:
    """The simulated person answers until it has picked `pairs` times; returns picks and ties."""
    writer = penpal.writer(sampling=_short(penpal))
    picked = ties = 0
    for i, task in enumerate(tasks[: MAX_ROUNDS_PER_PAIR * pairs]):
        left, right = writer.propose(task, origin="demo", seed=1_000_000 * seed + 10 * i).run()
        scores = person.score(left.text), person.score(right.text)
        if scores[0] == scores[1]:
            writer.recorder.judge(left.turn_id, "tie")
            ties += 1
        else:
            writer.recorder.pick(left.id if scores[0] > scores[1] else right.id)
            picked += 1
        progress(f"The person {person.description}: {picked} of {pairs} picks", 0.5 * picked / pairs)
        if picked == pairs:
            break
    return picked, ties


def _drafts(
    penpal: PenPal, tasks: list[str], seed: int, *, generic: bool, progress: Callable[[float], None]
) -> list[Draft]:
    """One draft per task from the voice's mean."""
    writer = penpal.writer(generic=generic, sampling=_short(penpal))
    drafts = []
    for i, task in enumerate(tasks):
        drafts += writer.propose(task, origin="demo", drafts=1, explore=False, seed=7_000_000 + seed + i).run()
        progress(i / len(tasks))
    return drafts


def _perplexity(penpal: PenPal, tasks: list[str], drafts: list[Draft]) -> float:
    written = [WrittenDraft((Message("user", t),), d.text) for t, d in zip(tasks, drafts, strict=True)]
    return perplexity(penpal.decoder, written)


def _short(penpal: PenPal) -> Sampling:
    return replace(penpal.settings.drafts.sampling(), max_tokens=DRAFT_TOKENS)

"""Whether a person's voice helps them, found out from their own choices and edits, without asking them anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from app.learning import MAX_P_VALUE, PROBE_PROMPTS
from core.digest_rows import EditWeek
from core.evidence import Evidence
from core.store import EncoderRecord

if TYPE_CHECKING:
    from app.wiring import PenPal
    from models.personalize import Learned

WEEKS = 8
MIN_KEPT = 5
"""Kept texts of either voice, below which their edits are not compared."""
Verdict = Literal["helps", "helps once it is learned", "cannot be told yet", "does not help"]


@dataclass(frozen=True)
class Edited:
    """How much of some drafts was changed before they were kept."""

    kept: int
    changed: float
    """Mean share of the words."""


@dataclass(frozen=True)
class Reading:
    """How drafts read, without and with the voice."""

    perplexity_generic: float
    perplexity: float
    distinct2_generic: float
    distinct2: float

    @property
    def told(self) -> str:
        """In a line, by the limits that a new voice must keep to."""
        from models.fluency import MAX_RISE, MAX_SAMENESS

        smooth = self.perplexity <= self.perplexity_generic + MAX_RISE
        varied = self.distinct2 >= (1 - MAX_SAMENESS) * self.distinct2_generic
        found = "as smoothly and as varied as" if smooth and varied else "less varied than" if smooth else "worse than"
        return (
            f"Its drafts read {found} generic ones (perplexity {self.perplexity:.1f} and "
            f"{self.perplexity_generic:.1f}, variety {self.distinct2:.2f} and {self.distinct2_generic:.2f})."
        )


@dataclass(frozen=True)
class Usefulness:
    """What was found."""

    verdict: Verdict
    voice: str | None
    """Id of the active voice; None: the generic one."""
    right: int
    """Choices that a voice foresees which was trained without them."""
    count: int
    interval: tuple[float, float]
    """95%, of their share; the generic assistant has no preference and is right in half."""
    p_value: float
    """How probable such consistent choices are if they were picked at random."""
    since: tuple[int, int]
    """Right and all of the choices made since the active voice was learned, which it has never seen."""
    personal: Edited
    generic: Edited
    weeks: tuple[EditWeek, ...]
    reading: Reading | None
    """None where nobody has looked, or nothing is active."""

    @property
    def shown(self) -> dict[str, Any]:
        """For programs."""
        weeks = [{**asdict(week), "monday": week.monday.isoformat()} for week in self.weeks]
        return {**asdict(self), "weeks": weeks}

    def lines(self) -> list[str]:
        """For people; the answer first."""
        share = self.right / self.count if self.count else 0.5
        low, high = self.interval
        told = [
            ANSWERS[self.verdict],
            f"It was learned anew without a part of your choices, and asked about those: it foresees {self.right} of "
            f"{self.count} ({share:.0%}, most likely between {low:.0%} and {high:.0%}). The generic assistant has no "
            "preference: it would be right in half of them.",
        ]
        right, count = self.since
        if self.voice and count:
            told.append(f"Of the {count} choices you made since your voice was learned, it foresaw {right}.")
        if min(self.personal.kept, self.generic.kept) >= MIN_KEPT:
            told.append(
                f"Before you kept a text you changed {self.personal.changed:.0%} of its words when your voice wrote it "
                f"({self.personal.kept} texts), {self.generic.changed:.0%} when the generic one did "
                f"({self.generic.kept})."
            )
        if trend := edit_trend(self.weeks):
            told.append(trend)
        if self.reading:
            told.append(self.reading.told)
        return told


ANSWERS: dict[Verdict, str] = {
    "helps": "Yes: your voice knows what you like better than chance would.",
    "helps once it is learned": "It would: your choices have a taste in them. 'penpal personalize' learns it.",
    "cannot be told yet": "That cannot be told yet: what you chose could still be luck. A few more choices will tell.",
    "does not help": "No: your present voice foresees your newer choices no better than a coin. "
    "'penpal personalize' learns from them; 'penpal encoder use generic' goes back to the generic one.",
}


def usefulness(
    penpal: PenPal, *, drafts: bool, progress: Callable[[str, float], None] = lambda stage, share: None
) -> Usefulness:
    """Changes nothing. `drafts`: writes a few in both voices to see how they read, which needs the language model.

    Raises LearnError when there is too little to tell anything from.
    """
    evidence = penpal.store.evidence(backbone_id=penpal.backbone.id)
    active = penpal.store.active_encoder()
    learned = _held_out(penpal, evidence, active, progress)
    weeks = tuple(penpal.store.edit_weeks(since=datetime.now().astimezone().date() - timedelta(weeks=WEEKS)))
    since = (learned.unseen_active.right, learned.unseen_active.count) if active else (0, 0)
    return Usefulness(
        verdict=verdict(learned.p_value, since, active=active is not None),
        voice=active.id if active else None,
        right=learned.accuracy.right,
        count=learned.accuracy.count,
        interval=learned.accuracy.interval,
        p_value=learned.p_value,
        since=since,
        personal=edited(week for week in weeks if week.personal),
        generic=edited(week for week in weeks if not week.personal),
        weeks=weeks,
        reading=_reading(penpal, evidence, active, progress) if drafts and active else _remembered(active),
    )


def verdict(p_value: float, since: tuple[int, int], *, active: bool) -> Verdict:
    """In one of four words. `since`: the active voice on choices it has never seen."""
    from models.validation import interval

    if active and since[1] and interval(*since)[1] < 0.5:
        return "does not help"
    if p_value > MAX_P_VALUE:
        return "cannot be told yet"
    return "helps" if active else "helps once it is learned"


def edited(weeks: Any) -> Edited:
    """All weeks together."""
    found: list[EditWeek] = list(weeks)
    kept = sum(week.kept for week in found)
    return Edited(kept, sum(week.kept * week.changed for week in found) / kept if kept else 0.0)


def edit_trend(weeks: Sequence[EditWeek]) -> str:
    """What became of edits over the weeks, in one line; empty when there are too few to say."""
    mondays = sorted({week.monday for week in weeks})
    half = len(mondays) // 2
    before, after = (
        edited(week for week in weeks if (week.monday in mondays[:half]) == first) for first in (True, False)
    )
    if not half or min(before.kept, after.kept) < MIN_KEPT:
        return ""
    word = "less" if after.changed < before.changed else "more" if after.changed > before.changed else "as much"
    return (
        f"Of the last {len(mondays)} weeks in which you kept texts, you changed {word} in the later ones: "
        f"{before.changed:.0%} of the words before, {after.changed:.0%} then."
    )


# --- inner ----------------------------------------------------------------------------------------------------


def _held_out(
    penpal: PenPal,
    evidence: Sequence[Evidence],
    active: EncoderRecord | None,
    progress: Callable[[str, float], None],
) -> Learned:
    """Cross-validation, as the nightly run does it; layers, which take minutes, are left out."""
    from models.learner import MIN_ROWS_FOR_LAYERS
    from models.personalize import learn

    encoder = penpal.load_encoder(active) if active else None
    many = sum(one.weight > 0 for one in evidence) >= MIN_ROWS_FOR_LAYERS
    return learn(
        evidence,
        penpal.text_vectors(progress=lambda share: progress("Reading your choices", share / 2)),
        config=penpal.learn_config(),
        repeats=penpal.store.repeats(),
        active=encoder.parts if encoder else None,
        active_saw_act=int(active.report.get("last_act", 0)) if active else 0,
        active_vectors=penpal.prompts_of(encoder) if encoder else None,
        avoid=penpal.sameness,
        fixed_capacity="head" if many else None,
        progress=lambda stage, share: progress(stage, (1 + share) / 2),
    )


def _remembered(active: EncoderRecord | None) -> Reading | None:
    """What the run that made the voice has seen."""
    report = active.report if active else {}
    names = ("perplexity_generic", "perplexity_personal", "distinct2_generic", "distinct2_personal")
    found = [report.get(name) for name in names]
    return None if None in found else Reading(*(float(number) for number in found if number is not None))


def _reading(
    penpal: PenPal,
    evidence: Sequence[Evidence],
    active: EncoderRecord,
    progress: Callable[[str, float], None],
) -> Reading:
    """Drafts for the newest prompts, in both voices with the same dice."""
    from models.fluency import distinct2, perplexity, write_drafts
    from models.personal_encoder import GaussianEncoder

    encoder, generic = penpal.load_encoder(active), GaussianEncoder.generic(penpal.clap.latent_size)
    prompts = list(dict.fromkeys((e.messages, e.context) for e in reversed(evidence)))[:PROBE_PROMPTS]
    sampling = penpal.settings.drafts.sampling()
    pairs = []
    for i, (messages, context) in enumerate(prompts):
        progress("Writing a few drafts", i / len(prompts))
        latents = [voice.mean(messages, context) for voice in (generic, encoder)]
        pairs.append(write_drafts(penpal.decoder, messages, latents, sampling, i))
    both = [[pair[side] for pair in pairs] for side in (0, 1)]
    perplexities = [perplexity(penpal.decoder, own) for own in both]
    varieties = [distinct2([draft.text for draft in own]) for own in both]
    return Reading(perplexities[0], perplexities[1], varieties[0], varieties[1])

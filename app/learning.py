"""The morning's question answered: train on what the person did, check, activate or say why not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.answers import answers_for
from app.guests import starting_voice
from app.manners import Deadline, Yielding
from app.new_voice import write_voice
from app.progress import traits_report
from core.encoder_rows import MIGRATED
from core.errors import LearnError
from core.evidence import Evidence
from core.protocols import Message
from core.run_lock import run_lock
from core.store import EncoderRecord, now_utc

if TYPE_CHECKING:
    from app.wiring import PenPal
    from models.fluency import Fluency
    from models.personal_encoder import GaussianEncoder
    from models.personalize import Learned

Prompt = tuple[tuple[Message, ...], str]
"""A conversation and its kind of writing."""
MAX_P_VALUE = 0.02
"""Labels picked at random pass one time in fifty."""
PROBE_PROMPTS = 8
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Plan:
    """What a run will use, before it starts."""

    evidence: int
    left_out: int
    by_source: dict[str, int]
    by_context: dict[str, int]
    to_read: int
    """Texts that the encoder has not read yet."""
    device: str


@dataclass(frozen=True)
class Example:
    """Drafts for one of the person's own prompts, with the same dice."""

    prompt: str
    before: str
    after: str


@dataclass(frozen=True)
class PersonalizeReport:
    """What a run found and did."""

    encoder_id: str
    activated: bool
    reason: str
    capacity: str
    pairs: int
    """Evidence that was learned from."""
    left_out: int
    pairs_by_source: dict[str, int]
    accuracy: float
    """Held-out share of the person's choices that the new voice would have made."""
    accuracy_interval: tuple[float, float]
    """95%."""
    accuracy_generic: float
    """The generic voice has no preference: 0.5 by definition."""
    accuracy_active: float | None
    """The voice used until now, on the choices it was not trained on; None when it is the generic one."""
    accuracy_on_those: float | None
    """The new voice, held out, on the same choices."""
    p_value: float
    capacities: Mapping[str, tuple[float, float]]
    """Held-out accuracy and log-loss of each capacity that was tried."""
    contexts: dict[str, tuple[int, int]]
    """Right and all, by kind of writing."""
    sources: dict[str, tuple[int, int]]
    flip_rate: float
    half_life: float | None
    shift: float
    strength: float
    perplexity_generic: float | None
    perplexity_personal: float | None
    distinct2_generic: float | None
    distinct2_personal: float | None
    examples: list[Example]
    device: str
    seconds: dict[str, float]
    markdown: str
    """The file of this report."""
    traits: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    """Portraits of the examples, of the new voice and of the generic one: see `app.progress.traits_report`."""
    started_from: str | None = None
    """The voice from somebody else that it started from; None: the generic one."""
    accuracy_start: float | None = None
    """That voice, on the person's choices."""

    @property
    def shown(self) -> dict[str, Any]:
        """What the database keeps: numbers and the reason, none of the person's texts."""
        return {name: value for name, value in asdict(self).items() if name not in ("examples", "markdown")}


def plan(penpal: PenPal, *, context: str | None = None) -> Plan:
    """What `personalize` would use now."""
    evidence = _evidence(penpal, context)
    used = [e for e in evidence if e.weight > 0]
    from models.text_vectors import text_key

    keys = {text_key(e.messages, side.text) for e in used for side in (e.chosen, e.rejected) if side is not None}
    return Plan(
        evidence=len(used),
        left_out=len(evidence) - len(used),
        by_source=dict(Counter(e.source for e in used).most_common()),
        by_context=dict(Counter(e.context for e in used).most_common()),
        to_read=len(keys) - len(penpal.store.vectors(penpal.clap.id, sorted(keys))),
        device=DEVICE,
    )


DEVICE = "cpu, float32 and float64 in NumPy: nothing here is large enough to gain from a GPU"


def personalize(
    penpal: PenPal,
    *,
    drafts: bool = True,
    examples: int = 5,
    force: bool = False,
    context: str | None = None,
    max_minutes: float | None = None,
    device: Literal["auto", "cpu"] = "auto",
    start: str | None = None,
    came_from: EncoderRecord | None = None,
    progress: Progress = lambda stage, share: None,
) -> PersonalizeReport:
    """Trains a new encoder and activates it if it is better beyond noise and its drafts stay fluent.

    `drafts` allows the fluency check and so many `examples`, the only parts that run the language model. `context`
    learns one kind of writing anew and leaves the rest as it is. `device` is where layers are trained, if they are.
    `start`: the id of an imported voice to start from, or 'generic'; without it, where the active voice started.
    `came_from`: a voice of another backbone or latent space, whose answers are learned from here, too.
    Raises LearnError for too little evidence, UsageError for a voice that is no start, BusyError while another run is
    going on in this home.
    """
    with run_lock(penpal.home):
        run = _Run(penpal, context, Deadline(max_minutes), device, start, progress, came_from)
        return run.report(drafts=drafts, count=examples, force=force)


class _Run:
    def __init__(
        self,
        penpal: PenPal,
        context: str | None,
        deadline: Deadline,
        device: Literal["auto", "cpu"],
        start: str | None,
        progress: Progress,
        came_from: EncoderRecord | None = None,
    ) -> None:
        self.came_from = came_from
        self.penpal, self.context, self.deadline, self.progress = penpal, context, deadline, progress
        self.device = device
        self.yielding = Yielding(penpal.store.is_drafting)
        self.started = time.monotonic()
        self.active = penpal.store.active_encoder()
        self.active_encoder = penpal.load_encoder(self.active) if self.active and penpal.fits(self.active) else None
        # One kind of writing is learned around the active voice, wherever that started.
        first = starting_voice(penpal, start, self.active) if context is None else None
        self.start = first if first is None or penpal.fits(first) else None
        self.generic_texts: list[str] = []
        """For the same prompts as the examples."""

    def report(self, *, drafts: bool, count: int, force: bool) -> PersonalizeReport:
        penpal = self.penpal
        last_act = penpal.store.last_act_id()
        evidence = penpal.store.evidence(backbone_id=None) if self.came_from else _evidence(penpal, self.context)
        learned = self._learn(evidence)
        trained = time.monotonic()
        encoder, fluency = learned.encoder, None
        examples: list[Example] = []
        activated, reason = gate(learned, None, force=force)
        if drafts and activated:
            from models.fluency import fluent_strength

            sampling = penpal.settings.drafts.sampling()
            probed = _latest_prompts(evidence)[:PROBE_PROMPTS]
            told = _part(self.progress, "Writing a few drafts to check them", 0.6, 0.85)
            fluency = fluent_strength(penpal.decoder, probed, encoder, sampling, told)
            if fluency.strength < 1:
                encoder = encoder.scaled(fluency.strength or 1.0)
            activated, reason = gate(learned, fluency, force=force)
        if drafts:
            examples = self._examples(_latest_prompts(evidence)[:count], encoder)
        encoder_id = write_voice(penpal, encoder, capacity=learned.capacity, pairs=learned.evidence)
        report = self._told(learned, fluency, examples, encoder_id, activated, reason, evidence, trained)
        self._keep(report, last_act)
        self.progress("Done", 1.0)
        return report

    def _between(self) -> None:
        """Gives the cores to a draft that is being made; ends a run that took its time."""
        self.yielding()
        if self.deadline.passed():
            raise LearnError(
                "The time is up before the run was done: nothing was changed. What was read is kept, so the next run "
                "goes on from there."
            )

    def _learn(self, evidence: Sequence[Evidence]) -> Learned:
        from models.personal_encoder import GaussianEncoder
        from models.personalize import learn

        penpal, active = self.penpal, self.active_encoder
        reading = _part(self.progress, "Reading your choices", 0.0, 0.4)
        vectors = penpal.text_vectors(between=self._between, progress=reading)
        start = penpal.load_encoder(self.start) if self.start else None
        if start is not None and start.layers:
            vectors = vectors.with_layers(start.layers)
        learned = learn(
            evidence,
            vectors,
            # Latents that made drafts elsewhere are points of another space.
            config=replace(penpal.learn_config(), known_weight=0.0) if self.came_from else penpal.learn_config(),
            repeats=penpal.store.repeats(),
            active=active.parts if active else None,
            active_saw_act=(self.active.saw_until or 0) if self.active else 0,
            active_vectors=penpal.prompts_of(active) if active else None,
            start=start,
            avoid=penpal.sameness,
            device=self.device,
            checkpoint=penpal.home.runs / "layers.checkpoint.safetensors",
            between=self.yielding,
            deadline=self.deadline.passed,
            progress=lambda stage, share: self.progress(stage, 0.4 + 0.2 * share),
        )
        encoder = penpal.reading(learned.encoder)
        if self.context is not None:
            around = active or GaussianEncoder.generic(penpal.clap.latent_size)
            shift = encoder.parts.mean - around.parts.mean
            encoder = around.with_parts(replace(around.parts, contexts={**around.parts.contexts, self.context: shift}))
        return replace(learned, encoder=encoder, drift=encoder.drift)

    def _examples(self, prompts: Sequence[Prompt], encoder: GaussianEncoder) -> list[Example]:
        from models.fluency import write_drafts
        from models.personal_encoder import GaussianEncoder

        penpal = self.penpal
        generic = GaussianEncoder.generic(penpal.clap.latent_size)
        voices = [generic, *([self.active_encoder] if self.active_encoder else ()), encoder]
        sampling = penpal.settings.drafts.sampling()
        found = []
        told = _part(self.progress, "Writing before and after", 0.85, 1.0)
        for i, (messages, context) in enumerate(prompts):
            told(i / len(prompts))
            latents = [voice.mean(messages, context) for voice in voices]
            *others, after = (draft.text for draft in write_drafts(penpal.decoder, messages, latents, sampling, i))
            found.append(Example(messages[-1].content, others[-1], after))
            self.generic_texts.append(others[0])
        return found

    def _told(
        self, learned: Learned, fluency: Fluency | None, examples: list[Example], encoder_id: str, activated: bool,
        reason: str, evidence: Sequence[Evidence], trained: float,
    ) -> PersonalizeReport:  # fmt: skip
        used = [e for e in evidence if e.weight > 0]
        compared = self.active_encoder is not None and learned.unseen.count > 0
        day = now_utc()[:16].replace(":", "")
        return PersonalizeReport(
            encoder_id=encoder_id,
            activated=activated,
            reason=reason,
            capacity=learned.capacity,
            pairs=learned.evidence,
            left_out=len(evidence) - learned.evidence,
            pairs_by_source=dict(Counter(e.source for e in used).most_common()),
            accuracy=learned.accuracy.share,
            accuracy_interval=learned.accuracy.interval,
            accuracy_generic=0.5,
            accuracy_active=learned.unseen_active.share if compared else None,
            accuracy_on_those=learned.unseen.share if compared else None,
            p_value=learned.p_value,
            capacities={str(name): found for name, found in learned.capacities.items()},
            contexts={name: (s.right, s.count) for name, s in learned.contexts.items()},
            sources={name: (s.right, s.count) for name, s in learned.sources.items()},
            flip_rate=learned.flip_rate,
            half_life=learned.half_life,
            shift=learned.drift,
            strength=fluency.strength if fluency else 1.0,
            perplexity_generic=fluency.generic if fluency else None,
            perplexity_personal=fluency.personal if fluency else None,
            distinct2_generic=fluency.generic_distinct2 if fluency else None,
            distinct2_personal=fluency.personal_distinct2 if fluency else None,
            examples=examples,
            device=DEVICE if learned.capacity != "layers" else f"{DEVICE}; layers in torch ({self.device})",
            seconds={
                **learned.seconds,
                "learn": trained - self.started,
                "drafts": time.monotonic() - trained,
                "waited": self.yielding.waited_s,
            },
            markdown=str(self.penpal.home.runs / f"{day}-{encoder_id[:8]}.md"),
            traits=traits_report([example.after for example in examples], self.generic_texts),
            started_from=self.start.id if self.start else None,
            accuracy_start=learned.of_start.share if learned.of_start else None,
        )

    def _keep(self, report: PersonalizeReport, last_act: int) -> None:
        """Writes the report down, lists the encoder with it, and makes it the active one if it passed."""
        from app.learning_report import as_markdown
        from core.files import write_atomically

        penpal = self.penpal
        write_atomically(Path(report.markdown), as_markdown(report).encode())
        penpal.store.add_encoder(
            EncoderRecord(
                id=report.encoder_id,
                file=f"{report.encoder_id}.safetensors",
                origin="personalized",
                parent_id=before.id if (before := self.came_from or self.active) else None,
                backbone_id=penpal.backbone.id,
                clap_id=penpal.clap.id,
                pairs=report.pairs,
                status="kept" if report.activated else "rejected",
                report={
                    **report.shown,
                    "last_act": last_act,
                    "markdown": Path(report.markdown).name,
                    **({"made": MIGRATED} if self.came_from else {}),
                },
                created_utc=now_utc(),
            )
        )
        if report.activated and (self.active is None or self.active.id != report.encoder_id):
            penpal.store.activate_encoder(report.encoder_id, report.reason)


def _evidence(penpal: PenPal, context: str | None) -> list[Evidence]:
    evidence = answers_for(penpal)
    if not evidence and (others := len(penpal.store.evidence(backbone_id=None))):
        raise LearnError(
            f"All you answered ({others}) is about drafts of another backbone: 'penpal encoder migrate' takes it "
            "along to this one, or answer about drafts of this one."
        )
    if context is None:
        return evidence
    found = [e for e in evidence if e.context == context]
    if not found:
        known = ", ".join(sorted({e.context for e in evidence})) or "none yet"
        raise LearnError(f"Nothing was answered about '{context}'. There is: {known}.")
    return found


def _latest_prompts(evidence: Sequence[Evidence]) -> list[Prompt]:
    """Each once, the newest first, with its kind of writing."""
    return list(dict.fromkeys((e.messages, e.context) for e in reversed(evidence)))


def _part(progress: Progress, stage: str, start: float, end: float) -> Callable[[float], None]:
    """Progress of one stage, as a part of the whole."""
    return lambda share: progress(stage, start + (end - start) * share)


def gate(learned: Learned, fluency: Fluency | None, *, force: bool) -> tuple[bool, str]:
    """Whether the new encoder becomes the active one, and why, in a writer's words."""
    right, count = learned.accuracy.right, learned.accuracy.count
    found = f"it foresees {right} of {count} choices it has not seen"
    if count == 0:
        found = "there were no choices between two texts to check it on"
    if force:
        return True, f"activated because you said so; {found}"
    if learned.p_value > MAX_P_VALUE:
        return False, f"not activated: {found}, which could be luck; a few more choices will tell"
    if learned.worse_than_active:
        new, old = learned.unseen, learned.unseen_active
        counts = f"it foresees {new.right}, that one {old.right}"
        if new.right >= old.right:
            counts = f"it is less sure of the right ones than that one ({new.right} and {old.right} foreseen)"
        return False, f"not activated: of the {new.count} choices since your present voice was made {counts}"
    if learned.worse_than_start and learned.of_start is not None:
        other = learned.of_start
        return False, (
            f"not activated: {found}, and is no better than the voice it started from ({other.right} of {other.count}) "
            "and the generic one"
        )
    if fluency is not None and fluency.strength == 0:
        return False, f"not activated: its drafts read badly ({fluency.fault})"
    return True, f"activated: {found}"

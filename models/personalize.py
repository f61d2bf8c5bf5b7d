"""The overnight run: what a person did in, a personal encoder out. Never loads the language model.

Of the backbone only the token embedding and the tokenizer are read, by the frozen encoder; each text once. Torch is
imported only when there is enough evidence for a person's own layers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import LearnError
from core.evidence import Evidence, Repeats
from models import latent_dpo, learner, validation
from models.latent_dpo import Posteriors
from models.learner import Array, CapacityName, LearnConfig, Parts, Rows
from models.personal_encoder import GaussianEncoder
from models.text_vectors import TextVectors

if TYPE_CHECKING:
    from models.personal_layers import Device

MIN_EVIDENCE = 4
ALIKE = 0.5
"""Two texts are too alike to learn from when their posteriors lie closer than this share of their own variance."""
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Share:
    """So many right out of so many."""

    right: int
    count: int

    @property
    def share(self) -> float:
        return self.right / self.count if self.count else 0.5

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95%."""
        return validation.interval(self.right, self.count)


@dataclass(frozen=True)
class Learned:
    """A trained encoder, and how well it foresees choices it has not seen."""

    encoder: GaussianEncoder
    capacity: CapacityName
    evidence: int
    """What was learned from; evidence without weight is left out."""
    accuracy: Share
    """Held-out pairs that it orders as the person did. The generic encoder has no preference: half by definition."""
    log_loss: float
    """Mean, in nats, of held-out choices; the generic encoder's is ln 2 = 0.693."""
    p_value: float
    """How probable such consistent choices are if labels were picked at random."""
    unseen: Share
    """The same on the choices that the active encoder was not trained on."""
    unseen_active: Share
    """The active encoder on those."""
    worse_than_active: bool
    """On those, in log-loss."""
    capacities: dict[CapacityName, tuple[float, float]]
    """Of each capacity that was tried: held-out accuracy and log-loss. Layers are tried on a fifth of the turns; for
    all others the next simpler capacity answers."""
    contexts: dict[str, Share]
    sources: dict[str, Share]
    flip_rate: float
    half_life: float | None
    drift: float
    """Length of the mean: 0 is generic, drafts of the prior lie at 5.7."""
    seconds: dict[str, float]
    of_start: Share | None = None
    """On all of them, the encoder that it started from, which saw none; None: it started from N(0, I)."""
    worse_than_start: bool = False
    """On all of them, in log-loss, than that one or than N(0, I)."""


def weighed(evidence: Sequence[Evidence], vectors: TextVectors) -> list[Evidence]:
    """The same evidence; pairs whose texts the encoder cannot tell apart lose their weight and say so."""
    pairs = [e for e in evidence if e.weight > 0 and e.is_pair]
    if not pairs:
        return list(evidence)
    chosen, rejected = _posteriors(pairs, vectors)
    apart = ((chosen.mean - rejected.mean) ** 2).sum(1)
    own = (np.exp(chosen.log_variance) + np.exp(rejected.log_variance)).sum(1) / 2
    alike = {id(pair) for pair, near in zip(pairs, apart < ALIKE * own, strict=True) if near}
    return [replace(e, weight=0.0, reason="too alike to learn from") if id(e) in alike else e for e in evidence]


def _posteriors(pairs: Sequence[Evidence], vectors: TextVectors) -> tuple[Posteriors, Posteriors]:
    """Posteriors of both sides of every pair."""
    sides = [(e.messages, side.text) for e in pairs for side in (e.chosen, e.rejected) if side is not None]
    both = vectors.posteriors(sides)
    first, second = (Posteriors(both.mean[i::2], both.log_variance[i::2]) for i in (0, 1))
    return first, second


def rows_of(evidence: Sequence[Evidence], vectors: TextVectors, config: LearnConfig, *, features: bool = True) -> Rows:
    """Evidence with weight as rows, in its order; a single mark is compared with the person's average draft."""
    used = compared(evidence, config)
    texts = {(e.messages, side.text): None for e in used for side in (e.chosen, e.rejected) if side is not None}
    index = {text: i for i, text in enumerate(texts)}
    all_of_them = vectors.posteriors(list(texts))
    average = Posteriors(all_of_them.mean.mean(0), all_of_them.log_variance.mean(0))

    def side(which: str) -> Posteriors:
        at = [None if (s := getattr(e, which)) is None else index[(e.messages, s.text)] for e in used]
        columns = zip(all_of_them, average, strict=True)
        return Posteriors(*(np.stack([mean if i is None else each[i] for i in at]) for each, mean in columns))

    chosen, rejected = side("chosen"), side("rejected")
    moment = [q.mean.astype(np.float64) ** 2 + np.exp(q.log_variance) for q in (chosen, rejected)]
    latent_size = chosen.mean.shape[1]
    known = np.full((len(used), latent_size), np.nan)
    for i, e in enumerate(used):
        latents = [each.z for each in (e.chosen, e.rejected) if each is not None and each.z is not None]
        if len(latents) == 2 and len(latents[0]) == len(latents[1]) == latent_size:  # else of another CLaP
            known[i] = np.subtract(latents[0], latents[1])
    samples = None
    if config.variant == "sampled":
        samples = latent_dpo.candidate_differences(
            chosen, rejected, per_source=config.candidates, evidence_ratio=config.evidence_ratio,
            keep=max(4, min(64, 200_000 // len(used))), rng=np.random.default_rng(config.seed),
        )  # fmt: skip
    return Rows(
        difference=(chosen.mean - rejected.mean).astype(np.float64),
        spread=(moment[0] - moment[1]) / 2,
        weight=np.array([e.weight for e in used]),
        tie=np.array([e.tie for e in used]),
        turn=np.array([e.turn_id for e in used]),
        context=tuple(e.context for e in used),
        features=vectors.features([e.messages for e in used]) if features else None,
        known=known,
        samples=samples,
    )


def compared(evidence: Sequence[Evidence], config: LearnConfig) -> list[Evidence]:
    """What becomes a row each: evidence with weight; for a loss of single marks, the marks that it consists of."""
    used = [e for e in evidence if e.weight > 0]
    return [mark for e in used for mark in _marks(e)] if config.loss == "kto" else used


def _marks(evidence: Evidence) -> list[Evidence]:
    """A pair as a good and a bad mark; a tie is neither."""
    if not evidence.is_pair:
        return [] if evidence.tie else [evidence]
    return [replace(evidence, rejected=None), replace(evidence, chosen=None)]


def learn(
    evidence: Sequence[Evidence],
    vectors: TextVectors,
    *,
    config: LearnConfig | None = None,
    repeats: Repeats = Repeats(),  # noqa: B008 (immutable)
    active: Parts | None = None,
    active_saw_act: int = 0,
    active_vectors: TextVectors | None = None,
    start: GaussianEncoder | None = None,
    avoid: Array | None = None,
    fixed_capacity: CapacityName | None = None,
    device: Device = "auto",
    checkpoint: Path | None = None,
    between: Callable[[], None] = lambda: None,
    deadline: Callable[[], bool] = lambda: False,
    progress: Progress = lambda stage, share: None,
) -> Learned:
    """Latent DPO on what a person did, with the capacity and the half-life that cross-validation asks for.

    `active` is the encoder to be compared with, on choices after the act `active_saw_act`, its prompts read by
    `active_vectors` if it has layers of its own. `start`, in place of N(0, I), is where learning starts and what the
    prior holds it to: an encoder that saw none of this; `vectors` read prompts by its layers, if it has any. `avoid`
    [D] is a direction that is not taken (`models.sameness`). `between` is called where a run can wait for a while. Only
    layers take longer than seconds: they are trained on `device`, go on from `checkpoint`, and end at the `deadline`.
    Raises LearnError when there is too little.
    """
    clock = [time.monotonic()]
    progress("Reading your choices", 0.0)
    used = [e for e in weighed(evidence, vectors) if e.weight > 0]
    _refuse_too_little(used, len(evidence))
    config = config or LearnConfig()
    if config.flip_rate is None:
        config = replace(config, flip_rate=repeats.flip_rate())
    adopted = start.parts if start else None
    if adopted is not None and config.variant == "marginal":
        raise LearnError("Learning from another voice's start takes the variant 'expected' or 'sampled'.")
    reads = start is not None and start.reads_prompts
    rows = rows_of(used, vectors, config, features=reads or len(used) >= learner.MIN_ROWS_FOR_HEAD)
    if len(np.unique(rows.turn)) < 2:
        raise LearnError("All your choices are about one prompt: answer about another one, then learn.")
    clock.append(time.monotonic())
    progress("Checking how fast your taste moves", 0.6)
    if config.half_life is None:
        config = replace(config, half_life=validation.choose_half_life(rows, learner.Design(), config, adopted))
    between()
    progress("Trying how much can be learned", 0.7)
    if fixed_capacity not in (None, *learner.designs(rows), *(["layers"] if rows.features is not None else [])):
        raise LearnError(f"There is too little evidence for an encoder with capacity '{fixed_capacity}'.")
    best, tried = validation.cross_validated(rows, config, between, adopted)
    told = compared(used, config)
    capacity = best if fixed_capacity in (None, "layers") else fixed_capacity
    chosen = next(candidate for candidate in tried if candidate.capacity == capacity)
    layered = None
    if fixed_capacity == "layers" or (fixed_capacity is None and learner.enough_for_layers(rows, config)):
        from models import layers  # torch takes seconds, and few people have so much evidence

        reader = vectors.encoder()
        if start is not None and start.layers:
            reader = reader.with_layers(start.layers)
        layered = layers.trial(
            rows, [e.messages for e in told], chosen, reader, config, adopted=adopted, device=device,
            checkpoint=checkpoint, between=between, deadline=deadline,
            progress=lambda share: progress("Reading your prompts anew", share),
        )  # fmt: skip
        tried.append(layered.candidate)
        if not layered.better and fixed_capacity is None:
            layered = None
    p_value = validation.luck(rows, config)
    between()
    clock.append(time.monotonic())
    progress("Learning", 0.9)
    if layered is None:
        parts = learner.fit(rows, learner.designs(rows)[capacity], config, start=adopted)
    else:
        parts, capacity, chosen = layered.result.parts, "layers", layered.candidate
    parts = learner.within(parts if avoid is None else learner.without(parts, avoid), config.max_norm)
    clock.append(time.monotonic())
    new = (np.array([e.act_id for e in told]) > active_saw_act) & ~rows.tie
    unseen = rows.take(new)
    if active_vectors is not None and len(unseen):
        unseen = replace(unseen, features=active_vectors.features([told[i].messages for i in np.flatnonzero(new)]))
    active_margins = (active or Parts.generic(rows.difference.shape[1])).margins(unseen, config.max_norm)
    active_loss = validation.log_loss(active_margins, unseen, config)
    start_margins = adopted.margins(rows, config.max_norm) if adopted else np.zeros(len(rows))
    start_loss = np.minimum(_mean(validation.log_loss(start_margins, rows, config), rows), np.log(2))
    progress("Done", 1.0)
    own = layered.result.layers if layered else start.layers if start else None
    encoder = GaussianEncoder(parts, layers=own if parts.head is not None else None)
    return Learned(
        encoder=encoder,
        capacity=capacity,
        evidence=len(used),
        accuracy=Share(*validation.accuracy(chosen.margins, rows)),
        log_loss=_mean(chosen.losses, rows),
        p_value=p_value,
        unseen=Share(int((chosen.margins[new] > 0).sum()), int(new.sum())),
        unseen_active=Share(int((active_margins > 0).sum()), len(unseen)),
        worse_than_active=bool(active is not None and new.any() and chosen.losses[new].mean() > active_loss.mean()),
        of_start=Share(*validation.accuracy(start_margins, rows)) if adopted else None,
        worse_than_start=bool(adopted is not None and _mean(chosen.losses, rows) > start_loss),
        capacities={c.capacity: _summary(c, rows) for c in tried},
        contexts=_shares(chosen.margins, rows, rows.context),
        sources=_shares(chosen.margins, rows, [e.source for e in told]),
        flip_rate=config.flip_rate or 0.0,
        half_life=config.half_life,
        drift=encoder.drift,
        seconds={
            "read": clock[1] - clock[0],
            "check": clock[2] - clock[1],
            "train": clock[3] - clock[2],
        },
    )


def _refuse_too_little(used: Sequence[Evidence], listed: int) -> None:
    if len(used) >= MIN_EVIDENCE and any(not e.tie for e in used):
        return
    if used and all(e.tie for e in used):
        raise LearnError(
            f"All your {len(used)} answers are ties, which say nothing about your taste yet: pick a draft where you "
            "like one better."
        )
    left_out = (
        f" ({listed - len(used)} more say too little: 'penpal pairs list' tells why)" if listed > len(used) else ""
    )
    raise LearnError(
        f"There is not enough to learn from: {len(used)} of {MIN_EVIDENCE} pairs{left_out}. "
        "Pick, edit or star drafts in 'penpal chat', or label pairs in 'penpal rate'."
    )


def _summary(candidate: validation.Candidate, rows: Rows) -> tuple[float, float]:
    right, count = validation.accuracy(candidate.margins, rows)
    return Share(right, count).share, _mean(candidate.losses, rows)


def _mean(losses: learner.Array, rows: Rows) -> float:
    return float(np.average(losses, weights=rows.weight))


def _shares(margins: learner.Array, rows: Rows, labels: Sequence[str]) -> dict[str, Share]:
    """Held-out accuracy by label, the most frequent first; ties are left out."""
    counts = Counter(label for label, tie in zip(labels, rows.tie, strict=True) if not tie)
    right = Counter(
        label for label, margin, tie in zip(labels, margins, rows.tie, strict=True) if margin > 0 and not tie
    )
    return {label: Share(right[label], count) for label, count in counts.most_common()}

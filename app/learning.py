"""The morning's question answered: train on the stored choices, check, activate or say why not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.feedback import Pair
from core.protocols import Message
from core.store import EncoderRecord, now_utc
from models.backbone import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.wiring import PenPal
    from models.fluency import Fluency
    from models.personalize import Learned

MAX_P_VALUE = 0.1
"""An encoder that a coin would match one time in ten has learned nothing yet."""
PROBE_PROMPTS = 6


@dataclass(frozen=True)
class PersonalizeReport:
    """What a run found and did."""

    pairs: int
    pairs_by_source: dict[str, int]
    accuracy_generic: float
    """The generic voice has no preference: 0.5 by definition."""
    accuracy: float
    """Cross-validated share of the person's choices that the new voice would have made."""
    p_value: float
    shift: float
    perplexity_generic: float | None
    perplexity_personal: float | None
    strength: float
    encoder_id: str
    activated: bool
    reason: str
    seconds: dict[str, float]


def personalize(
    penpal: PenPal,
    *,
    drafts: bool = True,
    force: bool = False,
    progress: Callable[[str, float], None] = lambda stage, share: None,
) -> PersonalizeReport:
    """Trains a new encoder and activates it if it is better than guessing and its drafts stay fluent.

    `drafts` allows the fluency check, the only part that runs the language model. Raises LearnError for too few pairs.
    """
    from models.personalize import PosteriorCache, PosteriorEncoder, learn

    started = time.monotonic()
    pairs = penpal.store.pairs(backbone_id=penpal.backbone.id)
    clap = penpal.clap
    learned = learn(
        pairs,
        lambda: PosteriorEncoder(
            penpal.backbone, clap.arrays, penpal.home.backbones / f"{penpal.backbone.id}.embedding.safetensors"
        ),
        PosteriorCache(penpal.home.backbones / f"{clap.id}.posteriors.safetensors"),
        progress=lambda stage, share: progress(stage, 0.6 * share),
    )
    trained = time.monotonic()
    fluency = None
    if drafts:
        progress("Writing a few drafts to check them", 0.6)
        fluency = _check_fluency(penpal, learned, pairs)
        if 0 < fluency.strength < 1:
            learned.encoder.mean_vector = (fluency.strength * learned.encoder.mean_vector).astype("float32")
    activated, reason = gate(learned, fluency, force=force)
    encoder_id = _keep(penpal, learned, activated=activated, reason=reason)
    progress("Done", 1.0)
    return PersonalizeReport(
        pairs=len(pairs),
        pairs_by_source={s: sum(p.source == s for p in pairs) for s in sorted({p.source for p in pairs})},
        accuracy_generic=0.5,
        accuracy=learned.accuracy,
        p_value=learned.p_value,
        shift=learned.shift,
        perplexity_generic=fluency.generic if fluency else None,
        perplexity_personal=fluency.personal if fluency else None,
        strength=fluency.strength if fluency else 1.0,
        encoder_id=encoder_id,
        activated=activated,
        reason=reason,
        seconds={
            "encode": learned.seconds_encode,
            "train": learned.seconds_train,
            "learn": trained - started,
            "check": time.monotonic() - trained,
        },
    )


def _check_fluency(penpal: PenPal, learned: Learned, pairs: Sequence[Pair]) -> Fluency:
    from models.fluency import fluent_strength

    prompts: dict[tuple[Message, ...], None] = dict.fromkeys(pair.messages for pair in reversed(pairs))
    probes = list(prompts)[:PROBE_PROMPTS]
    return fluent_strength(penpal.decoder, probes, learned.encoder.mean_vector, penpal.settings.drafts.sampling())


def gate(learned: Learned, fluency: Fluency | None, *, force: bool) -> tuple[bool, str]:
    """Whether the new encoder becomes the active one, and why, in a writer's words."""
    found = f"it foresees {learned.accuracy:.0%} of your {learned.pairs} choices"
    if force:
        return True, f"activated because you said so; {found}"
    if learned.p_value > MAX_P_VALUE:
        return False, f"not activated: {found}, which could be luck; a few more choices will tell"
    if fluency is not None and fluency.strength == 0:
        return False, (
            f"not activated: its drafts read badly (perplexity {fluency.personal:.1f}, generic {fluency.generic:.1f})"
        )
    return True, f"activated: {found}"


def _keep(penpal: PenPal, learned: Learned, *, activated: bool, reason: str) -> str:
    """Writes the encoder's file, lists it, and makes it the active one when it passed."""
    about = {"backbone": penpal.backbone.id, "clap": penpal.clap.id, "capacity": "shift", "pairs": learned.pairs}
    partial = penpal.home.encoders / "new.safetensors"
    learned.encoder.save(partial, about)
    encoder_id = file_sha256(partial)
    partial.replace(penpal.home.encoders / f"{encoder_id}.safetensors")
    parent = penpal.store.active_encoder()
    penpal.store.add_encoder(
        EncoderRecord(
            id=encoder_id,
            file=f"{encoder_id}.safetensors",
            origin="personalized",
            parent_id=parent.id if parent else None,
            backbone_id=penpal.backbone.id,
            clap_id=penpal.clap.id,
            pairs=learned.pairs,
            status="kept" if activated else "rejected",
            report={"accuracy": learned.accuracy, "p_value": learned.p_value, "shift": learned.shift, "reason": reason},
            created_utc=now_utc(),
        )
    )
    if activated:
        penpal.store.activate_encoder(encoder_id, reason)
    return encoder_id

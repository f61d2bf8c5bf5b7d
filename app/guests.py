"""Voices from others: how well one foresees this person's own choices, and learning that starts from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import LearnError, UsageError
from core.voices import SHOWN, is_removed, usable_encoder

if TYPE_CHECKING:
    from app.wiring import PenPal
    from core.evidence import Evidence
    from core.store import EncoderRecord
    from models.personal_encoder import GaussianEncoder
    from models.personalize import Share

IMPORTED = "imported"
"""The origin of a guest."""


def starting_voice(penpal: PenPal, name: str | None, active: EncoderRecord | None) -> EncoderRecord | None:
    """The guest that a run starts from: the one that is named, else the one that the active voice started from.

    None: N(0, I). Raises UsageError for a voice of the person's own, which has seen the choices it would be checked on.
    """
    store, encoders = penpal.store, penpal.home.encoders
    if name is not None:
        record = usable_encoder(store, name, encoders)
        if record is not None and record.origin != IMPORTED:
            raise UsageError(
                f"Voice {record.id[:SHOWN]} has learned from your own answers already: only a voice from somebody "
                "else can be a start. 'penpal encoder list' shows them."
            )
        return record
    return start_of(penpal, active.report) if active else None


def start_of(penpal: PenPal, report: Mapping[str, Any]) -> EncoderRecord | None:
    """The guest that a voice with this report started from, if it can still be used here."""
    before = report.get("started_from")
    found = next((each for each in penpal.store.encoders() if each.id == before and penpal.fits(each)), None)
    return None if found is None or is_removed(found, penpal.home.encoders) else found


@dataclass(frozen=True)
class Comparison:
    """A voice beside the active one, on the choices of the person who asks. The generic one has no preference: half."""

    guest: Share
    """On all choices between two texts, none of which it has seen, unless they were in what it was made from."""
    active: float | None
    """Share that the active voice foresaw when it was made, each choice kept from it in turn; None: not known."""
    active_interval: list[float] | None
    since: tuple[Share, Share] | None
    """The guest and the active voice on the choices since that was made, which neither has seen, if there are any."""


def compare(penpal: PenPal, record: EncoderRecord) -> Comparison:
    """Reads the person's choices; no language model. Raises LearnError when there are none, PackError."""
    from models.personalize import Share, weighed

    evidence = penpal.store.evidence(backbone_id=penpal.backbone.id)
    vectors = penpal.text_vectors()
    pairs = [e for e in weighed(evidence, vectors) if e.weight > 0 and e.is_pair and not e.tie]
    if not pairs:
        raise LearnError(
            "There are no choices between two texts to compare on yet: pick drafts in 'penpal chat', or label pairs in "
            "'penpal rate'."
        )
    right = _foreseen(penpal, penpal.load_encoder(record), pairs)
    guest = Share(int(right.sum()), len(pairs))
    active = penpal.store.active_encoder()
    if active is None or (active.backbone_id, active.clap_id) != (record.backbone_id, record.clap_id):
        return Comparison(guest, None, None, None)
    is_guest = active.origin == IMPORTED  # nobody's choices here were in it, as far as anybody knows
    new = np.array([is_guest or e.act_id > (active.saw_until or 0) for e in pairs])
    theirs = _foreseen(penpal, penpal.load_encoder(active), pairs)
    since = (Share(int(right[new].sum()), int(new.sum())), Share(int(theirs[new].sum()), int(new.sum())))
    measured = {} if is_guest else active.report
    return Comparison(guest, measured.get("accuracy"), measured.get("accuracy_interval"), since if new.any() else None)


def _foreseen(penpal: PenPal, encoder: GaussianEncoder, pairs: list[Evidence]) -> NDArray[np.bool_]:
    """[N]: whether it orders each pair as the person did, as it drafts at full strength."""
    from models.personal_encoder import MAX_NORM
    from models.personalize import rows_of

    config = replace(penpal.learn_config(), loss="dpo", variant="expected", known_weight=0.0)
    rows = rows_of(pairs, penpal.prompts_of(encoder), config, features=encoder.reads_prompts)
    return encoder.parts.margins(rows, MAX_NORM) > 0

"""Which of a person's answers a voice is learned from, and which ones a voice of theirs was learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.encoder_rows import MAPPED, MIGRATED
from core.evidence import Evidence
from core.store import EncoderRecord

if TYPE_CHECKING:
    from app.wiring import PenPal


def answers_for(penpal: PenPal) -> list[Evidence]:
    """What was answered about drafts of this backbone, oldest first; once a voice came along, of those before it too.

    Texts are texts, whoever wrote them. But the next backbone writes other ones, so that is the person's decision.
    """
    backbone_id = penpal.backbone.id
    came_along = any(
        record.made == MIGRATED and record.backbone_id == backbone_id for record in penpal.store.encoders()
    )
    return penpal.store.evidence(backbone_id=None if came_along else backbone_id)


def answers_behind(penpal: PenPal, record: EncoderRecord) -> list[Evidence]:
    """The answers that a voice of this person was learned from, as far as they are still there; oldest first.

    None for one that came from elsewhere, or whose answers were never here.
    """
    until = record.saw_until
    if until is None or record.made == MAPPED:
        return []
    answers = [one for one in answers_for(penpal) if one.act_id <= until and one.weight > 0]
    learned_alone = set(record.report.get("contexts") or ())
    # A run for one kind of writing names that one only; ties and marks of a kind that has no pairs are in no report.
    kinds = {one.context for one in answers if one.is_pair}
    if learned_alone and learned_alone < kinds and len(learned_alone) == 1:
        return [one for one in answers if one.context in learned_alone]
    return answers

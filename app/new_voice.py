"""Keeps an encoder that was made, as a voice of this home."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.store import EncoderRecord, now_utc
from models.backbone import file_sha256

if TYPE_CHECKING:
    from app.wiring import PenPal
    from models.personal_encoder import GaussianEncoder


def keep_voice(
    penpal: PenPal,
    encoder: GaussianEncoder,
    *,
    made_how: str,
    pairs: int,
    report: dict[str, Any],
    parent_id: str | None = None,
    status: str = "kept",
) -> EncoderRecord:
    """Writes its file and lists it, with `made_how` in its report. Not active; the same numbers twice are one voice."""
    about = {
        "backbone": penpal.backbone.id, "clap": penpal.clap.id, "capacity": report.get("capacity"), "pairs": pairs,
    }  # fmt: skip
    partial = penpal.home.encoders / f"new-{made_how}.safetensors"
    encoder.save(partial, about)
    encoder_id = file_sha256(partial)
    file = f"{encoder_id}.safetensors"
    partial.replace(penpal.home.encoders / file)
    record = EncoderRecord(
        encoder_id,
        file,
        "personalized",
        parent_id,
        penpal.backbone.id,
        penpal.clap.id,
        pairs,
        status,
        {**report, "made": made_how},
        now_utc(),
    )
    penpal.store.add_encoder(record)
    return record

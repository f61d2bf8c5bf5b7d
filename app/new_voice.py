"""Keeps an encoder that was made, as a voice of this home."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from core.files import file_sha256
from core.store import EncoderRecord, now_utc

if TYPE_CHECKING:
    from app.wiring import PenPal
    from models.personal_encoder import GaussianEncoder


def write_voice(penpal: PenPal, encoder: GaussianEncoder, *, capacity: str | None, pairs: int) -> str:
    """Puts an encoder's file into its place and returns its id."""
    about = {"backbone": penpal.backbone.id, "clap": penpal.clap.id, "capacity": capacity, "pairs": pairs}
    partial = penpal.home.encoders / f"new-{os.getpid()}.safetensors"
    encoder.save(partial, about)
    encoder_id = file_sha256(partial)
    partial.replace(penpal.home.encoders / f"{encoder_id}.safetensors")
    return encoder_id


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
    encoder_id = write_voice(penpal, encoder, capacity=report.get("capacity"), pairs=pairs)
    record = EncoderRecord(
        encoder_id,
        f"{encoder_id}.safetensors",
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

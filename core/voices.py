"""Which voice writes: the active encoder, its history, the way back, and voices that were removed."""

from __future__ import annotations

from pathlib import Path

from core.errors import UsageError
from core.store import EncoderRecord, Store

GENERIC = "generic"
ROLLED_BACK = "rolled back"
"""How the reason of every step back begins."""
TAKEN_BACK = "taken back"
"""The reason when a change of voice was undone."""
SHOWN = 12
"""Characters of an id that messages show."""


def find_encoder(store: Store, name: str) -> EncoderRecord | None:
    """The encoder whose id starts with `name`; None for 'generic'. Raises UsageError for none or several."""
    if name == GENERIC:
        return None
    found = [encoder for encoder in store.encoders() if encoder.id.startswith(name)]
    if len(found) != 1:
        problem = "No encoder" if not found else "More than one encoder"
        raise UsageError(f"{problem} has an id that starts with '{name}': 'penpal encoder list' shows them.")
    return found[0]


def is_removed(encoder: EncoderRecord, encoders: Path) -> bool:
    """Whether its file is gone from the folder `encoders`. The record stays, since drafts and history name it."""
    return not (encoders / encoder.file).is_file()


def usable_encoder(store: Store, name: str, encoders: Path) -> EncoderRecord | None:
    """What `find_encoder` finds. Raises UsageError too when it was removed."""
    encoder = find_encoder(store, name)
    if encoder and is_removed(encoder, encoders):
        raise UsageError(f"Voice {encoder.id[:SHOWN]} was removed: 'penpal encoder list' shows those that are left.")
    return encoder


def use_encoder(store: Store, name: str, encoders: Path) -> EncoderRecord | None:
    """Makes an encoder, or 'generic', the active one. Raises UsageError for an unknown or a removed one."""
    encoder = usable_encoder(store, name, encoders)
    store.activate_encoder(encoder.id if encoder else None, "chosen by hand")
    return encoder


def roll_back(store: Store, encoders: Path, *, because: str = "") -> EncoderRecord | None:
    """Makes the one before the active encoder active again; rolling back twice goes two steps back."""
    before = way_back(store, encoders)
    if not before:
        raise UsageError("There is nothing to roll back: no other voice was active before.")
    encoder = before[0]
    store.activate_encoder(encoder.id if encoder else None, f"{ROLLED_BACK}: {because}" if because else ROLLED_BACK)
    return encoder


def remove_encoder(store: Store, name: str, encoders: Path, *, force: bool = False) -> EncoderRecord:
    """Deletes an encoder's file for good. Its record stays, and says what it was.

    Raises UsageError for the generic one, the active one, and, without `force`, the one that a rollback leads to.
    """
    encoder = usable_encoder(store, name, encoders)
    if encoder is None:
        raise UsageError("The generic voice is part of PenPal and cannot be removed.")
    shown, active = encoder.id[:SHOWN], store.active_encoder()
    if active and active.id == encoder.id:
        raise UsageError(
            f"Voice {shown} is in use: choose another one first with 'penpal encoder use', then remove it."
        )
    if not force and way_back(store, encoders)[:1] == [encoder]:
        raise UsageError(f"Voice {shown} is where 'penpal encoder rollback' leads: add --force to remove it anyway.")
    (encoders / encoder.file).unlink()
    return encoder


def way_back(store: Store, encoders: Path) -> list[EncoderRecord | None]:
    """The voices that were active before the active one (None: generic), the latest first, without removed ones."""
    known = {encoder.id: encoder for encoder in store.encoders()}
    stack: list[str | None] = [None]
    for record in store.activation_history():
        if record.reason.startswith(ROLLED_BACK) and len(stack) > 1:
            stack.pop()
            while len(stack) > 1 and stack[-1] != record.encoder_id:  # it passed over removed ones
                stack.pop()
        elif record.encoder_id != stack[-1]:
            stack.append(record.encoder_id)
    active = stack.pop()
    before = [known[encoder_id] if encoder_id else None for encoder_id in reversed(stack) if encoder_id != active]
    return [encoder for encoder in before if encoder is None or not is_removed(encoder, encoders)]

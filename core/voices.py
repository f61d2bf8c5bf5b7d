"""Which voice writes: the active encoder, its history, and the way back."""

from __future__ import annotations

from core.errors import UsageError
from core.store import EncoderRecord, Store

GENERIC = "generic"


def find_encoder(store: Store, name: str) -> EncoderRecord | None:
    """The encoder whose id starts with `name`; None for 'generic'. Raises UsageError for none or several."""
    if name == GENERIC:
        return None
    found = [encoder for encoder in store.encoders() if encoder.id.startswith(name)]
    if len(found) != 1:
        problem = "No encoder" if not found else "More than one encoder"
        raise UsageError(f"{problem} has an id that starts with '{name}': 'penpal encoder list' shows them.")
    return found[0]


def use_encoder(store: Store, name: str) -> EncoderRecord | None:
    """Makes an encoder, or 'generic', the active one."""
    encoder = find_encoder(store, name)
    store.activate_encoder(encoder.id if encoder else None, "chosen by hand")
    return encoder


def roll_back(store: Store) -> EncoderRecord | None:
    """Makes the one before the active encoder active again; rolling back twice goes two steps back."""
    stack: list[str | None] = [None]
    for record in store.activation_history():
        if record.reason == ROLLED_BACK and len(stack) > 1:
            stack.pop()
        elif record.encoder_id != stack[-1]:
            stack.append(record.encoder_id)
    if len(stack) == 1:
        raise UsageError("There is nothing to roll back: the generic voice has always been active.")
    store.activate_encoder(stack[-2], ROLLED_BACK)
    return next((e for e in store.encoders() if e.id == stack[-2]), None)


ROLLED_BACK = "rolled back"

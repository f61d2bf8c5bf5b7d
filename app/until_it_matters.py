"""How many more answers until what PenPal learns from them no longer looks like luck."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.learning import MAX_P_VALUE
from core.errors import PenPalError
from core.rating import more_needed

if TYPE_CHECKING:
    from app.wiring import PenPal
    from core.session import Writer


def how_much_more(penpal: PenPal, writer: Writer) -> int | None:
    """About how many; 0 when the next run has enough; None where that cannot be told."""
    if writer.voice.encoder is None:
        return None
    try:
        path = penpal.fast_path()
        return more_needed(path.answered, path.luck(), enough=MAX_P_VALUE)
    except PenPalError:
        return None

"""What plain chat and plain rating share: drafts written and read out, an edit by hand, and learning at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

from app.cli.interrupt import first_interrupt
from app.plain import InputEnded, Lines
from app.tui.external_editor import edit_outside
from app.tui.turn_view import DraftView, TurnView, place_of_edit
from app.tui.wording import count_words, counted
from core.errors import PenPalError
from core.feedback import words
from core.store import Store

if TYPE_CHECKING:
    from app.wiring import PenPal
    from core.session import Proposal, Writer

SAY_EVERY_S = 5.0
"""How often it is said that drafts are still being written: often enough to know, seldom enough to bear aloud."""


def write_drafts(proposal: Proposal, lines: Lines) -> None:
    """Writes all drafts to their end. Ctrl-C stops them and keeps what is there; a second one leaves."""
    lines.say(f"Writing {counted(len(proposal.draft_ids), 'draft')}. Ctrl-C stops.")
    texts = ["" for _ in proposal.draft_ids]
    said_at = time.monotonic()
    try:
        with first_interrupt() as interrupted:
            for chunk in proposal.stream(cancelled=interrupted):
                texts[chunk.draft] += chunk.text
                if time.monotonic() - said_at > SAY_EVERY_S:
                    said_at = time.monotonic()
                    lines.say(f"Still writing, {sum(len(words(text)) for text in texts)} words so far.")
    except KeyboardInterrupt:
        raise InputEnded(exit_code=130) from None


def said_drafts(turn: TurnView) -> str:
    """The drafts of a turn, one after the other."""
    return said_texts([(draft.shown, _about(draft)) for draft in turn.drafts])


def said_texts(drafts: Sequence[tuple[str, str]]) -> str:
    """Texts with what is to be said about each."""
    said = []
    for number, (text, about) in enumerate(drafts, 1):
        said.append(f"\nDraft {number} of {len(drafts)}{about}, {count_words(text)}:\n{text.strip() or '(nothing)'}")
    return "\n".join(said)


def _about(draft: DraftView) -> str:
    marks = {
        "picked": draft.picked,
        "starred": draft.star is not None,
        "edited by you": draft.edited is not None,
        "stopped": draft.status == "cancelled",
        "broke off": draft.status == "failed",
    }
    return "".join(f", {mark}" for mark, is_so in marks.items() if is_so)


def edited_by_hand(lines: Lines, store: Store, draft_id: int, shown: str) -> str | None:
    """The person's version of a draft; None when they leave it."""
    return written_by_hand(lines, store, place_of_edit(draft_id), shown)


def written_by_hand(lines: Lines, store: Store, place: str, shown: str, *, anew: bool = False) -> str | None:
    """What the person makes of a text: in their editor when they have one, else typed. None when they leave it.

    What is typed is kept at a place of the store as it is typed, and goes on from what is there, unless `anew`.
    """
    begun = "" if anew else store.unsaved(place)
    if lines.by_hand and editor_is_named():
        return edit_outside(begun or shown)
    lines.say("Type your version. A line with only a dot ends it, a line with only /no leaves it.")
    if begun:
        lines.say(f"You had begun; go on from here:\n{begun}")
    text = lines.ask_lines(begun=begun, keep=lambda typed: store.keep_unsaved(place, typed))
    return text if text and text.strip() else None


def editor_is_named() -> bool:
    """Whether the person says which editor is theirs."""
    return bool(os.environ.get("VISUAL") or os.environ.get("EDITOR"))


def learn(penpal: PenPal, writer: Future[Writer], turn_id: int) -> None:
    """Lets the next drafts lean on what was answered. What goes wrong here, the next run learns all the same."""
    if writer.done() and writer.exception() is None:
        with suppress(PenPalError):
            penpal.learn_now(writer.result(), turn_id)

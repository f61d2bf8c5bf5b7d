"""The terminal screens. Nothing here is imported before a person asks for a screen: textual is slow to import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.attachments import Attachment
    from app.pair_sources import FoundPair
    from app.wiring import PenPal


def run_chat(penpal: PenPal, attached: Sequence[Attachment] = (), *, context: str | None = None) -> None:
    """Opens the chat and returns when the person leaves; `attached` is put below the first prompt.

    Raises UsageError without a terminal.
    """
    from app.tui.app import PenPalApp, need_terminal
    from app.tui.screens.chat import ChatScreen

    need_terminal("penpal chat", instead="'--plain' talks in plain lines, and 'penpal write \"your prompt\"' drafts")
    PenPalApp(penpal, ChatScreen(penpal.store, context=context, attached=attached, welcome=True)).run()


def run_rate(
    penpal: PenPal,
    prompts: Sequence[str],
    pairs: Sequence[FoundPair] = (),
    *,
    context: str | None = None,
    goal: int | None = None,
) -> None:
    """Shows pair after pair and returns when the person leaves: drafts for prompts, or these pairs if there are any.

    Raises UsageError without a terminal or prompts.
    """
    from app.pair_sources import pair_source
    from app.tui.app import PenPalApp, need_terminal
    from app.tui.screens.rate import GOAL, RateScreen

    source = pair_source(prompts, pairs, context=context)
    need_terminal("penpal rate", instead="'--plain' asks in plain lines, and 'penpal write' drafts without one")
    wanted = min(goal or GOAL, len(pairs) or goal or GOAL)
    PenPalApp(penpal, RateScreen(penpal.store, source, goal=wanted)).run()

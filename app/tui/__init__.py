"""The terminal screens. Nothing here is imported before a person asks for a screen: textual is slow to import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.wiring import PenPal


def run_chat(penpal: PenPal, *, context: str | None = None) -> None:
    """Opens the chat and returns when the person leaves. Raises UsageError without a terminal."""
    from app.tui.app import PenPalApp, need_terminal
    from app.tui.screens.chat import ChatScreen

    need_terminal("penpal chat", instead="'penpal write \"your prompt\"' drafts without one")
    PenPalApp(penpal, ChatScreen(penpal.store, context=context)).run()


def run_rate(penpal: PenPal, prompts: Sequence[str], *, context: str | None = None) -> None:
    """Shows pair after pair and returns when the person leaves. Raises UsageError without a terminal or prompts."""
    from app.tui.app import PenPalApp, need_terminal
    from app.tui.screens.rate import RateScreen
    from core.errors import UsageError

    if not any(prompt.strip() for prompt in prompts):
        raise UsageError("There are no prompts to rate drafts for: write one per line.")
    need_terminal("penpal rate", instead="'penpal write' and 'penpal feedback pick' do the same without one")
    prompts = [prompt for prompt in prompts if prompt.strip()]
    PenPalApp(penpal, RateScreen(penpal.store, prompts, context=context)).run()

"""Why a draft was not chosen: a reason on one key, or the person's own words."""

from __future__ import annotations

from app.tui.screens.hint import HintScreen
from core.feedback import WRONG_FACT


class WhyScreen(HintScreen):
    """The reason; empty when they went back."""

    HELP_TITLE = "Why"
    QUESTION = "what is wrong with the one that you do not choose?"
    SUGGESTIONS = (
        "too long", "too short", "too formal", "too casual", "stilted", "not me", "off topic", WRONG_FACT,
    )  # fmt: skip
    IN_YOUR_WORDS = "or in your words"

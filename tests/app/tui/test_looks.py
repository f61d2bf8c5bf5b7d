"""What is chosen, focused or wrong shows without colour, and the themes survive terminals of 256 colours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from rich.color import Color, ColorSystem
from textual.theme import Theme

from app.tui.theme import THEMES

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]


async def test_without_colour_marks_and_frames_say_it_all(open_chat: OpenChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("2")
        left, right = chat.screen.pair.cards
        assert "✓ picked" in right.border_title
        assert (frame(left), frame(right), frame(chat.screen.composer)) == ("round", "heavy", "round")
        await chat.press("tab")
        assert (frame(left), frame(right), frame(chat.screen.composer)) == ("round", "round", "heavy")
        chat.screen.notice.say("Something is wrong.")
        await chat.pilot.pause()
        assert "⚠ Something is wrong." in drawn(chat)
        assert colours(chat) == set()


def frame(widget: Any) -> str:
    return str(widget.styles.border_top[0])


def drawn(chat: Any) -> str:
    return "\n".join(strip.text for strip in chat.screen._compositor.render_strips())


def colours(chat: Any) -> set[Any]:
    """What is drawn and no shade of grey."""
    strips = [filtered(chat, strip) for strip in chat.screen._compositor.render_strips()]
    styles = [segment.style for strip in strips for segment in strip if segment.style is not None]
    found = {color.triplet for style in styles for color in (style.color, style.bgcolor) if color is not None}
    return {triplet for triplet in found if triplet is not None and len(set(triplet)) > 1}


def filtered(chat: Any, strip: Any) -> Any:
    app = chat.pilot.app
    for line_filter in app.get_line_filters():
        strip = strip.apply_filter(line_filter, app.screen.background_colors[1])
    return strip


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_what_differs_still_differs_in_256_colours(theme: Theme) -> None:
    shades = {
        "background": theme.background,
        "panel": theme.panel,
        "line": theme.variables["line"],
        "dim": theme.variables["dim"],
        "foreground": theme.foreground,
        "accent": theme.accent,
        "error": theme.error,
    }
    numbers = {name: Color.parse(str(shade)).downgrade(ColorSystem.EIGHT_BIT).number for name, shade in shades.items()}
    pairs = [("background", other) for other in ("panel", "line", "dim", "foreground", "accent", "error")]
    pairs += [("foreground", "dim"), ("foreground", "accent"), ("dim", "accent")]
    assert [pair for pair in pairs if numbers[pair[0]] == numbers[pair[1]]] == []

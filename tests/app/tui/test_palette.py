"""The command palette, the footer and the themes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from textual.color import Color
from textual.command import CommandPalette
from textual.widgets import Input

from app.tui.palette import actions_on
from app.tui.theme import CONTRAST, DARK, LIGHT, own_variables
from app.wiring import PenPal
from core.settings import Settings

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]


def names(chat: Any) -> set[str]:
    return {action.binding.id for action in actions_on(chat.screen)}


async def test_the_palette_offers_what_can_be_done_now_wherever_the_focus_is(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        assert {"composer.send", "chat.new", "chat.search", "app.help", "list.rename"} <= names(chat)
        assert not {"drafts.edit", "thread.copy"} & names(chat)  # there are no drafts, and nothing was kept
        await chat.drafts()
        chat.screen.composer.focus()
        assert {"drafts.edit", "drafts.keep", "composer.send"} <= names(chat)


async def test_the_palette_does_it(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        chat.screen.composer.focus()
        await chat.press("ctrl+p")
        palette = chat.pilot.app.screen
        assert isinstance(palette, CommandPalette)
        palette.query_one(Input).value = "Prefer draft 2"
        await chat.until(lambda: palette.query_one("OptionList").option_count == 1)
        await chat.press("enter")
        await chat.until(lambda: chat.screen.waiting.picked is not None)
        assert chat.screen.waiting.drafts[1].picked


async def test_a_theme_that_was_chosen_is_remembered_until_the_settings_say_otherwise(
    open_chat: OpenChat, penpal: PenPal
) -> None:
    async with open_chat() as chat:
        assert chat.pilot.app.theme == "penpal-dark"
        chat.pilot.app.theme = "penpal-contrast"
        await chat.until(lambda: penpal.store.preference("theme in place of dark") == "penpal-contrast")
    async with open_chat() as chat:
        assert chat.pilot.app.theme == "penpal-contrast"
    penpal.settings = Settings(theme="light")
    async with open_chat() as chat:
        assert chat.pilot.app.theme == "penpal-light"
    penpal.settings = Settings(theme="dark")
    async with open_chat() as chat:
        assert chat.pilot.app.theme == "penpal-contrast"


async def test_a_remembered_theme_that_is_gone_does_not_matter(open_chat: OpenChat, penpal: PenPal) -> None:
    penpal.store.keep_preference("theme in place of dark", "no-such-theme")
    async with open_chat() as chat:
        assert chat.pilot.app.theme == "penpal-dark"


async def test_every_theme_on_offer_can_be_drawn(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        for theme in chat.pilot.app.available_themes.values():
            own_variables(theme)
        for name in ("penpal-contrast", "gruvbox", "textual-light"):
            chat.pilot.app.theme = name
            await chat.pilot.pause()
            assert chat.pilot.app.is_running


@pytest.mark.parametrize(("theme", "least"), [(DARK, 4.5), (LIGHT, 4.5), (CONTRAST, 7.0)], ids=lambda x: str(x))
def test_text_stands_out_from_its_paper(theme: Any, least: float) -> None:
    """4.5 is what WCAG asks of text, 7 of text with more contrast."""
    paper = Color.parse(theme.background)
    inks = [theme.foreground, theme.accent, theme.error, theme.variables["dim"]]
    assert min(contrast(Color.parse(ink), paper) for ink in inks) >= least


def contrast(one: Color, other: Color) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    parts = (part / 255 for part in color.rgb)
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_foreign_themes_get_colours_between_paper_and_ink() -> None:
    variables = own_variables(DARK)
    assert set(variables) == {"dim", "line"}
    dim, line, paper = (Color.parse(c) for c in (variables["dim"], variables["line"], DARK.background))
    assert paper.brightness < line.brightness < dim.brightness

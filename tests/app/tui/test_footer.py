"""The line of keys: what fits, help always, in an order that keys of one's own do not change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from textual.screen import Screen
from textual.widgets._footer import FooterKey

from app.tui.screens.merge import MergeScreen
from app.tui.widgets.fitting_footer import FittingFooter
from app.wiring import PenPal
from core.settings import Settings

Open = Callable[..., AbstractAsyncContextManager[Any]]


def named(screen: Screen[Any]) -> list[str]:
    return [f"{key.key_display} {key.description}" for key in screen.query(FooterKey)]


def all_in_sight(screen: Screen[Any]) -> bool:
    (footer,) = screen.query(FittingFooter)
    return all(key.region in footer.region for key in footer.query(FooterKey))


@pytest.mark.parametrize("columns", [60, 120])
async def test_help_is_in_sight_wherever_the_focus_is(open_chat: Open, columns: int) -> None:
    async with open_chat(size=(columns, 24)) as chat:
        seen = []
        for step in ("", "drafts", "e", "escape", "m"):
            await (chat.drafts() if step == "drafts" else chat.press(*filter(None, [step])))
            await chat.pilot.pause()
            seen.append(named(chat.pilot.app.screen))
            assert all_in_sight(chat.pilot.app.screen), seen[-1]
            assert seen[-1][-2:] == ["F1 help", "^p more"]
        assert isinstance(chat.pilot.app.screen, MergeScreen)
        assert seen[1][:4] == ["1/2 pick", "e edit", "⏎ keep", "r redo"]
        assert ("m merge" in seen[1]) is (columns == 120)


async def test_what_there_is_room_for_comes_and_goes_with_the_window(open_chat: Open) -> None:
    async with open_chat(size=(60, 24)) as chat:
        assert "^n new" not in named(chat.screen)
        await chat.pilot.resize_terminal(120, 36)
        await chat.until(lambda: "^n new" in named(chat.screen))
        await chat.pilot.resize_terminal(60, 24)
        await chat.until(lambda: "^n new" not in named(chat.screen))


async def test_rating_on_a_narrow_screen_names_the_choice_and_the_way_out(open_rate: Open) -> None:
    async with open_rate(size=(60, 24)) as rate:
        await rate.until(lambda: rate.screen.pair)
        await rate.pilot.pause()
        assert {"← left", "→ right", "t tie", "q quit", "F1 help"} <= set(named(rate.screen))
        assert all_in_sight(rate.screen)


async def test_keys_of_ones_own_stay_in_their_place(open_chat: Open, penpal: PenPal) -> None:
    penpal.settings = Settings(keys={"drafts.pick-left": "8", "drafts.edit": "v"})
    async with open_chat() as chat:
        await chat.drafts()
        assert named(chat.screen)[:3] == ["8/2 pick", "v edit", "⏎ keep"]

"""Redo with a hint."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from app.tui.screens.hint import SUGGESTIONS, HintScreen
from core.feedback import in_force
from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]
WARM, DRY = WARM_AND_DRY


@pytest.fixture(autouse=True)
def drafts(decoder: ScriptedDecoder) -> None:
    decoder.texts = [WARM, DRY, "Third.", "Fourth.", "Fifth.", "Sixth."]


async def redo(chat: Any, *keys: str) -> None:
    """Asks for other drafts and waits for them."""
    before = chat.screen.waiting.drafts[0].id
    await chat.press("R")
    await chat.until(lambda: isinstance(chat.pilot.app.screen, HintScreen))
    await chat.press(*keys)
    await chat.until(lambda: chat.screen.stream is None and chat.screen.waiting.drafts[0].id != before)


def notes(chat: Any) -> list[str | None]:
    return [act.note for act in in_force(chat.penpal.store.acts(chat.screen.turn.turn.id)) if act.kind == "redo"]


@pytest.mark.parametrize(
    ("keys", "hint"), [(("1",), SUGGESTIONS[0]), ((*"mention 2 cakes.", "enter"), "mention 2 cakes")]
)
async def test_a_hint_is_kept_with_the_redo_and_read_by_the_decoder(
    open_chat: OpenChat, decoder: ScriptedDecoder, keys: tuple[str, ...], hint: str
) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await redo(chat, *keys)
        assert notes(chat) == [hint, hint]
        assert decoder.asked[-1][0][-1].content == f"Write.\n\nImportant: {hint}."
        assert f"asked for: {hint}" in chat.screen.status.hint


async def test_hints_add_up_and_an_undone_one_is_forgotten(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await redo(chat, "1")
        await redo(chat, "3")
        assert decoder.asked[-1][0][-1].content == "Write.\n\nImportant: shorter, warmer."
        await chat.press("u")
        await redo(chat, "4")
        assert decoder.asked[-1][0][-1].content == "Write.\n\nImportant: shorter, more formal."


async def test_all_drafts_are_compared_as_answers_to_the_same_prompt(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await redo(chat, "1")
        await chat.press("1", "enter")
        evidence = chat.penpal.store.evidence(backbone_id="scripted")
        assert {one.messages[-1].content for one in evidence} == {"Write."}
        assert [(one.source, one.chosen.text, one.rejected.text) for one in evidence] == [
            ("redo", "Third.", WARM),
            ("redo", "Third.", DRY),
            ("pick", "Third.", "Fourth."),
        ]
        assert evidence[0].reason == "you asked for another one: shorter"


async def test_without_a_hint_nothing_happens(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        for keys in (("escape",), ("enter",), (" ", "enter")):
            await chat.press("R", *keys)
            assert not isinstance(chat.pilot.app.screen, HintScreen)
            assert (len(decoder.asked), chat.kinds()) == (1, [])
            assert chat.screen.pair.cards[0].has_focus


async def test_redo_at_once_still_asks_nothing(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("r")
        await chat.until(lambda: chat.screen.stream is None and chat.screen.waiting.drafts[0].text == "Third.")
        assert notes(chat) == [None, None]
        assert decoder.asked[-1][0][-1].content == "Write."

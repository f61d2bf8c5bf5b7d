"""One text out of two drafts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from app.tui.screens.merge import MergeScreen
from tests.scripted_decoder import ScriptedDecoder

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]

LEFT = "Dear Ann,\n\nIt rains. Come soon!"
RIGHT = "Hello Ann,\n\nThe sun is out. Come when you like."
BOTH = "Dear Ann,\n\nThe sun is out. Come soon!"


@pytest.fixture(autouse=True)
def drafts(decoder: ScriptedDecoder) -> None:
    decoder.texts = [LEFT, RIGHT]


async def merging(chat: Any, *keys: str) -> MergeScreen:
    await chat.drafts()
    await chat.press("m")
    await chat.until(lambda: isinstance(chat.pilot.app.screen, MergeScreen))
    await chat.pilot.pause()
    await chat.press(*keys)
    return chat.pilot.app.screen


BOTH_BY_KEYS = ("space", "right", "down", "space", "left", "down", "down", "space")


async def test_sentences_of_both_drafts_make_one_text_that_wins_over_both(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        screen = await merging(chat, *BOTH_BY_KEYS)
        assert screen.editor.text == BOTH
        assert [one.border_subtitle for one in screen.lists] == ["2 of 3 taken", "1 of 3 taken"]
        await chat.press("ctrl+s")
        await chat.until(lambda: chat.kinds() == ["edit"])
        (act,) = chat.penpal.store.acts(chat.screen.turn.turn.id)
        left, right = chat.screen.waiting.drafts
        assert (act.draft_id, act.other_draft_id, act.text) == (left.id, right.id, BOTH)
        assert (left.text, left.shown, right.shown) == (LEFT, BOTH, RIGHT)
        assert "✓ put together" in chat.screen.pair.cards[0].border_title
        await chat.press("enter")
        assert chat.kinds() == ["edit", "accept"]
        assert (chat.screen.turn.kept, chat.screen.turn.about_kept()) == (BOTH, "kept, put together from both drafts")
        evidence = chat.penpal.store.evidence(backbone_id="scripted")
        assert [(one.source, one.chosen.text, one.rejected.text) for one in evidence] == [
            ("merge", "Dear Ann, Come soon!", "It rains."),
            ("merge", "The sun is out.", "Hello Ann, Come when you like."),
        ]


async def test_a_merge_is_kept_when_the_next_prompt_is_sent(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await merging(chat, *BOTH_BY_KEYS, "ctrl+s")
        await chat.until(lambda: chat.kinds() == ["edit"])
        await chat.drafts("Second.")
        assert chat.screen.turns[0].kept == BOTH
        assert [message.content for message in decoder.asked[-1][0]] == ["Write.", BOTH, "Second."]


async def test_a_sentence_goes_out_again_and_the_text_can_be_changed_before_it_is_saved(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        screen = await merging(chat, "a", "down", "space", "tab", "tab")
        assert screen.editor.has_focus
        assert screen.editor.text == "Dear Ann,\n\nCome soon!"
        await chat.press("ctrl+end", *" Please.")
        assert screen.lists[0].border_subtitle == "2 of 3 taken"
        await chat.press(*["backspace"] * 9, ".")
        assert screen.lists[0].border_subtitle == "1 of 3 taken"  # 'Come soon.' is the person's own
        await chat.press("ctrl+s")
        await chat.until(lambda: chat.kinds() == ["edit"])
        assert chat.screen.waiting.drafts[0].shown == "Dear Ann,\n\nCome soon."


async def test_a_sentence_comes_in_where_the_cursor_is_and_the_editor_undoes_it(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        screen = await merging(chat, "a", "tab", "tab", "up", "up", "end", "shift+tab", "space")
        assert screen.editor.text == "Dear Ann,\n\nHello Ann,\n\nIt rains. Come soon!"
        await chat.press("tab", "ctrl+z")
        assert screen.editor.text == LEFT


async def test_a_merge_that_was_left_comes_back_even_after_a_restart(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await merging(chat, "space", "escape")
        assert chat.kinds() == []
        assert "m goes on with your merge" in chat.screen.status.hint
    async with open_chat() as chat:
        assert chat.screen.waiting is not None
        await chat.press("m")
        await chat.until(lambda: isinstance(chat.pilot.app.screen, MergeScreen))
        assert chat.pilot.app.screen.editor.text == "Dear Ann,"


async def test_an_edit_of_a_merged_text_is_a_merge_and_undo_goes_back_step_by_step(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await merging(chat, *BOTH_BY_KEYS, "ctrl+s")
        await chat.until(lambda: chat.kinds() == ["edit"])
        await chat.press("e", *" Bye.", "ctrl+s")
        assert {one.source for one in chat.penpal.store.evidence(backbone_id="scripted")} == {"merge"}
        assert chat.screen.waiting.drafts[0].shown == f"{BOTH} Bye."
        await chat.press("u")
        assert chat.screen.waiting.drafts[0].shown == BOTH
        await chat.press("u")
        assert chat.screen.waiting.drafts[0].shown == LEFT
        assert chat.kinds() == []


async def test_a_pick_after_a_merge_counts_and_the_merge_can_be_preferred_again(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await merging(chat, *BOTH_BY_KEYS, "ctrl+s")
        await chat.until(lambda: chat.kinds() == ["edit"])
        await chat.press("2")
        assert [draft.picked for draft in chat.screen.waiting.drafts] == [False, True]
        await chat.press("1")
        assert [draft.picked for draft in chat.screen.waiting.drafts] == [True, False]
        assert chat.kinds() == ["edit", "pick", "edit"]


async def test_nothing_to_save_is_said_and_one_draft_cannot_be_merged(
    open_chat: OpenChat, decoder: ScriptedDecoder
) -> None:
    decoder.texts = [LEFT, ""]
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("m")
        assert "two drafts" in chat.screen.notice.text
        decoder.texts = [LEFT, RIGHT]
        screen = await merging(chat, "ctrl+s")
        assert chat.pilot.app.screen is screen
        assert "nothing to save" in [toast.message for toast in chat.pilot.app._notifications][-1]


async def test_everything_fits(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        screen = await merging(chat)
        for size in ((120, 36), (80, 24), (60, 24)):
            await chat.pilot.resize_terminal(*size)
            await chat.pilot.pause()
            for part in (*screen.lists, screen.editor):
                assert part.size.height >= 2
                assert part.region in screen.region

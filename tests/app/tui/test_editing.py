"""Editing a draft in the chat: changes are shown while they are typed, and taken or left out one by one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from textual.widgets import Static

from core.feedback import edit_distance
from tests.scripted_decoder import ScriptedDecoder

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]

LEFT = "I hope that we can meet for lunch on Friday at noon."
RIGHT = "Lunch?"
MINE = "I trust that we can meet for supper on Friday at eight."


@pytest.fixture(autouse=True)
def drafts(decoder: ScriptedDecoder) -> None:
    decoder.texts = [LEFT, RIGHT]


async def edited(chat: Any, text: str = MINE) -> Any:
    """Draft 1 edited to this text and saved; returns its card."""
    await chat.drafts()
    await chat.press("1", "e")
    chat.screen.pair.editing.editor.load_text(text)
    await chat.press("ctrl+s")
    await chat.until(lambda: chat.screen.pair.cards[0].editor is None)
    await chat.pilot.pause()
    return chat.screen.pair.cards[0]


def shown(chat: Any) -> str:
    assert chat.screen.waiting is not None
    return str(chat.screen.waiting.drafts[0].shown)


async def test_changes_are_shown_while_they_are_typed(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "e")
        (live,) = chat.screen.pair.cards[0].query("LiveChanges")
        assert not live.display
        chat.screen.pair.editing.editor.move_cursor((0, 0))
        await chat.press(*"Well, ")
        assert live.display
        content = live.query_one(Static).content
        assert content.plain == "Well, I hope that we … "
        await chat.press(*["backspace"] * 6)
        assert not live.display
        chat.screen.pair.editing.editor.load_text("word " * 5000)  # too long to be compared at each key
        await chat.press("!")
        assert not live.display


async def test_each_change_can_be_left_out_and_taken_in_again(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        card = await edited(chat)
        assert card.border_subtitle == "change 1 of 3"
        styles = {card.changes.content.plain[s.start : s.end]: str(s.style) for s in card.changes.content.spans}
        assert "strike" in styles["lunch"]  # without colour too, what is gone differs from what is new
        assert "underline" in styles["supper"]
        await chat.press("n", "space")
        assert shown(chat) == MINE.replace("supper", "lunch")
        assert card.border_subtitle == "change 2 of 3 · 1 left out"
        await chat.press("space")
        assert shown(chat) == MINE
        await chat.press("p", "p", "x", "x")
        assert shown(chat) == MINE.replace("trust", "hope").replace("eight", "noon")
        assert chat.penpal.store.draft(chat.screen.waiting.drafts[0].id).text == LEFT


async def test_one_key_leaves_all_changes_out_and_another_press_takes_all(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        card = await edited(chat)
        await chat.press("x", "A", "A")
        assert shown(chat) == LEFT
        assert chat.kinds() == ["pick"]
        assert card.border_subtitle == "change 2 of 3 · 3 left out"
        await chat.press("A")
        assert shown(chat) == MINE


async def test_keys_faster_than_the_disk_all_count(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await edited(chat)
        for key in ("x", "x", "x", "p", "space"):
            await chat.pilot.press(key)
        await chat.press()
        await chat.until(lambda: shown(chat) == MINE.replace("trust", "hope").replace("supper", "lunch"))


async def test_what_was_learned_is_the_text_that_is_left(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await edited(chat)
        await chat.press("n", "x", "enter")
        left = MINE.replace("supper", "lunch")
        assert chat.screen.turn.kept == left
        (edit,) = (one for one in chat.penpal.store.evidence(backbone_id="scripted") if one.source == "edit")
        assert (edit.chosen.text, edit.rejected.text) == (left, LEFT)
        assert edit.weight == pytest.approx(2 * edit_distance(LEFT, left))


async def test_undo_takes_the_last_decision_back(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        card = await edited(chat)
        await chat.press("space", "u")
        assert shown(chat) == MINE
        assert card.border_subtitle == "change 1 of 3"
        await chat.press("u")
        assert (shown(chat), card.changes) == (LEFT, None)


async def test_a_key_shows_what_changed_and_hides_it_again(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        card = await edited(chat)
        await chat.press("escape")
        assert (card.changes, card.has_focus) == (None, True)
        assert "edited +3 −3 words" in card.border_subtitle
        await chat.press("d")
        assert card.changes.has_focus
        await chat.press("d")
        assert card.changes is None
        await chat.press("right", "d")
        assert "not changed" in chat.screen.notice.text


async def test_the_other_keys_of_a_draft_go_on_working_while_changes_are_shown(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        card = await edited(chat)
        await chat.press("2")
        assert chat.screen.waiting.drafts[1].picked
        await chat.press("left", "e")
        assert chat.screen.pair.editing is card
        assert chat.screen.pair.editing.editor.text == MINE


async def test_changes_go_away_with_their_draft(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        card = await edited(chat)
        await chat.press("r")
        await chat.until(lambda: chat.screen.stream is None and chat.screen.waiting.drafts[0].shown == LEFT)
        assert card.changes is None
        assert str(card.query_one(".draft-text", Static).content) == LEFT


async def test_an_open_edit_has_the_narrow_screen_to_itself(open_chat: OpenChat) -> None:
    async with open_chat(size=(60, 24)) as chat:
        await chat.drafts()
        await chat.press("1", "e")
        left, right = chat.screen.pair.cards
        assert (left.display, right.display) == (True, False)
        await chat.press("escape")
        assert right.display

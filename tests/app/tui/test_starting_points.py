"""Ways to begin: from a message to answer, from a text to rewrite or to continue, from a file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from textual.widgets import Input, TextArea

from app.attachments import Attachment
from app.starting_points import CONTINUE, REPLY, REWRITE, STARTING_POINTS
from app.tui.app import PenPalApp
from app.tui.palette import actions_on
from app.tui.screens.chat import ChatScreen
from app.tui.screens.start import StartFormScreen, StartScreen
from app.wiring import PenPal
from core.errors import UsageError
from tests.app.tui.conftest import Chat, until

Open = Callable[..., AbstractAsyncContextManager[Chat]]
MAIL = 'Hi Sam,\nwill you "come" on Friday?\nPaula'


async def form(chat: Chat, key: str = "2") -> StartFormScreen:
    await chat.pilot.press("ctrl+t", key)
    await chat.pilot.pause()
    shown = chat.pilot.app.screen
    assert isinstance(shown, StartFormScreen)
    return shown


async def test_a_reply_is_drafted_from_a_wish_and_a_pasted_message(open_chat: Open) -> None:
    async with open_chat() as chat:
        shown = await form(chat)
        await chat.pilot.press(*"yes", "enter")
        assert shown.query_one(TextArea).has_focus
        shown.query_one(TextArea).load_text(MAIL)
        await chat.pilot.press("ctrl+s")
        await until(lambda: chat.screen.stream is None and chat.screen.waiting)
        assert chat.screen.turn is not None
        assert chat.screen.turn.turn.prompt == REPLY.prompt("yes", MAIL)
        assert chat.screen.composer.text == ""


async def test_the_palette_offers_the_starting_points_and_the_tour(open_chat: Open) -> None:
    async with open_chat() as chat:
        titles = [action.title for action in actions_on(chat.screen)]
        assert "Reply to a message, rewrite or continue a text" in titles
        assert "Be shown around" in titles


async def test_a_new_text_begins_a_new_conversation(open_chat: Open) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("a")
        await chat.pilot.press("ctrl+t", "1")
        await until(lambda: chat.screen.conversation_id is None)
        assert chat.screen.composer.has_focus


async def test_a_start_in_an_old_conversation_begins_a_new_one(open_chat: Open) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("a")
        await form(chat, "3")
        chat.pilot.app.screen.query_one(TextArea).load_text("A text.")
        await chat.pilot.press("ctrl+s")
        await until(lambda: chat.screen.stream is None and chat.screen.waiting)
        assert chat.screen.conversation_id == 2


async def test_what_is_typed_stays_until_it_is_sent(open_chat: Open) -> None:
    async with open_chat() as chat:
        shown = await form(chat)
        await chat.pilot.press(*"yes")
        shown.query_one(TextArea).load_text(MAIL)
        await chat.pilot.press("escape")
        await until(lambda: not chat.screen.unsaved.dirty)
    async with open_chat() as chat:
        shown = await form(chat)
        assert (shown.query_one(Input).value, shown.query_one(TextArea).text) == ("yes", MAIL)
        await chat.pilot.press("ctrl+s")
        await until(lambda: chat.screen.stream is None and chat.screen.waiting)
        shown = await form(chat)
        assert (shown.query_one(Input).value, shown.query_one(TextArea).text) == ("", "")


async def test_the_text_in_the_prompt_is_taken_over(open_chat: Open) -> None:
    async with open_chat() as chat:
        chat.screen.composer.replace_text(MAIL)
        shown = await form(chat)
        assert shown.query_one(TextArea).text == MAIL
        await chat.pilot.press("escape")
        assert chat.screen.composer.text == MAIL
        await form(chat)
        await chat.pilot.press("ctrl+s")
        await until(lambda: chat.screen.stream is None and chat.screen.waiting)
        assert chat.screen.composer.text == ""


async def test_a_missing_text_is_said_in_the_form(open_chat: Open) -> None:
    async with open_chat() as chat:
        shown = await form(chat)
        await chat.pilot.press("ctrl+s")
        assert "The message is missing" in str(shown.query_one("#start-notice").render())
        assert chat.pilot.app.screen is shown


async def test_nothing_begins_while_drafts_are_being_written(open_chat: Open, decoder) -> None:
    async with open_chat() as chat:
        decoder.delay_s = 0.2
        await chat.send("Say hello.")
        await until(lambda: chat.screen.stream)
        await chat.pilot.press("ctrl+t")
        assert not isinstance(chat.pilot.app.screen, StartScreen)
        assert "still writing" in chat.screen.notice.text


async def test_a_file_waits_below_the_prompt(penpal: PenPal) -> None:
    async def opened_with_it() -> None:
        screen = ChatScreen(penpal.store, attached=[Attachment("mail.txt", MAIL)])
        async with PenPalApp(penpal, screen).run_test(size=(80, 24)):
            await until(lambda: screen.status.phase == "ready")
            assert screen.composer.text == f"\n\n{MAIL}"
            assert "mail.txt" in screen.news.text
            assert screen.composer.cursor_location == (0, 0)
            await until(lambda: not screen.unsaved.dirty)

    await opened_with_it()
    await opened_with_it()  # the text is there already, and not put there twice
    async with PenPalApp(penpal, screen := ChatScreen(penpal.store)).run_test() as pilot:
        screen.composer.move_cursor((0, 0))
        await pilot.press(*"yes", "enter")
        await until(lambda: screen.waiting)
        assert screen.turn is not None
        assert screen.turn.turn.prompt == f"yes\n\n{MAIL}"


@pytest.mark.parametrize("point", [REPLY, REWRITE, CONTINUE])
def test_a_prompt_holds_the_wish_and_the_whole_text(point) -> None:
    prompt = point.prompt("be  kind.", MAIL)
    assert MAIL in prompt
    assert "be kind" in prompt.lower()
    assert ".." not in prompt
    assert MAIL in point.prompt("", MAIL)
    with pytest.raises(UsageError, match="is missing"):
        point.prompt("be kind", " \n")


def test_a_text_with_braces_is_taken_as_it_is() -> None:
    assert "{wish} {0}" in REWRITE.prompt("{text}", "{wish} {0}")


def test_every_way_to_begin_has_its_own_name_and_number() -> None:
    assert len({point.name for point in STARTING_POINTS}) == len(STARTING_POINTS) == 4

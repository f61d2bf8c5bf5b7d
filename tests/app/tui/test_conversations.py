"""Whole conversations, driven by keys: search, names, deleting and bringing back, branches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from textual.widgets import Input, OptionList, Static

from app.tui.screens.ask_line import AskLineScreen
from app.tui.screens.search import SearchScreen, in_lines, marked
from app.tui.widgets.conversation_list import families
from core.protocols import Message, Sampling
from core.recorder import Recorder
from core.search_rows import MARK_END, MARK_START
from core.store import Conversation, Found
from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]
WARM, DRY = WARM_AND_DRY
SAMPLING = Sampling(temperature=0.8, top_p=0.95, min_p=0.05, max_tokens=8)


async def talk(chat: Any, *prompts: str) -> int:
    """Opens a conversation of these prompts, with the first draft of each kept; its id."""
    store = chat.penpal.store
    conversation_id = store.add_conversation(prompts[0], origin="chat")
    for prompt in prompts:
        turn_id = store.add_turn(conversation_id, prompt, [Message("user", prompt)])
        for side, text in enumerate(WARM_AND_DRY):
            draft_id = store.add_draft(
                turn_id, side=side, z=None, encoder_id=None, backbone_id="scripted", sampling=SAMPLING, seed=side
            )
            store.finish_draft(draft_id, text, tokens=2, finish="stop", duration_ms=1)
        kept = store.drafts(turn_id)[0]
        Recorder(store).pick(kept.id)
        Recorder(store).accept(kept.id, kept.text)
    assert await chat.screen.switch_to(conversation_id)
    return conversation_id


def listed(chat: Any) -> list[str]:
    return [str(option.prompt).splitlines()[0] for option in chat.screen.sidebar.options]


# --- names and deleting ---------------------------------------------------------------------------------------


async def test_a_conversation_gets_another_name(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        conversation_id = await talk(chat, "First.")
        chat.screen.sidebar.focus()
        await chat.press("r")
        asked = chat.pilot.app.screen
        assert isinstance(asked, AskLineScreen)
        assert asked.query_one(Input).value == "First."
        asked.query_one(Input).value = "  "
        await chat.press("enter")
        assert "at least one letter" in str(asked.query_one("#ask-said", Static).content)
        asked.query_one(Input).value = "Letters to Anna"
        await chat.press("enter")
        assert chat.penpal.store.conversation(conversation_id).title == "Letters to Anna"
        assert listed(chat) == ["Letters to Anna"]
        assert str(chat.screen.query_one("#title", Static).content) == "Letters to Anna"


async def test_delete_and_undo_delete_bring_the_whole_conversation_back(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        kept = await talk(chat, "First.")
        await chat.press("ctrl+n")
        deleted = await talk(chat, "Second.", "Third.")
        lessons = chat.penpal.store.count_lessons()
        chat.screen.sidebar.focus()
        await chat.press("d")
        assert listed(chat) == ["First."]
        assert "no longer learns" in chat.screen.news.text
        assert chat.penpal.store.count_lessons() < lessons
        assert chat.screen.conversation_id is None  # the open one was deleted: a new one is open
        assert chat.screen.sidebar.has_focus
        await chat.press("u")
        assert listed(chat) == ["Second.", "First."]
        assert chat.penpal.store.count_lessons() == lessons
        await chat.press("enter")
        assert chat.screen.conversation_id == deleted != kept
        assert [turn.kept for turn in chat.screen.turns] == [WARM, WARM]
        chat.screen.sidebar.focus()
        await chat.press("u")
        assert "Nothing was deleted" in chat.screen.notice.text


async def test_an_empty_list_says_so(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        chat.screen.sidebar.focus()
        await chat.press("d")
        assert "no conversation yet" in chat.screen.notice.text


# --- search ---------------------------------------------------------------------------------------------------


async def test_search_goes_to_the_turn_that_was_found(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        wanted = await talk(chat, "A note about lanterns.", "Now about otters.", "And about rain.")
        await chat.press("ctrl+n")
        await talk(chat, "Something else.")
        await chat.press("ctrl+f")
        assert isinstance(chat.pilot.app.screen, SearchScreen)
        await chat.pilot.press(*"lant")
        await chat.until(lambda: len(chat.pilot.app.screen.found) == 1)
        await chat.press("enter")
        await chat.until(lambda: chat.screen.conversation_id == wanted)
        await chat.until(lambda: chat.screen.thread.has_focus)
        assert chat.screen.thread.chosen == chat.screen.turns[0].turn.id


async def test_search_shows_what_the_words_leave_and_arrows_choose(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await talk(chat, "Otters and lanterns.", "Otters and rain.")
        await chat.press("ctrl+f")
        search = chat.pilot.app.screen
        await chat.pilot.press(*"otters")
        await chat.until(lambda: len(search.found) == 2)
        assert [hit.snippet.replace(MARK_START, "").replace(MARK_END, "") for hit in search.found] == [
            "Otters and rain.",
            "Otters and lanterns.",
        ]
        await chat.press("down")
        assert search.query_one(OptionList).highlighted == 1
        await chat.pilot.press(*' "lan(')
        await chat.until(lambda: len(search.found) == 1)
        await chat.press(*"zzz")
        await chat.until(lambda: not search.found)
        assert str(search.query_one("#search-said", Static).content) == "nothing found"
        await chat.press("enter")  # nothing to open
        assert chat.pilot.app.screen is search
        await chat.press("escape")
        assert chat.pilot.app.screen is chat.screen


def test_found_words_are_marked_without_colour() -> None:
    text = marked(f"about {MARK_START}otters{MARK_END} and rain")
    assert text.plain == "about otters and rain"
    (mark,) = text.spans
    assert text.plain[mark.start : mark.end] == "otters"
    assert "underline" in str(mark.style)


def test_a_result_fits_its_columns() -> None:
    hit = Found(1, 1, "A title that goes on and on" * 3, "draft", "long words " * 30, "2026-01-02T03:04:05+00:00")
    assert max(len(line) for line in in_lines(hit, 50).plain.splitlines()) <= 50


# --- branches -------------------------------------------------------------------------------------------------


async def test_an_earlier_prompt_is_edited_as_a_branch_and_the_original_stays(
    open_chat: OpenChat, decoder: ScriptedDecoder
) -> None:
    async with open_chat() as chat:
        origin = await talk(chat, "First.", "Second.", "Third.")
        chat.screen.thread.focus()
        await chat.press("up", "e")
        assert chat.screen.composer.text == "Second."
        assert [turn.turn.prompt for turn in chat.screen.turns] == ["First."]
        await chat.drafts("Instead.")
        assert [message.content for message in decoder.asked[-1][0]] == ["First.", WARM, "Instead."]
        branch = chat.screen.conversation_id
        assert [turn.turn.prompt for turn in chat.screen.turns] == ["First.", "Instead."]
        assert listed(chat) == ["First.", "└ Instead."]
        assert [turn.prompt for turn in chat.penpal.store.thread(origin)] == ["First.", "Second.", "Third."]
        chat.screen.composer.focus()
        chat.screen.thread.focus()
        await chat.press("o")
        await chat.until(lambda: chat.screen.conversation_id == origin)
        assert branch != origin


async def test_escape_leaves_a_branch_in_which_nothing_was_sent(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        origin = await talk(chat, "First.", "Second.")
        chat.screen.thread.focus()
        await chat.press("e")
        assert chat.screen.conversation_id != origin
        await chat.press("escape")
        assert chat.screen.conversation_id == origin
        assert listed(chat) == ["First."]
        await chat.until(lambda: chat.penpal.store.unsaved_places() == [])


async def test_a_half_edited_prompt_of_a_branch_comes_back(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await talk(chat, "First.", "Second.")
        chat.screen.thread.focus()
        await chat.press("e", "!", "escape")
        await chat.until(lambda: not chat.screen.unsaved.dirty)
        chat.screen.thread.focus()
        await chat.press("e")
        assert chat.screen.composer.text == "Second.!"
    async with open_chat() as chat:  # as after a crash
        assert chat.screen.composer.text == "Second.!"
        assert [turn.turn.prompt for turn in chat.screen.turns] == ["First."]


async def test_undo_in_a_branch_does_not_touch_the_original(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await talk(chat, "First.", "Second.")
        chat.screen.thread.focus()
        await chat.press("e")
        chat.screen.thread.focus()
        await chat.press("u")
        assert "nothing to take back" in chat.screen.notice.text
        assert [turn.kept for turn in chat.screen.turns] == [WARM]


async def test_only_a_branch_offers_its_original(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        origin = await talk(chat, "First.")
        chat.screen.thread.focus()
        assert "o" not in chat.screen.active_bindings
        await chat.press("o")
        assert chat.screen.conversation_id == origin
        await chat.press("e")
        chat.screen.thread.focus()
        await chat.press("o")
        assert chat.screen.conversation_id == origin


async def test_a_click_chooses_a_turn_and_keys_act_on_it(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await talk(chat, "First.", "Second.")
        prompt = chat.screen.query(".prompt").first()
        places: list[object] = []

        def stands_still() -> bool:
            places.append(prompt.region)
            return len(places) > 20 and len(set(places[-20:])) == 1

        await chat.until(stands_still)
        await chat.pilot.click(prompt)
        assert chat.screen.thread.chosen == chat.screen.turns[0].turn.id
        assert chat.screen.thread.has_focus


def test_branches_stand_below_their_origin_and_the_family_used_last_comes_first() -> None:
    one, two, branch, leaf = (
        Conversation(1, "One", "chat", "", None),
        Conversation(2, "Two", "chat", "", None),
        Conversation(3, "Branch", "chat", "", 1),
        Conversation(4, "Leaf", "chat", "", 3),
    )
    assert list(families([leaf, branch, two, one])) == [(0, one), (1, branch), (2, leaf), (0, two)]
    assert list(families([branch, two])) == [(0, branch), (0, two)]  # its origin was deleted


async def test_what_was_typed_in_a_deleted_conversation_does_not_bring_it_back_at_the_next_start(
    open_chat: OpenChat,
) -> None:
    async with open_chat() as chat:
        deleted = await talk(chat, "First.")
        chat.screen.composer.focus()
        await chat.press(*"half", "shift+tab", "shift+tab")
        assert chat.screen.sidebar.has_focus
        await chat.press("d")
        await chat.until(lambda: not chat.screen.unsaved.dirty)
    async with open_chat() as chat:
        assert chat.screen.conversation_id is None
        chat.screen.sidebar.focus()
        await chat.press("u", "enter")
        await chat.until(lambda: chat.screen.conversation_id == deleted)
        assert chat.screen.composer.text == "half"

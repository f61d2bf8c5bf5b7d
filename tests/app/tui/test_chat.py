"""The chat, driven by keys: drafts, choices, edits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]
WARM, DRY = WARM_AND_DRY


async def test_drafts_stream_side_by_side(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    decoder.gate = threading.Event()
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.pair.display)
        await chat.until(lambda: [str(c.query_one("Static").content) for c in chat.screen.pair.cards] == ["A", "A"])
        await chat.until(lambda: chat.screen.status.phase.startswith("writing"))
        left, right = chat.screen.pair.cards
        assert left.region.y == right.region.y
        assert left.region.right == right.region.x
        decoder.gate.set()
        await chat.until(lambda: chat.screen.waiting)
        assert [draft.text for draft in chat.screen.waiting.drafts] == [WARM, DRY]
        await chat.until(lambda: chat.screen.status.phase == "ready")


async def test_drafts_stack_on_a_narrow_screen_and_the_list_hides(open_chat: OpenChat) -> None:
    async with open_chat(size=(80, 24)) as chat:
        await chat.drafts()
        left, right = chat.screen.pair.cards
        assert left.region.bottom == right.region.y
        assert not chat.screen.sidebar.display
        await chat.press("ctrl+b")
        assert chat.screen.sidebar.display


async def test_focus_goes_to_the_drafts_and_back_with_tab(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        assert chat.screen.pair.cards[0].has_focus
        await chat.press("tab")
        assert chat.screen.composer.has_focus
        await chat.press("tab")
        assert chat.screen.pair.has_focus_within


async def test_a_next_prompt_being_typed_keeps_the_focus(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    decoder.gate = threading.Event()
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.press("N", "e", "x", "t")
        decoder.gate.set()
        await chat.until(lambda: chat.screen.waiting)
        await chat.press("1")
        assert chat.screen.composer.text == "Next1"
        assert chat.kinds() == []


async def test_a_pick_is_recorded_once_and_can_change(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("2", "2")
        assert chat.kinds() == ["pick"]
        await chat.press("1")
        (pair,) = chat.penpal.store.evidence(backbone_id="scripted")
        assert (pair.chosen.text, pair.rejected.text) == (WARM, DRY)
        assert "✓ picked" in chat.screen.pair.cards[0].border_title
        assert "✓ picked" not in chat.screen.pair.cards[1].border_title


async def test_an_edit_keeps_the_original(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("2", "e", *" Quite.")
        assert chat.screen.pair.cards[1].border_subtitle == "editing +1 −0 words"
        await chat.press("ctrl+s")
        draft = chat.screen.waiting.picked
        assert (draft.shown, draft.text) == (DRY + " Quite.", DRY)
        assert chat.penpal.store.draft(draft.id).text == DRY
        await chat.press("enter")
        assert chat.kinds() == ["pick", "edit", "accept"]
        assert chat.screen.turn.kept == DRY + " Quite."
        assert chat.screen.composer.has_focus


async def test_an_edit_left_with_escape_comes_back_even_after_a_restart(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "e", *" Half", "escape")
        assert chat.screen.pair.editing is None
        assert "unsaved edit" in chat.screen.pair.cards[0].border_subtitle
    async with open_chat() as chat:
        assert chat.screen.waiting is not None
        await chat.press("left", "e")
        assert chat.screen.pair.editing.editor.text == WARM + " Half"
        assert chat.kinds() == ["pick"]


async def test_an_edit_back_to_the_original_takes_the_edit_back(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "e", "!", "ctrl+s", "e", "backspace", "ctrl+s")
        assert chat.kinds() == ["pick"]


async def test_an_emptied_edit_is_refused_and_stays_open(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "e")
        chat.screen.pair.editing.editor.load_text("")
        await chat.press("ctrl+s")
        assert "empty" in chat.screen.notice.text
        assert chat.screen.pair.editing is not None


async def test_accepting_prefers_the_draft_and_goes_on_from_it(open_chat: OpenChat, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("right", "a")
        assert chat.kinds() == ["pick", "accept"]
        await chat.drafts("Second.")
        assert [message.content for message in decoder.asked[-1][0]] == ["First.", DRY, "Second."]


async def test_a_picked_draft_is_kept_when_the_next_prompt_is_sent(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("2")
        await chat.drafts("Second.")
        assert [turn.kept for turn in chat.screen.turns] == [DRY, None]


async def test_an_open_edit_is_kept_when_the_next_prompt_is_sent(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("2", "e", "!", "tab")
        await chat.drafts("Second.")
        assert chat.screen.turns[0].kept == DRY + "!"
        assert [act.kind for act in chat.penpal.store.acts(chat.screen.turns[0].turn.id)] == ["pick", "edit", "accept"]


async def test_redo_writes_two_more_and_undo_brings_the_first_back(
    open_chat: OpenChat, decoder: ScriptedDecoder
) -> None:
    decoder.texts = [WARM, DRY, "A third.", "A fourth."]
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("r")
        await chat.until(lambda: chat.screen.waiting and chat.screen.waiting.drafts[0].text == "A third.")
        await chat.until(lambda: chat.screen.stream is None)
        await chat.press("u")
        assert [draft.text for draft in chat.screen.waiting.drafts] == [WARM, DRY]
        await chat.press("2")
        (pair,) = chat.penpal.store.evidence(backbone_id="scripted")
        assert (pair.chosen.text, pair.rejected.text) == (DRY, WARM)


async def test_undo_takes_acts_back_one_by_one(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "s", "a")
        assert chat.kinds() == ["pick", "star", "accept"]
        await chat.press("escape", "u")
        assert chat.screen.waiting is not None
        await chat.press("u", "u")
        assert chat.kinds() == []
        assert "Taken back: that you picked it." in [toast.message for toast in chat.pilot.app._notifications]
        await chat.press("u")
        assert "nothing to take back" in chat.screen.notice.text


async def test_a_star_is_taken_away_by_the_same_key(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("s")
        assert "★" in chat.screen.pair.cards[0].border_title
        await chat.press("s")
        assert chat.kinds() == []


async def test_copy_hands_the_text_to_the_terminal(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("right", "y")
        assert chat.pilot.app.clipboard == DRY

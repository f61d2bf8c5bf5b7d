"""The chat, driven by keys: drafts, choices, edits, going back, leaving, coming back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from textual import events
from textual.pilot import Pilot

from app.tui import run_chat, run_rate
from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.tui.screens.help import HelpScreen
from app.tui.screens.too_long import TooLongScreen
from app.tui.screens.too_small import TooSmallScreen
from app.wiring import PenPal
from core.errors import BackboneError, StoreError, UsageError
from core.feedback import in_force
from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

Until = Callable[..., Awaitable[None]]
WARM, DRY = WARM_AND_DRY


class Chat:
    """The screen, its app and the keys."""

    def __init__(self, penpal: PenPal, pilot: Pilot[None], screen: ChatScreen, until: Until) -> None:
        self.penpal, self.pilot, self.screen, self.until = penpal, pilot, screen, until

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.until(lambda: not [w for w in self.pilot.app.workers if w.group == "record" and not w.is_finished])

    async def send(self, prompt: str) -> None:
        self.screen.composer.focus()
        self.screen.composer.replace_text(prompt)
        await self.pilot.press("enter")

    async def drafts(self, prompt: str = "Write.") -> None:
        await self.send(prompt)
        await self.until(
            lambda: self.screen.stream is None and self.screen.waiting and self.screen.turn.turn.prompt == prompt
        )
        await self.pilot.pause()

    def kinds(self) -> list[str]:
        assert self.screen.turn is not None
        return [act.kind for act in in_force(self.penpal.store.acts(self.screen.turn.turn.id))]


@pytest.fixture
def open_chat(penpal: PenPal, until: Until) -> Callable[..., object]:
    @asynccontextmanager
    async def opened(*, size: tuple[int, int] = (120, 36), ready: bool = True) -> AsyncIterator[Chat]:
        screen = ChatScreen(penpal.store)
        async with PenPalApp(penpal, screen).run_test(size=size) as pilot:
            if ready:
                await until(lambda: screen.status.phase == "ready")
            yield Chat(penpal, pilot, screen, until)

    return opened


async def test_drafts_stream_side_by_side(open_chat: Callable[..., object], decoder: ScriptedDecoder) -> None:
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
        assert chat.screen.status.phase == "ready"


async def test_drafts_stack_on_a_narrow_screen_and_the_list_hides(open_chat: Callable[..., object]) -> None:
    async with open_chat(size=(80, 24)) as chat:
        await chat.drafts()
        left, right = chat.screen.pair.cards
        assert left.region.bottom == right.region.y
        assert not chat.screen.sidebar.display
        await chat.press("ctrl+b")
        assert chat.screen.sidebar.display


async def test_focus_goes_to_the_drafts_and_back_with_tab(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        assert chat.screen.pair.cards[0].has_focus
        await chat.press("tab")
        assert chat.screen.composer.has_focus
        await chat.press("tab")
        assert chat.screen.pair.has_focus_within


async def test_a_next_prompt_being_typed_keeps_the_focus(
    open_chat: Callable[..., object], decoder: ScriptedDecoder
) -> None:
    decoder.gate = threading.Event()
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.press("N", "e", "x", "t")
        decoder.gate.set()
        await chat.until(lambda: chat.screen.waiting)
        await chat.press("1")
        assert chat.screen.composer.text == "Next1"
        assert chat.kinds() == []


async def test_a_pick_is_recorded_once_and_can_change(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("2", "2")
        assert chat.kinds() == ["pick"]
        await chat.press("1")
        (pair,) = chat.penpal.store.pairs(backbone_id="scripted")
        assert (pair.chosen.text, pair.rejected.text) == (WARM, DRY)
        assert "✓ picked" in chat.screen.pair.cards[0].border_title
        assert "✓ picked" not in chat.screen.pair.cards[1].border_title


async def test_an_edit_keeps_the_original(open_chat: Callable[..., object]) -> None:
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


async def test_an_edit_left_with_escape_comes_back_even_after_a_restart(open_chat: Callable[..., object]) -> None:
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


async def test_an_edit_back_to_the_original_takes_the_edit_back(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "e", "!", "ctrl+s", "e", "backspace", "ctrl+s")
        assert chat.kinds() == ["pick"]


async def test_an_emptied_edit_is_refused_and_stays_open(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "e")
        chat.screen.pair.editing.editor.load_text("")
        await chat.press("ctrl+s")
        assert "empty" in chat.screen.notice.text
        assert chat.screen.pair.editing is not None


async def test_accepting_prefers_the_draft_and_goes_on_from_it(
    open_chat: Callable[..., object], decoder: ScriptedDecoder
) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("right", "a")
        assert chat.kinds() == ["pick", "accept"]
        await chat.drafts("Second.")
        assert [message.content for message in decoder.asked[-1][0]] == ["First.", DRY, "Second."]


async def test_a_picked_draft_is_kept_when_the_next_prompt_is_sent(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("2")
        await chat.drafts("Second.")
        assert [turn.kept for turn in chat.screen.turns] == [DRY, None]


async def test_an_open_edit_is_kept_when_the_next_prompt_is_sent(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("2", "e", "!", "tab")
        await chat.drafts("Second.")
        assert chat.screen.turns[0].kept == DRY + "!"
        assert [act.kind for act in chat.penpal.store.acts(chat.screen.turns[0].turn.id)] == ["pick", "edit", "accept"]


async def test_redo_writes_two_more_and_undo_brings_the_first_back(
    open_chat: Callable[..., object], decoder: ScriptedDecoder
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
        (pair,) = chat.penpal.store.pairs(backbone_id="scripted")
        assert (pair.chosen.text, pair.rejected.text) == (DRY, WARM)


async def test_undo_takes_acts_back_one_by_one(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "s", "a")
        assert chat.kinds() == ["pick", "star", "accept"]
        await chat.press("escape", "u")
        assert chat.screen.waiting is not None
        await chat.press("u", "u")
        assert chat.kinds() == []
        await chat.press("u")
        assert "nothing to take back" in chat.screen.notice.text


async def test_a_star_is_taken_away_by_the_same_key(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("s")
        assert "★" in chat.screen.pair.cards[0].border_title
        await chat.press("s")
        assert chat.kinds() == []


async def test_copy_hands_the_text_to_the_terminal(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("right", "y")
        assert chat.pilot.app.clipboard == DRY


async def test_escape_keeps_the_partial_and_again_returns_the_prompt(
    open_chat: Callable[..., object], decoder: ScriptedDecoder
) -> None:
    decoder.gate = threading.Event()
    async with open_chat() as chat:
        await chat.send("My prompt.")
        await chat.until(lambda: chat.screen.pair.display)
        await chat.press("escape")
        await chat.until(lambda: chat.screen.stream is None)
        drafts = chat.screen.waiting.drafts
        assert [(draft.text, draft.status) for draft in drafts] == [("A", "cancelled")] * 2
        assert "stopped" in chat.screen.pair.cards[0].border_subtitle
        await chat.press("escape")
        assert chat.screen.composer.text == "My prompt."
        assert chat.screen.turns == ()
        assert chat.penpal.store.draft(drafts[0].id).text == "A"


async def test_a_stopped_redo_gives_the_drafts_before_back(
    open_chat: Callable[..., object], decoder: ScriptedDecoder
) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        decoder.gate = threading.Event()
        await chat.press("r")
        await chat.until(lambda: chat.screen.pair.writing)
        await chat.press("escape")
        await chat.until(lambda: chat.screen.stream is None)
        await chat.press("escape")
        assert [draft.text for draft in chat.screen.waiting.drafts] == [WARM, DRY]


async def test_leaving_while_it_writes_keeps_the_partial(
    open_chat: Callable[..., object], decoder: ScriptedDecoder
) -> None:
    decoder.gate = threading.Event()
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.pair.display)
        await chat.pilot.press("ctrl+q")
        (turn,) = chat.penpal.store.turns(chat.screen.conversation_id)
        drafts = chat.penpal.store.drafts(turn.id)
        assert [(draft.text, draft.status) for draft in drafts] == [("A", "cancelled")] * 2
    async with open_chat() as chat:
        assert [draft.text for draft in chat.screen.waiting.drafts] == ["A", "A"]


async def test_typed_text_comes_back_after_a_restart(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("1", "a", *"half a thought")
        place = f"composer of conversation {chat.screen.conversation_id}"
        await chat.until(lambda: chat.penpal.store.unsaved(place) == "half a thought", within_s=0.6)
    async with open_chat() as chat:  # not left with ctrl+q: as after a crash
        assert chat.screen.composer.text == "half a thought"
        assert chat.screen.turn.turn.prompt == "First."


async def test_each_conversation_has_its_own_unsent_text(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("1", "a", *"abc", "ctrl+n")
        assert (chat.screen.composer.text, chat.screen.turns) == ("", ())
        await chat.press("x", "shift+tab", "shift+tab")
        assert chat.screen.sidebar.has_focus
        await chat.press("down", "enter")
        await chat.until(lambda: chat.screen.turns)
        assert chat.screen.composer.text == "abc"


async def test_enter_sends_and_ctrl_j_and_paste_do_not(
    open_chat: Callable[..., object], decoder: ScriptedDecoder
) -> None:
    async with open_chat() as chat:
        await chat.press("a", "ctrl+j", "b")
        chat.pilot.app.post_message(events.Paste("one\ntwo\n"))
        await chat.until(lambda: chat.screen.composer.text == "a\nbone\ntwo\n")
        assert decoder.asked == []
        await chat.press("enter")
        await chat.until(lambda: chat.screen.waiting)
        assert chat.screen.turn.turn.prompt == "a\nbone\ntwo\n"


async def test_an_empty_prompt_says_so(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.press("enter")
        assert "nothing to write about" in chat.screen.notice.text


async def test_a_prompt_that_is_too_long_offers_to_cut(
    open_chat: Callable[..., object], decoder: ScriptedDecoder
) -> None:
    decoder.room = 20
    prompt = "start " + "middle " * 40 + "end"
    async with open_chat() as chat:
        await chat.send(prompt)
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooLongScreen))
        await chat.press("escape")
        assert chat.screen.composer.text == prompt
        await chat.press("enter")
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooLongScreen))
        await chat.press("c")
        await chat.until(lambda: chat.screen.waiting)
        asked = chat.screen.turn.turn.prompt
        assert asked.startswith("start")
        assert asked.endswith("end")
        assert len(asked.split()) <= 20


async def test_a_prompt_sent_while_loading_is_written_when_it_is_ready(
    open_chat: Callable[..., object], penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, writer = threading.Event(), penpal.writer
    monkeypatch.setattr(penpal, "writer", lambda: loaded.wait() and writer())
    async with open_chat(ready=False) as chat:
        await chat.send("Early.")
        await chat.until(lambda: chat.screen.status.phase == "loading the backbone")
        await chat.until(lambda: chat.penpal.store.unsaved("composer") == "Early.")
        loaded.set()
        await chat.until(lambda: chat.screen.waiting)
        assert chat.screen.turn.turn.prompt == "Early."
        await chat.until(lambda: not chat.screen.unsaved.dirty)
        assert chat.penpal.store.last_unsaved_place() == ""


async def test_escape_while_loading_takes_the_prompt_back(
    open_chat: Callable[..., object], penpal: PenPal, monkeypatch: pytest.MonkeyPatch, decoder: ScriptedDecoder
) -> None:
    loaded, writer = threading.Event(), penpal.writer
    monkeypatch.setattr(penpal, "writer", lambda: loaded.wait() and writer())
    async with open_chat(ready=False) as chat:
        await chat.send("Early.")
        await chat.press("escape")
        assert chat.screen.composer.text == "Early."
        loaded.set()
        await chat.until(lambda: chat.screen.status.phase == "ready")
        assert decoder.asked == []
        assert chat.penpal.store.counts()["turns"] == 0


async def test_what_cannot_be_loaded_is_a_notice_and_can_be_tried_again(
    open_chat: Callable[..., object], penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise BackboneError("The weights are damaged: install them again.")

    writer = penpal.writer
    monkeypatch.setattr(penpal, "writer", broken)
    async with open_chat(ready=False) as chat:
        await chat.until(lambda: "damaged" in chat.screen.notice.text)
        await chat.send("Hello.")
        await chat.until(lambda: chat.screen.stream is None)
        assert chat.screen.composer.text == "Hello."
        monkeypatch.setattr(penpal, "writer", writer)
        await chat.drafts("Hello.")


async def test_a_locked_database_is_a_notice_and_the_text_stays(
    open_chat: Callable[..., object], penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*args: object, **options: object) -> int:
        raise StoreError("penpal.db is locked by another program: close it and try again.")

    async with open_chat() as chat:
        with monkeypatch.context() as patched:
            patched.setattr(penpal.store, "add_turn", locked)
            await chat.send("Write.")
            await chat.until(lambda: "locked" in chat.screen.notice.text)
            assert chat.screen.composer.text == "Write."
        await chat.drafts("Write.")
        with monkeypatch.context() as patched:
            patched.setattr(penpal.store, "add_act", locked)
            await chat.press("1")
            assert "locked" in chat.screen.notice.text
            assert chat.kinds() == []


async def test_leaving_asks_again_when_typed_text_cannot_be_saved(
    open_chat: Callable[..., object], penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(place: str, text: str) -> None:
        raise StoreError("The disk is full.")

    async with open_chat() as chat:
        await chat.press(*"words")
        monkeypatch.setattr(penpal.store, "keep_unsaved", full)
        chat.screen.composer.insert("!")
        await chat.press("ctrl+q")
        assert "ctrl+q again" in chat.screen.notice.text
        assert chat.pilot.app.is_running


async def test_latents_that_are_off_are_shown(open_chat: Callable[..., object], penpal: PenPal) -> None:
    penpal.latents_off = "the check failed; run 'penpal doctor'."
    async with open_chat() as chat:
        await chat.pilot.pause()
        notice = chat.screen.query_one("#latents-off")
        assert notice.display
        assert "penpal doctor" in str(notice.content)


@pytest.mark.parametrize("busy", [False, True])
async def test_a_key_is_answered_at_once_while_a_slow_decoder_writes(
    open_chat: Callable[..., object], decoder: ScriptedDecoder, busy: bool
) -> None:
    decoder.texts = ["word " * 400, "other " * 400]
    decoder.delay_s, decoder.busy = 0.02, busy
    async with open_chat() as chat:
        await chat.send("Write.")
        await chat.until(lambda: chat.screen.pair.display)
        waits = []
        for number in range(10):
            pressed = time.monotonic()
            chat.pilot.app.post_message(events.Key("x", "x"))
            while len(chat.screen.composer.text) <= number:
                await asyncio.sleep(0.001)
            waits.append(time.monotonic() - pressed)
            await asyncio.sleep(0.03)
        assert sorted(waits)[len(waits) // 2] < 0.05
        stopped = time.monotonic()
        await chat.pilot.press("escape")
        await chat.until(lambda: chat.screen.stream is None)
        assert time.monotonic() - stopped < 1.0


async def test_help_lists_every_binding(open_chat: Callable[..., object]) -> None:
    async with open_chat() as chat:
        await chat.press("f1")
        assert isinstance(chat.pilot.app.screen, HelpScreen)
        text = chat.pilot.app.export_screenshot()
        assert "Leave" in text
        await chat.press("escape")
        assert chat.pilot.app.screen is chat.screen


async def test_a_window_that_is_too_small_says_so_until_it_grows(open_chat: Callable[..., object]) -> None:
    async with open_chat(size=(59, 16)) as chat:
        await chat.until(lambda: isinstance(chat.pilot.app.screen, TooSmallScreen))
        await chat.pilot.resize_terminal(60, 16)
        await chat.until(lambda: chat.pilot.app.screen is chat.screen)
        await chat.drafts()


@pytest.mark.parametrize("command", [lambda p: run_chat(p), lambda p: run_rate(p, ["Write."])])
def test_without_a_terminal_it_says_what_to_do_instead(command: Callable[[PenPal], None], penpal: PenPal) -> None:
    with pytest.raises(UsageError, match="needs a terminal"):
        command(penpal)

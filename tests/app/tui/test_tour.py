"""The first run: a tour of a few pointers, three picks, then straight to writing. Once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from textual import events

from app.attachments import Attachment
from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.tui.screens.tour import POINTERS, TourScreen
from app.tui.screens.warm_up import WarmUpScreen
from app.wiring import PenPal
from core.feedback import in_force
from tests.app.tui.conftest import Chat, until
from tests.scripted_decoder import ScriptedDecoder

Open = Callable[..., AbstractAsyncContextManager[Chat]]


@pytest.fixture
def first_run(penpal: PenPal) -> Open:
    """The chat as `penpal chat` opens it."""

    @asynccontextmanager
    async def opened(
        *, size: tuple[int, int] = (120, 36), attached: tuple[Attachment, ...] = ()
    ) -> AsyncIterator[Chat]:
        screen = ChatScreen(penpal.store, attached=attached, welcome=True)
        async with PenPalApp(penpal, screen).run_test(size=size) as pilot:
            await until(lambda: screen.status.phase == "ready")
            yield Chat(penpal, pilot, screen)

    return opened


async def to_the_picks(chat: Chat) -> WarmUpScreen:
    for _ in POINTERS:
        assert isinstance(chat.pilot.app.screen, TourScreen)
        await chat.pilot.press("x")
    shown = chat.pilot.app.screen
    assert isinstance(shown, WarmUpScreen)
    return shown


@pytest.mark.parametrize("size", [(60, 24), (80, 24), (120, 36)])
async def test_every_pointer_is_whole_on_the_screen_and_beside_what_it_is_about(
    first_run: Open, size: tuple[int, int]
) -> None:
    async with first_run(size=size) as chat:
        tour = chat.pilot.app.screen
        for pointer in POINTERS:
            await chat.pilot.pause()
            box = tour.query_one("#tour-box")
            assert tour.region.contains_region(box.region), pointer.title
            if pointer.title in ("your prompt", "what it has learned"):
                (target,) = [one.region for one in chat.screen.query(pointer.target) if one.region.area]
                assert not box.region.overlaps(target), pointer.title
                assert tour.query_one("#tour-arrow").region.x in range(target.x, target.right), pointer.title
            await chat.pilot.press("space")


async def test_the_folder_that_it_names_is_where_the_texts_are(first_run: Open, penpal: PenPal) -> None:
    async with first_run() as chat:
        assert str(penpal.home.folder) in str(chat.pilot.app.screen.query_one("#tour-box").render())
        assert penpal.home.database.parent == penpal.home.folder


async def test_any_key_goes_on_and_the_keys_do_nothing_else(first_run: Open) -> None:
    async with first_run() as chat:
        await chat.pilot.press("f1", "ctrl+n", "enter", "a")
        assert isinstance(chat.pilot.app.screen, TourScreen)
        assert chat.pilot.app.screen.query_one("#tour-box").border_title == POINTERS[4].title
        assert chat.screen.composer.text == ""


@pytest.mark.parametrize("last", ["x", "escape"])
async def test_keys_that_come_while_it_goes_do_nothing(first_run: Open, last: str) -> None:
    """Held down, or on a slow line: they are on their way before the tour has gone."""
    async with first_run() as chat:
        tour = chat.pilot.app.screen
        for key in [*["x"] * (len(POINTERS) - 1), last, "x", "escape", last]:
            tour.post_message(events.Key(key, None))
        await until(lambda: chat.pilot.app.screen is not tour)
        await chat.pilot.pause()
        shown = chat.pilot.app.screen
        assert isinstance(shown, WarmUpScreen) if last == "x" else shown is chat.screen
        assert chat.pilot.app.screen_stack.count(shown) == 1
        assert chat.screen.composer.text == ""


async def test_esc_ends_it_for_good(first_run: Open) -> None:
    async with first_run() as chat:
        await chat.pilot.press("space", "escape")
        assert chat.pilot.app.screen is chat.screen
        assert chat.screen.composer.has_focus
        assert not chat.screen.query(".-pointed")
    async with first_run() as chat:
        assert chat.pilot.app.screen is chat.screen


async def test_three_picks_are_recorded_and_then_there_is_writing(
    first_run: Open, decoder: ScriptedDecoder, penpal: PenPal
) -> None:
    async with first_run() as chat:
        picks = await to_the_picks(chat)
        for number, key in enumerate(("1", "2", "right")):
            await until(lambda: picks._warm_up.pair is not None)
            assert len(picks._warm_up.picked) == number
            await chat.press(key)
        await until(lambda: chat.pilot.app.screen is chat.screen)
        assert chat.screen.composer.has_focus
        kinds = [[act.kind for act in in_force(penpal.store.acts(turn))] for turn in (1, 2, 3)]
        chosen = [penpal.store.acts(turn)[0].draft_id for turn in (1, 2, 3)]
    assert kinds == [["pick"]] * 3
    assert [penpal.store.draft(number).side for number in chosen] == [0, 1, 1]
    assert penpal.store.conversations(origin="chat") == []
    async with first_run() as chat:
        assert chat.pilot.app.screen is chat.screen


async def test_picks_can_be_skipped_one_by_one_or_all(first_run: Open, penpal: PenPal) -> None:
    async with first_run() as chat:
        picks = await to_the_picks(chat)
        await until(lambda: picks._warm_up.pair is not None)
        await chat.pilot.press("s", "escape")
        await until(lambda: chat.pilot.app.screen is chat.screen)
        assert penpal.store.acts(1) == []


async def test_writing_stops_when_the_person_does_not_want_the_picks(first_run: Open, decoder: ScriptedDecoder) -> None:
    decoder.delay_s = 0.05
    async with first_run() as chat:
        await chat.pilot.press("escape")
        await until(lambda: all(w.is_finished for w in chat.pilot.app.workers if w.group == "warm up"))
        await chat.drafts("Say hello.")
        assert len(decoder.asked) <= 2


async def test_who_has_written_before_or_brings_a_text_sees_no_tour(first_run: Open, open_chat: Open) -> None:
    async with first_run(attached=(Attachment("mail.txt", "Will you come?"),)) as chat:
        assert chat.pilot.app.screen is chat.screen
    async with open_chat() as chat:
        await chat.drafts()
    async with first_run() as chat:
        assert chat.pilot.app.screen is chat.screen


async def test_drafts_that_cannot_be_written_lead_straight_to_writing(
    first_run: Open, decoder: ScriptedDecoder
) -> None:
    def fail(number: int) -> None:
        raise RuntimeError("no")

    decoder.before_token = fail
    async with first_run() as chat:
        await chat.pilot.press(*(["x"] * len(POINTERS)))
        await until(lambda: chat.pilot.app.screen is chat.screen)
        assert chat.screen.composer.has_focus

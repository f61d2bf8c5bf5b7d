"""Rating: one key each, blind, undone without limit, the next pair ready."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

import app.tui.screens.rate
from app.tui import run_rate
from app.tui.app import PenPalApp
from app.tui.pair_maker import PairMaker
from app.tui.screens.rate import Answer, RateScreen, summary
from app.tui.widgets.draft_card import DraftCard
from app.wiring import PenPal
from core.errors import BackboneError, StoreError, UsageError
from core.feedback import in_force
from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

Until = Callable[..., Awaitable[None]]
OpenRate = Callable[..., AbstractAsyncContextManager[Any]]
PROMPTS = ["First task.", "Second task."]


class Rate:
    """The screen and the keys."""

    def __init__(self, penpal: PenPal, pilot: Pilot[None], screen: RateScreen, until: Until) -> None:
        self.penpal, self.pilot, self.screen, self.until = penpal, pilot, screen, until

    async def answer(self, key: str) -> Answer:
        await self.until(lambda: self.screen.pair)
        before = len(self.screen.answers)
        await self.pilot.press(key)
        await self.until(lambda: len(self.screen.answers) == before + 1)
        return self.screen.answers[-1]

    def shown(self) -> list[str]:
        return [str(card.query_one(Static).content) for card in self.screen.query(DraftCard)]


@pytest.fixture
def open_rate(penpal: PenPal, until: Until, monkeypatch: pytest.MonkeyPatch) -> OpenRate:
    monkeypatch.setattr(app.tui.screens.rate, "MIN_LOOK_S", 0.0)

    @asynccontextmanager
    async def opened(prompts: list[str] = PROMPTS) -> AsyncIterator[Rate]:
        screen = RateScreen(penpal.store, prompts)
        async with PenPalApp(penpal, screen).run_test(size=(120, 36)) as pilot:
            yield Rate(penpal, pilot, screen, until)
            await screen.leave()

    return opened


@pytest.mark.parametrize(
    ("key", "kind"),
    [("left", "pick"), ("1", "pick"), ("right", "pick"), ("2", "pick"), ("t", "tie"), ("0", "tie"), ("b", "both_bad"),
     ("s", "skip"), ("space", "skip")],
)  # fmt: skip
async def test_each_key_is_recorded_as_what_it_means(open_rate: OpenRate, key: str, kind: str) -> None:
    async with open_rate() as rate:
        answer = await rate.answer(key)
        (act,) = rate.penpal.store.acts(answer.pair.turn_id)
        assert act.kind == kind
        if kind == "pick":
            chosen = answer.pair.shown[key in ("right", "2")]
            assert (act.draft_id, {act.draft_id, act.other_draft_id}) == (
                chosen.id,
                {draft.id for draft in answer.pair.shown},
            )


async def test_the_next_pair_comes_after_an_answer_and_undo_goes_back_without_limit(
    open_rate: OpenRate,
) -> None:
    async with open_rate() as rate:
        first = await rate.answer("1")
        second = await rate.answer("2")
        await rate.until(lambda: rate.screen.pair)
        third = rate.screen.pair
        assert len({first.pair.turn_id, second.pair.turn_id, third.turn_id}) == 3
        for left in (1, 0):
            await rate.pilot.press("u")
            await rate.until(lambda left=left: len(rate.screen.answers) == left)
        assert rate.screen.pair == first.pair
        assert rate.shown() == [draft.text for draft in first.pair.shown]
        assert in_force(rate.penpal.store.acts(first.pair.turn_id)) == []
        again = await rate.answer("t")
        assert again.pair == first.pair
        await rate.until(lambda: rate.screen.pair == second.pair)
        await rate.answer("s")
        await rate.until(lambda: rate.screen.pair == third)


async def test_the_next_pairs_are_made_while_this_one_is_read(open_rate: OpenRate, decoder: ScriptedDecoder) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: len(decoder.asked) == 3)
        await rate.pilot.pause(0.1)
        assert len(decoder.asked) == 3


def test_sides_are_swapped_about_half_the_time(penpal: PenPal, decoder: ScriptedDecoder) -> None:
    maker, writer = PairMaker(PROMPTS, sides=random.Random(1)), penpal.writer()
    pairs = [maker._make(writer, "Write.") for _ in range(60)]
    swapped = sum(pair.shown[0].side for pair in pairs if pair is not None)
    assert 20 <= swapped <= 40


async def test_nothing_on_the_screen_tells_which_draft_is_which(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        await rate.pilot.pause()
        assert [str(card.border_title) for card in rate.screen.query(DraftCard)] == ["← 1", "2 →"]
        assert [str(card.border_subtitle or "") for card in rate.screen.query(DraftCard)] == ["", ""]
        assert not any(card.has_focus for card in rate.screen.query(DraftCard))


async def test_empty_and_identical_drafts_are_never_shown(open_rate: OpenRate, decoder: ScriptedDecoder) -> None:
    decoder.texts = ["Same.", "Same. ", "", "Something.", *WARM_AND_DRY]
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        assert {draft.text for draft in rate.screen.pair.shown} == set(WARM_AND_DRY)


def test_a_decoder_that_only_repeats_itself_is_an_error(penpal: PenPal, decoder: ScriptedDecoder) -> None:
    decoder.texts = ["Same."]
    with pytest.raises(BackboneError, match="the same every time"):
        PairMaker(PROMPTS).run(penpal.writer())


async def test_an_answer_that_cannot_be_stored_keeps_the_pair(
    open_rate: OpenRate, penpal: PenPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*args: object, **options: object) -> int:
        raise StoreError("penpal.db is locked by another program: close it and try again.")

    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        pair = rate.screen.pair
        with monkeypatch.context() as patched:
            patched.setattr(penpal.store, "add_act", locked)
            await rate.pilot.press("1")
            await rate.until(lambda: "locked" in rate.screen.notice.text)
        assert rate.screen.pair == pair
        await rate.answer("1")


async def test_a_key_held_down_answers_only_once(open_rate: OpenRate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.tui.screens.rate, "MIN_LOOK_S", 60.0)
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        await rate.pilot.press("1", "1", "1")
        assert rate.screen.answers == []


async def test_leaving_stops_the_maker_and_sums_up(open_rate: OpenRate, decoder: ScriptedDecoder, until: Until) -> None:
    async with open_rate() as rate:
        await rate.answer("1")
        await rate.answer("t")
        await rate.pilot.press("q")
        await until(lambda: not rate.pilot.app.is_running)
        assert "writing" not in {
            draft.status
            for conversation in rate.penpal.store.conversations(origin="rate")
            for turn in rate.penpal.store.turns(conversation.id)
            for draft in rate.penpal.store.drafts(turn.id)
        }
        assert summary(rate.screen.answers).startswith("2 answered (1 choice, 1 tie)")


def test_no_prompts_is_an_error(penpal: PenPal) -> None:
    with pytest.raises(UsageError, match="no prompts"):
        run_rate(penpal, [" "])

"""Rating: one key each, blind, undone without limit, the next pair ready."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

import app.tui.pair_maker
import app.tui.screens.rate
from app.tui import run_rate
from app.tui.pair_maker import PairMaker, RatedPair
from app.tui.screens.rate import Answer, summary
from app.tui.widgets.draft_card import DraftCard
from app.wiring import PenPal
from core.errors import BackboneError, StoreError, UsageError
from core.evidence import Repeats
from core.feedback import Draft, in_force
from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

Until = Callable[..., Awaitable[None]]
OpenRate = Callable[..., AbstractAsyncContextManager[Any]]
PROMPTS = ["First task.", "Second task."]


@pytest.mark.parametrize(
    ("key", "kind"),
    [("left", "pick"), ("1", "pick"), ("right", "pick"), ("2", "pick"), ("t", "tie"), ("0", "tie"), ("b", "both_bad"),
     ("s", "skip"), ("space", "skip")],
)  # fmt: skip
async def test_each_key_is_recorded_as_what_it_means(open_rate: OpenRate, key: str, kind: str) -> None:
    async with open_rate() as rate:
        answer = await rate.answer(key)
        (act,) = rate.penpal.store.acts(answer.pair.turn_id)
        assert (act.kind, act.left_draft_id, act.again) == (kind, answer.pair.shown[0].id, False)
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
    maker, writer = PairMaker(PROMPTS, chance=random.Random(1)), penpal.writer()
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


async def test_drafts_are_tagged_with_the_context(open_rate: OpenRate) -> None:
    async with open_rate(context="review") as rate:
        await rate.until(lambda: rate.screen.pair)
        assert rate.penpal.store.turn(rate.screen.pair.turn_id).context == "review"


# --- pairs that are asked again ---------------------------------------------------------------------------------


@pytest.fixture
def always_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.tui.pair_maker, "AGAIN_SHARE", 1.0)


def pairs(rate: Any) -> int:
    """What there is to learn from, as the store has it."""
    return sum(e.weight > 0 for e in rate.penpal.store.evidence(backbone_id="scripted"))


@pytest.mark.usefixtures("always_again")
async def test_an_old_pair_is_asked_again_blind_with_its_sides_swapped(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        for _ in range(8):
            assert not (await rate.answer("1")).pair.again
        await rate.until(lambda: rate.screen.pair)
        again = rate.screen.pair
        first = next(a.pair for a in rate.screen.answers[:2] if a.pair.turn_id == again.turn_id)
        assert (again.again, again.shown) == (True, first.shown[::-1])
        assert [str(card.border_title) for card in rate.screen.query(DraftCard)] == ["← 1", "2 →"]
        assert rate.screen.status.phase == "your choice"
        await rate.answer("2")
        act = rate.penpal.store.acts(again.turn_id)[-1]
        assert (act.kind, act.again) == ("pick", True)
        assert (act.draft_id, act.left_draft_id) == (first.shown[0].id, first.shown[1].id)
        assert rate.penpal.store.repeats() == Repeats(same=1)
        assert "Asked again, you chose the same 1 of 1 time." in summary(rate.screen.answers)


@pytest.mark.usefixtures("always_again")
async def test_an_answer_again_is_taken_back_like_any_other(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        for _ in range(8):
            await rate.answer("1")
        again = (await rate.answer("1")).pair  # the other one, now that the sides are swapped
        assert rate.penpal.store.repeats() == Repeats(different=1)
        assert pairs(rate) == 7
        await rate.pilot.press("u")
        await rate.until(lambda: len(rate.screen.answers) == 8)
        assert (rate.screen.pair, rate.penpal.store.repeats(), pairs(rate)) == (again, Repeats(), 8)
        await rate.answer("2")
        assert rate.penpal.store.repeats() == Repeats(same=1)
        assert pairs(rate) == 9


@pytest.mark.usefixtures("always_again")
async def test_going_back_to_the_first_answer_keeps_the_order_of_the_pairs(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        before = [(await rate.answer("1")).pair for _ in range(9)]
        for left in reversed(range(9)):
            await rate.pilot.press("u")
            await rate.until(lambda left=left: len(rate.screen.answers) == left)
        after = [(await rate.answer("t")).pair for _ in range(9)]
        assert after == before
        assert sum(pair.again for pair in after) == 1
        assert rate.penpal.store.repeats() == Repeats()
        assert "Asked again" not in summary(rate.screen.answers)


@pytest.mark.usefixtures("always_again")
async def test_only_a_choice_is_asked_again(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        assert not any([(await rate.answer(key)).pair.again for key in "ttsb11111"])


def rated(number: int) -> RatedPair:
    left, right = (Draft(2 * number + i, number, i, f"Text {i}.", "done", None, None, "b", 0) for i in (0, 1))
    return RatedPair(number, "Write.", (left, right))


def test_about_one_answer_in_ten_is_followed_by_an_old_pair() -> None:
    maker, old = PairMaker(PROMPTS, chance=random.Random(1)), [rated(number) for number in range(1000)]
    asked = []
    for _ in range(1000):
        maker.perhaps_ask_again(old)
        asked += [pair for pair in [maker.take()] if pair is not None]
    assert 70 <= len(asked) <= 130
    assert len({pair.turn_id for pair in asked}) == len(asked)


@pytest.mark.usefixtures("always_again")
def test_each_pair_is_asked_again_once_at_most() -> None:
    maker, old = PairMaker(PROMPTS), [rated(1), rated(2)]
    for _ in range(5):
        maker.perhaps_ask_again(old)
    assert sorted(pair.turn_id for pair in (maker.take(), maker.take()) if pair is not None) == [1, 2]
    assert maker.take() is None


def test_the_closing_line_counts_only_choices_that_were_asked_twice() -> None:
    def answered(number: int, kind: str, *, again: bool = False) -> Answer:
        return Answer(replace(rated(number), again=again), kind, act_id=1)

    first = [answered(number, "left") for number in range(4)]
    again = [answered(number, kind, again=True) for number, kind in enumerate(("left", "right", "left", "tie"))]
    assert summary(first) == "4 answered (4 choices). 'penpal personalize' learns from them."
    assert summary(first + again) == (
        "8 answered (7 choices, 1 tie). Asked again, you chose the same 2 of 3 times. "
        "'penpal personalize' learns from them."
    )


def test_no_prompts_is_an_error(penpal: PenPal) -> None:
    with pytest.raises(UsageError, match="no prompts"):
        run_rate(penpal, [" "])

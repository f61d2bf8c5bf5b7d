"""Rating: one key each, blind, undone without limit, the next pair ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

import app.tui.pair_maker
import app.tui.screens.rate
from app.pair_sources import FileSource, FoundPair
from app.tui import run_rate
from app.tui.rating_words import details, summary
from app.tui.screens.rating_panel import RatingPanelScreen
from app.tui.screens.why import WhyScreen
from app.tui.widgets.draft_card import DraftCard
from app.tui.widgets.title_bar import TitleBar
from app.wiring import PenPal
from core.errors import StoreError, UsageError
from core.evidence import Repeats
from core.feedback import in_force
from tests.scripted_decoder import WARM_AND_DRY, ScriptedDecoder

Until = Callable[..., Awaitable[None]]
OpenRate = Callable[..., AbstractAsyncContextManager[Any]]


def acts(rate: Any, answer: Any) -> list[Any]:
    return in_force(rate.penpal.store.acts(answer.pair.turn_id))


@pytest.fixture(autouse=True)
def _never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes back by chance."""
    monkeypatch.setattr(app.tui.pair_maker, "AGAIN_SHARE", 0.0)


KEYS = {
    "left 1 a": ("pick", "slight", 0),
    "right 2 d": ("pick", "slight", 1),
    "shift+left A": ("pick", "clear", 0),
    "shift+right D": ("pick", "clear", 1),
    "t 0": ("tie", None, None),
    "b x": ("both_bad", None, None),
    "s space": ("skip", None, None),
}


async def test_each_key_is_recorded_as_what_it_means(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        for keys, (kind, strength, side) in KEYS.items():
            for key in keys.split():
                answer = await rate.answer(key)
                (act,) = acts(rate, answer)
                assert (act.kind, act.strength, act.again) == (kind, strength, answer.pair.again)
                assert act.left_draft_id == answer.pair.shown[0].id
                if side is not None:
                    assert act.draft_id == answer.pair.shown[side].id
                    assert {act.draft_id, act.other_draft_id} == {draft.id for draft in answer.pair.shown}


async def test_the_next_pair_comes_after_an_answer_and_undo_goes_back_without_limit(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        first = await rate.answer("1")
        second = await rate.answer("2")
        await rate.until(lambda: rate.screen.pair)
        third = rate.screen.pair
        assert len({first.pair.turn_id, second.pair.turn_id, third.turn_id}) == 3
        for left, key in ((1, "u"), (0, "backspace")):
            await rate.pilot.press(key)
            await rate.until(lambda left=left: len(rate.screen.answers) == left)
        assert rate.screen.pair == first.pair
        assert rate.shown() == [draft.text for draft in first.pair.shown]
        assert acts(rate, first) == []
        again = await rate.answer("t")
        assert again.pair == first.pair
        await rate.until(lambda: rate.screen.pair == second.pair)
        await rate.answer("s")
        await rate.until(lambda: rate.screen.pair == third)


async def test_nothing_on_the_screen_tells_which_draft_is_which(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        await rate.pilot.pause()
        assert [str(card.border_title) for card in rate.screen.query(DraftCard)] == ["← 1", "2 →"]
        assert [str(card.border_subtitle or "") for card in rate.screen.query(DraftCard)] == ["", ""]
        assert not any(card.has_focus for card in rate.screen.query(DraftCard))


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


async def test_leaving_stops_the_maker_and_sums_up(open_rate: OpenRate, until: Until) -> None:
    async with open_rate() as rate:
        await rate.answer("1")
        await rate.answer("t")
        await rate.pilot.press("q")
        await until(lambda: not rate.pilot.app.is_running)
        assert not rate.penpal.store.is_drafting()
        assert summary(rate.screen.session).startswith("2 answered in under a minute (1 choice, 1 tie).")


async def test_drafts_are_tagged_with_the_context(open_rate: OpenRate) -> None:
    async with open_rate(context="review") as rate:
        await rate.until(lambda: rate.screen.pair)
        assert rate.penpal.store.turn(rate.screen.pair.turn_id).context == "review"


async def test_a_draft_that_ran_out_of_room_ends_in_dots(open_rate: OpenRate, decoder: ScriptedDecoder) -> None:
    async with open_rate(source=FileSource([FoundPair("Write.", ("All of it.", "Half of"))])) as rate:
        await rate.until(lambda: rate.screen.pair)
        rate.screen._show(replace(rate.screen.pair, cut=(False, True)))
        assert [text.endswith(" …") for text in rate.shown()] == [False, True]


# --- goal, pace, and how it goes --------------------------------------------------------------------------------


async def test_the_goal_is_shown_and_said_when_it_is_reached(open_rate: OpenRate) -> None:
    async with open_rate(goal=2) as rate:
        await rate.answer("1")
        await rate.until(lambda: "1 of 2" in str(rate.screen.query_one(TitleBar).query_one("#side-note").content))
        await rate.answer("2")
        await rate.until(lambda: "that was your goal" in rate.screen.news.text)
        await rate.answer("1")
        assert len(rate.screen.answers) == 3


async def test_the_panel_shows_agreement_beside_foresight(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        await rate.answer("1")
        await rate.pilot.press("i")
        await rate.until(lambda: isinstance(rate.pilot.app.screen, RatingPanelScreen))
        told = dict(details(rate.screen.session, rate.screen.history, "1 pair"))
        assert told["left or right"] == "you chose the left one 100% of the time"
        assert told["you agree with yourself"] == "told once a pair was asked again"
        await rate.pilot.press("escape")
        await rate.until(lambda: rate.pilot.app.screen is rate.screen)
        assert rate.pilot.app.is_running


# --- why --------------------------------------------------------------------------------------------------------


async def because(rate: Any, *keys: str) -> Any:
    """Says why, then chooses the left one; the act."""
    await rate.until(lambda: rate.screen.pair)
    await rate.pilot.press("w")
    await rate.until(lambda: isinstance(rate.pilot.app.screen, WhyScreen))
    await rate.pilot.press(*keys)
    await rate.until(lambda: rate.pilot.app.screen is rate.screen)
    answer = await rate.answer("1")
    return acts(rate, answer)[-1]


async def test_a_reason_is_one_key_or_the_persons_words_and_holds_for_one_answer(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        assert (await because(rate, "3")).note == "too formal"
        assert acts(rate, await rate.answer("2"))[-1].note is None
        assert (await because(rate, *"stiff", "enter")).note == "stiff"
        assert (await because(rate, "escape")).note is None


async def test_a_wrong_fact_keeps_the_pair_out_of_learning(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        act = await because(rate, str(1 + WhyScreen.SUGGESTIONS.index("wrong fact")))
        (evidence,) = rate.penpal.store.evidence_of_turn(act.turn_id, backbone_id="scripted")
        assert (evidence.weight, evidence.reason) == (0.0, "a wrong fact, not a question of style")


async def test_escape_forgets_the_reason_before_it_leaves(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        await rate.pilot.press("w", "1")
        await rate.until(lambda: rate.screen.why == "too long")
        await rate.pilot.press("escape")
        await rate.until(lambda: rate.screen.why is None)
        assert rate.pilot.app.is_running


# --- editing instead --------------------------------------------------------------------------------------------


async def open_editor(rate: Any, side: str = "right") -> Any:
    """The draft that is being edited."""
    await rate.until(lambda: rate.screen.pair)
    await rate.pilot.press("e", side)
    await rate.until(lambda: rate.screen.editing.draft)
    return rate.screen.editing.draft


async def test_an_edit_is_an_answer_and_can_be_taken_back(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        draft = await open_editor(rate)
        assert draft == rate.screen.pair.shown[1]
        await rate.pilot.press(*" Mine.", "ctrl+s")
        await rate.until(lambda: len(rate.screen.answers) == 1)
        answer = rate.screen.answers[0]
        (act,) = acts(rate, answer)
        assert (act.kind, act.draft_id, act.text) == ("edit", draft.id, f"{draft.text} Mine.")
        await rate.until(lambda: rate.screen.pair)
        assert rate.screen.editing.card is None
        await rate.pilot.press("u")
        await rate.until(lambda: rate.screen.pair == answer.pair)
        assert acts(rate, answer) == []


async def test_an_edit_that_changes_nothing_is_none(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        await open_editor(rate)
        await rate.pilot.press("ctrl+s")
        await rate.until(lambda: "changed nothing" in rate.screen.notice.text)
        assert rate.screen.answers == []


async def test_a_half_made_edit_waits_for_the_person(open_rate: OpenRate, penpal: PenPal) -> None:
    async with open_rate() as rate:
        draft = await open_editor(rate, "left")
        await rate.pilot.press(*" Half")
        await rate.pilot.press("escape")
        await rate.until(lambda: rate.screen.editing.card is None)
        assert rate.pilot.app.is_running
        pair = rate.screen.pair
        await open_editor(rate, "left")
        assert rate.screen.query_one("DraftEditor").text == f"{draft.text} Half"
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.editing.draft)
        assert rate.screen.pair.turn_id == pair.turn_id
        assert rate.screen.editing.draft.id == draft.id
        assert rate.screen.query_one("DraftEditor").text == f"{draft.text} Half"
        await rate.pilot.press("ctrl+s")
        await rate.until(lambda: len(rate.screen.answers) == 1)
        await rate.until(lambda: penpal.store.unsaved_places() == [])


async def test_escape_before_a_side_is_named_edits_neither(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        await rate.pilot.press("e", "escape")
        await rate.until(lambda: not rate.screen.which_to_edit)
        assert rate.pilot.app.is_running
        assert (await rate.answer("1")).kind == "left"


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
        assert "Asked again, you chose the same 1 of 1 time" in summary(rate.screen.session)


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
        assert "sked again" not in summary(rate.screen.session)


@pytest.mark.usefixtures("always_again")
async def test_only_a_choice_is_asked_again(open_rate: OpenRate) -> None:
    async with open_rate() as rate:
        assert not any([(await rate.answer(key)).pair.again for key in "ttsb11111"])


# --- a file of pairs --------------------------------------------------------------------------------------------

BROUGHT = [FoundPair(f"Prompt {n}.", (f"First text number {n}.", f"Quite another one, {n}!")) for n in range(3)]


async def test_pairs_from_a_file_are_shown_once_and_learned_from(open_rate: OpenRate, decoder: ScriptedDecoder) -> None:
    async with open_rate(source=FileSource(BROUGHT)) as rate:
        found = [await rate.answer("1") for _ in BROUGHT]
        assert {answer.pair.prompt for answer in found} == {pair.prompt for pair in BROUGHT}
        await rate.until(lambda: rate.screen.status.phase == "all pairs are answered")
        assert pairs(rate) == 3
        assert decoder.asked == []
        evidence = rate.penpal.store.evidence_of_turn(found[0].pair.turn_id, backbone_id="scripted")
        assert (evidence[0].weight, evidence[0].reason) == (0.5, "you found it a little better")


async def test_pairs_answered_before_are_left_out_the_next_time(open_rate: OpenRate) -> None:
    async with open_rate(source=FileSource(BROUGHT)) as rate:
        answered = await rate.answer("1")
        await rate.answer("2")
        await rate.pilot.press("u")
        await rate.until(lambda: len(rate.screen.answers) == 1)
    async with open_rate(source=FileSource(BROUGHT)) as rate:
        left = [(await rate.answer("1")).pair.prompt for _ in range(2)]
        await rate.until(lambda: rate.screen.status.phase == "all pairs are answered")
        assert answered.pair.prompt not in left


def test_no_prompts_is_an_error(penpal: PenPal) -> None:
    with pytest.raises(UsageError, match="no prompts"):
        run_rate(penpal, [" "])


async def test_two_drafts_are_there_before_eight_are(open_rate: OpenRate, decoder: ScriptedDecoder) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: len(decoder.asked) == 5)
        assert [len(requests) for _, requests in decoder.asked] == [2, 8, 8, 8, 8]
        await rate.pilot.pause(0.1)
        assert len(decoder.asked) == 5
        assert set(rate.shown()) == set(WARM_AND_DRY)

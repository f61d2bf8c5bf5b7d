"""The morning after: three of the person's own prompts, old against new, blind; the answers keep the voice or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from textual.widgets import Static

from app.morning import due_review
from app.tui.learning_here import OFFER
from app.tui.screens.morning import MorningScreen
from app.tui.widgets.draft_card import DraftCard
from app.wiring import PenPal
from core.settings import read_settings
from core.store import EncoderRecord
from core.voices import use_encoder
from tests.app.tui.test_learning_screen import active_id, add_night, keep_draft
from tests.scripted_decoder import ScriptedDecoder

Open = Callable[..., AbstractAsyncContextManager[Any]]
OFFERED = OFFER.replace("{chat.morning}", "F4")
PROMPTS = ("Thank Ann.", "Ask Bo.", "Tell Cy.")


@pytest.fixture
def night(learning: PenPal, decoder: ScriptedDecoder) -> tuple[EncoderRecord, EncoderRecord]:
    """Three kept texts of yesterday, a voice of the night before and a new one of last night."""
    decoder.texts = [f"Draft {number}." for number in range(40)]
    old = add_night(learning, 2, lean=1.0)
    for prompt in PROMPTS:
        turn = keep_draft(learning.store, "One two.", "One three.")
        with learning.store._transaction() as db:
            db.execute("UPDATE turns SET prompt = ? WHERE id = ?", [prompt, turn])
    return old, add_night(learning, 0, lean=2.0)


class Morning:
    """The chat with the questions open, and answers by voice instead of by side."""

    def __init__(self, chat: Any, penpal: PenPal, screen: MorningScreen) -> None:
        self.chat, self.penpal, self.screen = chat, penpal, screen

    async def asked(self) -> Any:
        await self.chat.until(lambda: self.screen.question is not None)
        return self.screen.question

    async def choose(self, voice: EncoderRecord) -> None:
        question = await self.asked()
        left = question.drafts[0].encoder_id == voice.id
        await self.press("1" if left else "2")

    async def press(self, key: str) -> None:
        before = len(self.penpal.store.acts((await self.asked()).comparison.turn_id))
        turn_id = self.screen.question.comparison.turn_id
        await self.chat.press(key)
        await self.chat.until(lambda: len(self.penpal.store.acts(turn_id)) > before)

    def words(self) -> str:
        return str(self.screen.query_one("#morning-words", Static).render())


@pytest.fixture
def open_morning(learning: PenPal, open_chat: Open) -> Callable[[], AbstractAsyncContextManager[Morning]]:
    @asynccontextmanager
    async def opened(size: tuple[int, int] = (120, 36)) -> AsyncIterator[Morning]:
        async with open_chat(size=size) as chat:
            await chat.press("f4")
            await chat.until(lambda: isinstance(chat.pilot.app.screen, MorningScreen))
            yield Morning(chat, learning, chat.pilot.app.screen)

    return opened


async def test_a_friendly_line_offers_the_questions_until_they_are_declined(
    learning: PenPal, night: tuple[EncoderRecord, EncoderRecord], open_chat: Open
) -> None:
    async with open_chat() as chat:
        await chat.until(lambda: OFFERED in chat.screen.news.text)
        await chat.press("f4")
        await chat.until(lambda: isinstance(chat.pilot.app.screen, MorningScreen))
        await chat.press("escape")
        await chat.until(lambda: chat.pilot.app.screen is chat.screen)
        assert learning.store.comparison_state(night[1].id) == "offered"
        await chat.press("f4")
        await chat.until(lambda: isinstance(chat.pilot.app.screen, MorningScreen))
        await chat.press("x")
        await chat.until(lambda: chat.pilot.app.screen is chat.screen)
        assert active_id(learning) == night[1].id
        await chat.press("f4")
        await chat.until(lambda: "nothing to ask" in chat.screen.notice.text)
    async with open_chat() as chat:
        await chat.pilot.pause()
        assert OFFERED not in chat.screen.news.text


async def test_the_questions_are_ones_own_prompts_and_blind(
    learning: PenPal, night: tuple[EncoderRecord, EncoderRecord], open_morning: Callable[..., Any]
) -> None:
    async with open_morning() as morning:
        prompts = []
        for number in range(3):
            question = await morning.asked()
            prompts.append(question.prompt)
            shown = str(morning.screen.query_one("#morning-prompt-text", Static).render())
            assert shown == question.prompt
            drafts = learning.store.drafts(question.comparison.turn_id)
            assert {draft.encoder_id for draft in drafts} == {voice.id for voice in night}
            assert len({draft.seed for draft in drafts}) == 1
            seen = " ".join(str(one.render()) for one in morning.screen.query(Static))
            cards = " ".join(str(card.border_title) for card in morning.screen.query(DraftCard))
            assert not any(voice.id[:8] in seen + cards for voice in night)
            assert "new" not in cards
            if number < 2:
                await morning.choose(night[1])
    assert prompts == ["Tell Cy.", "Ask Bo.", "Thank Ann."]


async def test_votes_for_the_new_voice_confirm_it_and_count_as_picks(
    learning: PenPal, night: tuple[EncoderRecord, EncoderRecord], open_morning: Callable[..., Any]
) -> None:
    before = learning.store.count_lessons()
    async with open_morning() as morning:
        for voice in (night[1], night[0], night[1]):
            await morning.choose(voice)
        await morning.chat.until(lambda: morning.screen.verdict == "confirmed")
        assert "new voice 2 times and the one before it 1 time." in morning.words()
        assert learning.store.count_lessons() == before + 3
        await morning.chat.press("escape")
        await morning.chat.press("f4")
        await morning.chat.until(lambda: "nothing to ask" in morning.chat.screen.notice.text)
    assert active_id(learning) == night[1].id
    assert learning.store.comparison_state(night[1].id) == "confirmed"


async def test_two_votes_for_the_old_voice_bring_it_back_with_the_reason_and_undo_takes_that_back(
    learning: PenPal, night: tuple[EncoderRecord, EncoderRecord], open_morning: Callable[..., Any]
) -> None:
    old, new = night
    async with open_morning() as morning:
        await morning.choose(old)
        await morning.press("t")
        await morning.choose(old)
        await morning.chat.until(lambda: morning.screen.verdict == "rolled back")
        writer = await morning.chat.pilot.app.writer()
        await morning.chat.until(lambda: writer.voice.encoder_id == old.id)
        assert active_id(learning) == old.id
        assert learning.store.activation_history()[-1].reason == (
            "rolled back: you preferred the voice before it in 2 of 3 blind comparisons"
        )
        assert "1 time neither" in morning.words()
        await morning.chat.press("u")
        await morning.asked()
        await morning.chat.until(lambda: writer.voice.encoder_id == new.id)
        assert active_id(learning) == new.id
        await morning.choose(new)
        await morning.chat.until(lambda: morning.screen.verdict == "confirmed")
        assert active_id(learning) == new.id


async def test_what_was_answered_is_not_asked_again_when_the_person_comes_back(
    learning: PenPal, night: tuple[EncoderRecord, EncoderRecord], open_morning: Callable[..., Any]
) -> None:
    async with open_morning() as morning:
        first = (await morning.asked()).prompt
        await morning.choose(night[0])
    async with open_morning() as morning:
        assert (await morning.asked()).prompt != first
        await morning.choose(night[0])
        await morning.choose(night[1])
        await morning.chat.until(lambda: morning.screen.verdict == "rolled back")


async def test_undo_goes_back_one_question(
    learning: PenPal, night: tuple[EncoderRecord, EncoderRecord], open_morning: Callable[..., Any]
) -> None:
    async with open_morning() as morning:
        first = await morning.asked()
        await morning.choose(night[1])
        second = await morning.asked()
        await morning.chat.press("u")
        await morning.chat.until(lambda: morning.screen.question == first)
        await morning.choose(night[0])
        await morning.chat.until(lambda: morning.screen.question == second)


async def test_voices_that_write_the_same_leave_nothing_to_choose(
    learning: PenPal,
    night: tuple[EncoderRecord, EncoderRecord],
    decoder: ScriptedDecoder,
    open_morning: Callable[..., Any],
) -> None:
    decoder.texts = ["The same."]
    async with open_morning() as morning:
        await morning.chat.until(lambda: morning.screen.verdict is not None)
        assert "nothing to choose" in morning.words()
    assert active_id(learning) == night[1].id


def test_nothing_is_asked_about_a_voice_that_is_not_in_use(
    learning: PenPal, night: tuple[EncoderRecord, EncoderRecord]
) -> None:
    review = due_review(learning.store, learning.home)
    assert review is not None
    assert (review.new.id, review.old.id if review.old else None) == (night[1].id, night[0].id)
    use_encoder(learning.store, "generic", learning.home.encoders)
    assert due_review(learning.store, learning.home) is None


def test_a_first_voice_is_compared_with_the_generic_one(learning: PenPal) -> None:
    keep_draft(learning.store, "One.", "Two.")
    add_night(learning, 0)
    review = due_review(learning.store, learning.home)
    assert review is not None
    assert review.old is None


async def test_it_can_be_switched_off_for_good(
    learning: PenPal, night: object, open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENPAL_LEARNING__MORNING", "false")
    learning.settings = read_settings(learning.home)
    async with open_chat() as chat:
        await chat.pilot.pause()
        assert OFFERED not in chat.screen.news.text

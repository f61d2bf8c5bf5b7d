"""Leaning on answers at once: the next draft follows, nothing waits for it, and nothing is lost when it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest

import app.tui.leaning
from app.wiring import PenPal
from core.settings import read_settings
from core.store import EncoderRecord
from models.personal_encoder import GaussianEncoder
from tests.app.conftest import CLAP_ID, LATENT_SIZE
from tests.scripted_decoder import ScriptedDecoder

Open = Callable[..., AbstractAsyncContextManager[Any]]
WARM, DRY = "Warm indeed!", "Dry."
"""On two sides of the first dimension, as the scripted encoder reads them."""


@pytest.fixture
def penpal(learning: PenPal, decoder: ScriptedDecoder) -> PenPal:
    decoder.texts = [WARM, DRY]
    return learning


async def mean(screen: Any) -> Any:
    """Of the voice that writes the next draft, once everything is learned."""
    await screen.leaning.caught_up()
    return (await screen.app.writer()).voice.encoder.parts.mean


async def test_after_a_pick_the_next_drafts_lean_the_way_of_the_picked_one(
    penpal: PenPal, open_chat: Open, decoder: ScriptedDecoder
) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        assert not (await mean(chat.screen)).any()
        await chat.press("1")
        learned = await mean(chat.screen)
        assert learned[0] > 0.1
        await chat.drafts("Second.")
        messages, requests = decoder.asked[-1]
        for request in requests:
            noise = GaussianEncoder.generic(LATENT_SIZE).sample(messages, "other", request.seed)
            np.testing.assert_allclose(request.z - noise, learned, atol=1e-6)


async def test_a_pick_that_only_going_on_settles_is_learned_before_the_next_drafts(
    penpal: PenPal, open_chat: Open, decoder: ScriptedDecoder
) -> None:
    async with open_chat() as chat:
        await chat.drafts("First.")
        await chat.press("2", "e", *" Quite dry and proper.", "tab")  # an edit that is still open
        picked = await mean(chat.screen)
        await chat.drafts("Second.")
        settled = await mean(chat.screen)
        assert (settled != picked).any()
        messages, (request, _) = decoder.asked[-1]
        noise = GaussianEncoder.generic(LATENT_SIZE).sample(messages, "other", request.seed)
        np.testing.assert_allclose(request.z - noise, settled, atol=1e-6)


async def test_it_can_be_switched_off(
    penpal: PenPal, open_chat: Open, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENPAL_LEARNING__FAST", "false")
    penpal.settings = read_settings(penpal.home)
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "a")
        assert not (await mean(chat.screen)).any()
        assert chat.screen.status.aside == ""


async def test_taking_a_pick_back_takes_the_lean_back(penpal: PenPal, open_chat: Open) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1")
        assert (await mean(chat.screen))[0] > 0
        await chat.press("2")
        assert (await mean(chat.screen))[0] < 0
        await chat.press("u", "u")
        assert chat.kinds() == []
        assert not (await mean(chat.screen)).any()


async def test_the_drafts_that_a_redo_rejected_teach_once_another_one_is_kept(
    penpal: PenPal, open_chat: Open, decoder: ScriptedDecoder
) -> None:
    decoder.texts = [DRY, DRY + " Very.", WARM, WARM + " Yes!"]
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("r")
        await chat.until(lambda: chat.screen.waiting and chat.screen.waiting.drafts[0].text == WARM)
        await chat.until(lambda: chat.screen.stream is None)
        await chat.press("a")
        assert chat.kinds() == ["redo", "redo", "pick", "accept"]
        assert (await mean(chat.screen))[0] > 0.1


async def test_the_status_line_says_so_for_a_moment(
    penpal: PenPal, open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.tui.widgets.status_line.MOMENT_S", 0.3)
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1")
        await chat.until(lambda: chat.screen.status.aside == "leaning your way: 1 answer")
        assert chat.screen.status.phase == "ready"
        await chat.until(lambda: chat.screen.status.aside == "")
        await chat.press("a")  # says nothing new
        await mean(chat.screen)
        assert chat.screen.status.aside == ""


async def test_it_says_since_when(penpal: PenPal, open_chat: Open) -> None:
    made = "2020-11-20T12:31:00+00:00"
    run = EncoderRecord("e" * 64, "e", "personalized", None, "scripted", CLAP_ID, 47, "rejected", {}, made)
    penpal.store.add_encoder(run)
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1")
        await chat.until(lambda: chat.screen.status.aside == "leaning your way: 1 answer since 20 Nov 2020")


async def test_keys_do_not_wait_for_it_and_drafts_not_for_long(
    penpal: PenPal, open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, learn_now = threading.Event(), penpal.learn_now
    monkeypatch.setattr(app.tui.leaning, "WAIT_S", 0.2)
    async with open_chat() as chat:
        monkeypatch.setattr(penpal, "learn_now", lambda *a: release.wait(120) and learn_now(*a))
        await chat.drafts()
        await chat.press("1", "2", "e", "!", "ctrl+s", "tab", *"and on")
        assert chat.kinds() == ["pick", "pick", "edit"]
        assert chat.screen.composer.text == "and on"
        await chat.drafts("Second.")
        release.set()
        assert (await mean(chat.screen)).any()


async def test_answers_are_learned_one_at_a_time(
    penpal: PenPal, open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, learn_now = [0], [0], penpal.learn_now

    def slowly(*arguments: Any) -> int | None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.05)
        running[0] -= 1
        return learn_now(*arguments)

    async with open_chat() as chat:
        monkeypatch.setattr(penpal, "learn_now", slowly)
        await chat.drafts()
        await chat.press("1", "2", "1", "s")
        assert (await mean(chat.screen))[0] > 0
        assert most == [1]


async def test_an_answer_is_kept_when_learning_from_it_fails(
    penpal: PenPal, open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*arguments: Any) -> None:
        raise RuntimeError("boom")

    async with open_chat() as chat:
        await chat.drafts()
        with monkeypatch.context() as patched:
            patched.setattr(penpal, "learn_now", explode)
            await chat.press("1")
            await chat.until(lambda: "boom" in chat.screen.news.text)
            assert chat.screen.news.display
            assert chat.screen.news.text.startswith("Your answer is kept")
            assert not chat.screen.notice.display
            assert chat.kinds() == ["pick"]
        await chat.press("2")
        assert not chat.screen.news.display
        assert (await mean(chat.screen))[0] < 0


async def test_what_is_picked_while_the_backbone_loads_is_learned_when_it_is_there(
    penpal: PenPal, open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_chat() as chat:
        await chat.drafts()
    loaded, writer = threading.Event(), penpal.writer()
    monkeypatch.setattr(penpal, "writer", lambda: loaded.wait(120) and writer)
    async with open_chat(ready=False) as chat:
        await chat.until(lambda: chat.screen.pair.cards[0].has_focus)
        await chat.press("1")
        assert not writer.voice.encoder.parts.mean.any()
        loaded.set()
        assert (await mean(chat.screen))[0] > 0


async def test_generic_drafts_stay_generic(penpal: PenPal, open_chat: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penpal, "latents_trusted", lambda: False)
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1")
        await chat.screen.leaning.caught_up()
        assert (await chat.screen.app.writer()).voice.encoder is None
        assert (chat.screen.status.aside, chat.screen.news.text) == ("", "")


# --- rate -------------------------------------------------------------------------------------------------------


async def test_answers_in_rate_move_the_voice_and_undo_moves_it_back(penpal: PenPal, open_rate: Open) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        warm = "1" if rate.screen.pair.shown[0].text == WARM else "2"
        await rate.answer(warm)
        assert (await mean(rate.screen))[0] > 0.1
        await rate.until(lambda: rate.screen.status.aside == "leaning your way: 1 answer")
        await rate.pilot.press("u")
        await rate.until(lambda: rate.screen.answers == [])
        assert not (await mean(rate.screen)).any()


async def test_an_answer_in_rate_is_kept_when_learning_from_it_fails(
    penpal: PenPal, open_rate: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*arguments: Any) -> None:
        raise RuntimeError("boom")

    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        monkeypatch.setattr(penpal, "learn_now", explode)
        answer = await rate.answer("1")
        await rate.until(lambda: "boom" in rate.screen.news.text)
        assert [act.kind for act in penpal.store.acts(answer.pair.turn_id)] == ["pick"]
        assert not rate.screen.notice.display
        await rate.answer("2")


async def test_leaving_lets_go_of_what_is_still_being_learned(
    penpal: PenPal, open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    async with open_chat() as chat:
        monkeypatch.setattr(penpal, "learn_now", lambda *a: release.wait(120))
        await chat.drafts()
        await chat.press("1")
        left = time.monotonic()
        await chat.pilot.press("ctrl+q")
        await chat.until(lambda: not chat.pilot.app.is_running)
        assert time.monotonic() - left < 10
        release.set()

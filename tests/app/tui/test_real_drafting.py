"""The chat with the real backbone: what Enter waits for, and what Esc leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.wiring import PenPal, open_penpal
from benchmarks.tui import THREAD_TOKENS, add_thread
from core.protocols import DraftRequest, Message, Sampling
from models.decoder_llama import PREFILL_TOKENS
from tests.app.tui.conftest import Chat, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

THREAD = [Message("user", "Write to Ann."), Message("assistant", "Dear Ann,\n\nThe garden is green.\n\nYours")]


@pytest.fixture
def penpal() -> Iterator[PenPal]:
    wired = open_penpal()
    yield wired
    wired.close()


@asynccontextmanager
async def opened(penpal: PenPal) -> AsyncIterator[Chat]:
    screen = ChatScreen(penpal.store)
    async with PenPalApp(penpal, screen).run_test(size=(120, 36)) as pilot:
        await until(lambda: screen.status.phase == "ready", within_s=240)
        yield Chat(penpal, pilot, screen)


def read_for(penpal: PenPal, messages: list[Message]) -> int:
    """How many tokens are read before the drafts begin."""
    reads = [0]
    one = Sampling(max_tokens=1)
    for _ in penpal.decoder.generate(
        messages, [DraftRequest(0)], one, on_prefill=lambda done, all_: reads.append(all_)
    ):
        pass
    return reads[-1]


@pytest.mark.parametrize(
    "typed", ["", "Now", "Now a note to", "Now a note to Bob: 3 lines, please.", "Nun für Jörg 👍🏽 "]
)
def test_the_real_template_lets_everything_typed_be_read_ahead(penpal: PenPal, typed: str) -> None:
    decoder = penpal.decoder
    sent = [*THREAD, Message("user", f"{typed} and this is new")]
    assert decoder.warm([*THREAD, Message("user", typed)])
    new = decoder.count_tokens(sent) - decoder.count_tokens([*THREAD, Message("user", typed)])
    # Besides what is new: the last token of what was typed, and the template's end after the prompt.
    assert read_for(penpal, sent) <= new + 8
    decoder.warm(sent)
    assert read_for(penpal, sent) <= 8


async def test_enter_waits_for_a_few_tokens_only_after_a_text_was_kept(penpal: PenPal) -> None:
    await asyncio.to_thread(penpal.writer)
    add_thread(penpal)
    reads: list[tuple[int, int]] = []
    async with opened(penpal) as chat:
        chat.screen.sidebar.highlighted = 0
        chat.screen.sidebar.action_select()
        await until(lambda: chat.screen.turns, within_s=120)
        chat.screen.composer.focus()
        for character in "Shorter, please.":
            await chat.pilot.press("space" if character == " " else character)
        await asyncio.sleep(1.0)
        await until(lambda: chat.screen.reading_ahead.at_rest, within_s=240)
        generate = penpal.decoder.generate

        def noting(*args: Any, on_prefill: Callable[[int, int], None], **options: Any) -> Any:
            def read(done: int, tokens: int) -> None:
                reads.append((done, tokens))
                on_prefill(done, tokens)

            return generate(*args, on_prefill=read, **options)

        penpal.decoder.generate = noting  # type: ignore[method-assign]
        await chat.pilot.press("enter")
        await until(lambda: reads and (chat.screen.stream is None or chat.screen.stream.look().tokens), within_s=120)
        if chat.screen.stream is not None:  # a very short answer may be there already
            chat.screen.drafting.stop()
        await until(lambda: all(worker.is_finished for worker in chat.pilot.app.workers), within_s=60)
        asked = chat.screen.turn.turn.messages if chat.screen.turn else ()
    assert penpal.store.counts()["turns"] == 2
    assert sum(len(message.content) for message in asked) > 2 * THREAD_TOKENS
    assert reads[-1][1] <= PREFILL_TOKENS


async def test_escape_keeps_the_partial_marks_it_and_then_gives_the_prompt_back(penpal: PenPal) -> None:
    async with opened(penpal) as chat:
        await chat.send("Write a long letter about the sea.")
        await until(lambda: chat.screen.stream and chat.screen.stream.look().tokens > 8, within_s=240)
        await chat.pilot.press("escape")  # how long that takes is for benchmarks/tui.py
        await until(lambda: chat.screen.status.phase == "stopped" and chat.screen.waiting, within_s=120)
        turn = chat.screen.waiting
        assert all(draft.text.strip() for draft in turn.drafts)
        assert "cancelled" in {draft.status for draft in turn.drafts}  # one may have come to its own end
        for draft, card in zip(turn.drafts, chat.screen.pair.cards, strict=True):
            assert ("stopped" in str(card.border_subtitle)) == (draft.status == "cancelled")
        await chat.press("escape")
        await until(lambda: chat.screen.composer.text == "Write a long letter about the sea.", within_s=120)
        kept = [draft.text for draft in chat.penpal.store.drafts(turn.turn.id)]
        assert kept == [draft.text for draft in turn.drafts]

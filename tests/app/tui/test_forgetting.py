"""Forgetting after a real session: what was typed, drafted, edited, rated and served is nowhere any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from app.wiring import PenPal
from core.forgetting import Wanted, forget
from core.protocols import Message
from core.store import Store
from models.text_vectors import text_key
from tests.home_bytes import bytes_of, files_with
from tests.scripted_decoder import ScriptedDecoder

Open = Callable[..., AbstractAsyncContextManager[Any]]
SECRETS = ("Zebulon", "Quincunx", "Zugzwang", "Xylophone", "Quokka", "Pamplemousse", "Wombat", "Kerfuffle")
KEPT = ("Marimba", "Theremin")


@pytest.fixture
def decoder() -> ScriptedDecoder:
    return ScriptedDecoder(["Dear Zebulon, all is Quincunx!", "Zebulon. That is Quincunx."])


@pytest.fixture
def reopened(penpal: PenPal, penpal_home: Path) -> Iterator[Callable[[], Store]]:
    """Ends the session and opens the home as another program does."""
    opened: list[Store] = []

    def reopen() -> Store:
        penpal.close()
        opened.append(Store(penpal_home / "penpal.db"))
        return opened[-1]

    yield reopen
    for store in opened:
        store.close()


async def a_session(learning: PenPal, open_chat: Open, open_rate: Open, decoder: ScriptedDecoder) -> None:
    """Chat with an edit, a redo with a hint, unsent words, a search, rating, a script, and another program."""
    async with open_chat() as chat:
        await chat.drafts("Write to Zebulon about the Xylophone.")
        await chat.press("1", "e", *" Zugzwang.", "ctrl+s", "enter")
        await chat.send("Now shorter, Zebulon.")
        await chat.until(lambda: chat.screen.stream is None and chat.screen.waiting)
        await chat.press("2", "e", *" Wombat", "escape", "tab")
        chat.screen.composer.replace_text("And tell the Quokka")
        await chat.pilot.pause(0.6)
    decoder.texts = ["A Theremin!", "A dry Theremin."]
    async with open_chat() as chat:
        await chat.press("ctrl+n")
        await chat.drafts("Describe a Marimba.")
        await chat.press("1", "enter")
    decoder.texts = ["Pamplemousse!", "A Pamplemousse."]
    async with open_rate(["Praise Zebulon."]) as rate:
        await rate.answer("1")
    writer = learning.writer()
    writer.propose("Thank Zebulon.", origin="write", drafts=2).run()
    asked = [Message("system", "You are Kerfuffle."), Message("user", "Hello?")]
    writer.propose_to(asked).run()


@pytest.mark.slow
async def test_after_a_session_a_search_leaves_no_word_in_any_file(
    learning: PenPal, open_chat: Open, open_rate: Open, decoder: ScriptedDecoder, penpal_home: Path,
    reopened: Callable[[], Store],
) -> None:  # fmt: skip
    await a_session(learning, open_chat, open_rate, decoder)
    assert sorted({word for words in files_with(penpal_home, SECRETS).values() for word in words}) == sorted(SECRETS)
    store, home = reopened(), learning.home
    for words in ("zebulon", "pamplemousse", "kerfuffle", "quokka"):
        forget(store, home, Wanted("search", words=words), key_of=text_key, wait_s=0)
    assert files_with(penpal_home, SECRETS) == {}
    assert bytes_of(penpal_home) > 100_000
    assert sorted({word for words in files_with(penpal_home, KEPT).values() for word in words}) == sorted(KEPT)
    assert store.check() == []


@pytest.mark.slow
async def test_after_a_session_everything_leaves_no_word_in_any_file(
    learning: PenPal, open_chat: Open, open_rate: Open, decoder: ScriptedDecoder, penpal_home: Path,
    reopened: Callable[[], Store],
) -> None:  # fmt: skip
    await a_session(learning, open_chat, open_rate, decoder)
    forget(reopened(), learning.home, Wanted("everything"), key_of=text_key, wait_s=0)
    assert files_with(penpal_home, (*SECRETS, *KEPT)) == {}


async def test_the_chat_goes_on_where_one_of_two_drafts_was_forgotten(
    learning: PenPal, open_chat: Open, penpal_home: Path
) -> None:
    async with open_chat() as chat:
        await chat.drafts("Write to Bo.")
        forgotten, left = (draft.id for draft in chat.screen.waiting.drafts)
    learning.store.close()
    with closing(Store(penpal_home / "penpal.db")) as store:
        forget(store, learning.home, Wanted("draft", (forgotten,)), key_of=text_key, wait_s=0)
    vars(learning).pop("store")
    async with open_chat() as chat:
        await chat.until(lambda: chat.screen.waiting)
        assert [draft.id for draft in chat.screen.waiting.drafts] == [left]
        await chat.press("2", "1", "enter")
        assert chat.kinds() == ["pick", "accept"]

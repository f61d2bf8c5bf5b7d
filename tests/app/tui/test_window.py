"""Two PenPals on one home: each keeps what is typed in it, and what a lost one kept comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from app.tui.starting_place import starting_place
from app.tui.window import Window
from core.paths import Home
from core.store import Store

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def home(penpal_home: Path) -> Home:
    return Home(penpal_home)


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = Store(home.database)
    yield store
    store.close()


def test_the_first_one_has_the_places_of_a_penpal_that_is_alone(home: Home, store: Store) -> None:
    window = Window(home, store)
    assert (window.number, window.alone) == (1, True)
    assert window.place("composer") == "composer"
    window.close()


def test_a_second_one_keeps_its_texts_apart(home: Home, store: Store) -> None:
    first, second = Window(home, store), Window(home, store)
    assert (second.number, second.alone) == (2, False)
    place = second.place("composer of conversation 7")
    assert (first.name_of(place), second.name_of(place)) == (None, "composer of conversation 7")
    first.close()
    third = Window(home, store)
    assert (third.number, third.alone) == (1, True)
    second.close()
    third.close()


def test_what_a_lost_window_kept_comes_back_with_the_next_one(home: Home, store: Store) -> None:
    first, second = Window(home, store), Window(home, store)
    store.keep_unsaved(second.place("composer"), "half a thought")
    second.close()
    next_one = Window(home, store)
    assert store.unsaved(next_one.place("composer")) == "half a thought"
    next_one.close()
    first.close()
    alone = Window(home, store)
    assert (alone.alone, store.unsaved(alone.place("composer"))) == (True, "half a thought")
    alone.close()


def test_a_second_one_leaves_the_first_at_its_work(home: Home, store: Store) -> None:
    conversation = store.add_conversation("Waiting", origin="chat")
    store.keep_unsaved(f"composer of conversation {conversation}", "not yet sent")
    first, second = Window(home, store), Window(home, store)
    assert (starting_place(store, first), starting_place(store, second)) == (conversation, None)
    first.close()
    second.close()


async def test_two_screens_do_not_take_each_others_words(open_chat: OpenChat) -> None:
    async with open_chat() as first:
        await first.press(*"mine")
        await first.until(lambda: not first.screen.typed.dirty)
        async with open_chat() as second:
            assert second.screen.composer.text == ""
            assert "another window" in second.screen.news.text
            await second.press(*"yours")
            await second.until(lambda: not second.screen.typed.dirty)
        await first.press("!")
        await first.until(lambda: not first.screen.typed.dirty)
    store = first.penpal.store
    assert store.unsaved("composer") == "mine!"
    assert store.unsaved("composer in window 2") == "yours"

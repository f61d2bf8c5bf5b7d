"""The real program in a real terminal: type, wait for drafts, pick, leave, and look into the database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.tui.first_run import note_tour_seen
from core.paths import Home
from core.store import Store
from tests.app.pseudo_terminal import Terminal

PENPAL = Path(sys.executable).parent / "penpal"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def terminal(penpal_home: Path) -> Iterator[Terminal]:
    """`penpal chat`, not for the first time."""
    store = Store(Home(penpal_home).database)
    note_tour_seen(store)
    store.close()
    opened = Terminal(PENPAL, "chat")
    yield opened
    opened.close()


def test_a_prompt_is_drafted_picked_and_stored(terminal: Terminal, penpal_home: Path) -> None:
    terminal.wait_for("ready", within_s=240)
    terminal.type("Write two sentences about the sea.\r")
    terminal.wait_for("more like you", within_s=240)
    terminal.type("2")
    terminal.wait_for("picked", within_s=30)
    terminal.type("\x11")
    assert terminal.wait_for_end(within_s=60) == 0
    store = Store(Home(penpal_home).database)
    (conversation,) = store.conversations()
    (turn,) = store.turns(conversation.id)
    left, right = store.drafts(turn.id)
    (act,) = store.acts(turn.id)
    assert turn.prompt == "Write two sentences about the sea."
    assert (left.status, right.status) == ("done", "done")
    assert (act.kind, act.draft_id, act.other_draft_id) == ("pick", right.id, left.id)
    store.close()


def test_a_hung_up_terminal_loses_nothing(terminal: Terminal, penpal_home: Path) -> None:
    terminal.wait_for("your prompt", within_s=60)
    terminal.type("half a thought")
    terminal.wait_for("3 words", within_s=30)
    terminal.process.terminate()
    terminal.wait_for_end(within_s=240)
    store = Store(Home(penpal_home).database)
    assert store.unsaved("composer") == "half a thought"
    store.close()


def test_two_at_once_on_one_home_both_write(terminal: Terminal, penpal_home: Path) -> None:
    second = Terminal(PENPAL, "chat")
    try:
        for number, one in enumerate((terminal, second), 1):
            one.wait_for("ready", within_s=240)
            one.type(f"Write two sentences about number {number}.\r")
        for one in (terminal, second):
            one.wait_for("more like you", within_s=240)
            one.type("2")
            one.wait_for("picked", within_s=60)
            one.type("\x11")
            assert one.wait_for_end(within_s=60) == 0
    finally:
        second.close()
    store = Store(Home(penpal_home).database)
    assert store.counts()["turns"] == 2
    for turn_id in (1, 2):
        assert [draft.status for draft in store.drafts(turn_id)] == ["done", "done"]
        assert [act.kind for act in store.acts(turn_id)] == ["pick"]
    store.close()

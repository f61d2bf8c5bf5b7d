"""The very first start of the real program: the tour, three picks between real drafts, and writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.tui.screens.tour import POINTERS
from core.paths import Home
from core.store import Store
from tests.app.pseudo_terminal import Terminal
from tests.app.test_terminal import PENPAL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_tour_leads_to_three_picks_and_to_writing(penpal_home: Path) -> None:
    terminal = Terminal(PENPAL, "chat")
    try:
        for pointer in POINTERS:
            terminal.wait_for(pointer.title, within_s=240)
            terminal.type(" ")
        for number in (1, 2, 3):
            terminal.wait_for(f"pick {number} of 3", within_s=240)
            terminal.type("1")
        terminal.wait_for("write something of your own", within_s=60)
        terminal.type("\x11")
        assert terminal.wait_for_end(within_s=60) == 0
    finally:
        terminal.close()
    store = Store(Home(penpal_home).database)
    assert [[act.kind for act in store.acts(turn)] for turn in (1, 2, 3)] == [["pick"]] * 3
    assert store.conversations() == []
    store.close()

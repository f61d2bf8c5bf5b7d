"""Makes docs/images/chat.svg and rate.svg: the real screens with real drafts, in a temporary home.

python docs/screenshots.py
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.tui.screens.rate import RateScreen
from app.wiring import PenPal, open_penpal
from core.paths import Home

IMAGES = Path(__file__).parent / "images"
SIZE = (120, 36)


async def until(condition: Callable[[], object]) -> None:
    """Waits until something is true; gives up after two minutes."""
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.05)


async def chat(penpal: PenPal) -> None:
    """A thread of one kept text, and two new drafts of which one is picked."""
    screen = ChatScreen(penpal.store)
    async with PenPalApp(penpal, screen).run_test(size=SIZE) as pilot:
        await until(lambda: screen.status.phase == "ready")
        await drafts(pilot, screen, "Write a short note to thank my sister for the cake.")
        await pilot.press("1")
        await pilot.pause(0.5)
        await pilot.press("a")
        await until(lambda: screen.waiting is None)
        await drafts(pilot, screen, "Ask my landlord when the heating will be repaired.")
        await pilot.press("2")
        await pilot.pause(1)
        pilot.app.save_screenshot("chat.svg", str(IMAGES))


async def drafts(pilot: Pilot[None], screen: ChatScreen, prompt: str) -> None:
    """Types a prompt, sends it, and waits until both drafts are there."""
    screen.composer.focus()
    screen.composer.replace_text(prompt)
    await pilot.press("enter")
    await until(lambda: screen.stream is None and screen.waiting and screen.waiting.turn.prompt == prompt)
    await pilot.pause(0.5)


async def rate(penpal: PenPal) -> None:
    """The first pair of a session."""
    screen = RateScreen(penpal.store, ["Invite the neighbours to talk about the garden."] * 4)
    async with PenPalApp(penpal, screen).run_test(size=SIZE) as pilot:
        await until(lambda: screen.pair is not None)
        await pilot.pause(1)
        pilot.app.save_screenshot("rate.svg", str(IMAGES))


async def main() -> None:
    """Both pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        penpal = open_penpal(Home(Path(folder)))
        await chat(penpal)
        await rate(penpal)
        penpal.close()


if __name__ == "__main__":
    asyncio.run(main())

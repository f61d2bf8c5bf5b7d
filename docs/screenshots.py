"""Makes the pictures of docs/images: the real screens with drafts of the real backbone, after a simulated month.

python docs/screenshots.py [--home DIR]     (a DIR that is there already is not filled again)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import time_machine
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

sys.path.insert(0, str(Path(__file__).parent))  # as a script, from anywhere

from simulated_month import TODAY, simulated_month

from app.pair_sources import FileSource, FoundPair
from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.tui.screens.rate import RateScreen
from app.tui.screens.tour import TourScreen
from app.wiring import PenPal, open_penpal
from core.paths import Home

IMAGES = Path(__file__).parent / "images"
SIZE = (120, 36)
SEED = 5
"""Of all drafts in the pictures."""
NOTE = "Write a thank-you note to my sister for the birthday cake."
EDITED = (
    "Dear Lena,\n\nthank you for the birthday cake! It was such a treat, and I can't wait to see you again. "
    "I hope you have a wonderful week."
)
PLAIN = (
    "Dear sister, I just wanted to thank you for the birthday cake. It's a special treat, and I can't wait to see you "
    "again. I hope you have a wonderful birthday."
)


async def until(condition: Callable[[], object]) -> None:
    """Waits until something is true; gives up after five minutes."""
    async with asyncio.timeout(300):
        while not condition():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def opened(penpal: PenPal, screen: Screen[None], *, theme: str = "dark") -> AsyncIterator[Pilot[None]]:
    """The app on a screen, its pictures named after what they show."""
    app = PenPalApp(penpal, screen)
    app.theme = f"penpal-{theme}"
    async with app.run_test(size=SIZE) as pilot:
        yield pilot


async def picture(pilot: Pilot[None], name: str) -> None:
    """Saves what is drawn now, once it has come to rest."""
    await pilot.pause(1.0)
    pilot.app.save_screenshot(f"{name}.svg", str(IMAGES))


async def ready(screen: ChatScreen) -> None:
    """Until the backbone is loaded."""
    await until(lambda: screen.status.phase == "ready")


async def drafts(pilot: Pilot[None], screen: ChatScreen, prompt: str) -> None:
    """Types a prompt, sends it, and waits until both drafts are there."""
    screen.composer.focus()
    screen.composer.replace_text(prompt)
    await pilot.press("enter")
    await until(lambda: screen.stream is None and screen.waiting and screen.waiting.turn.prompt == prompt)
    await pilot.pause(0.5)


async def above(pilot: Pilot[None], key: str, name: str, *keys: str) -> None:
    """What a key opens above the chat, after some keys more; then it is left again."""
    below = pilot.app.screen
    await pilot.press(key)
    await until(lambda: pilot.app.screen is not below)
    await pilot.press(*keys)
    await picture(pilot, name)
    await pilot.press("escape")
    await until(lambda: pilot.app.screen is below)


async def chat(penpal: PenPal) -> None:
    """Two drafts of which one is picked, in dark and in light; other drafts, both merged, and the edit of one."""
    screen = ChatScreen(penpal.store)
    async with opened(penpal, screen) as pilot:
        await ready(screen)
        await pilot.press("ctrl+n")
        screen.app.next_is_generic = True  # the simulated person's own drafts are no model for anybody
        await drafts(pilot, screen, NOTE)
        await pilot.press("2")
        await picture(pilot, "chat")
        pilot.app.theme = "penpal-light"
        await picture(pilot, "chat-light")
        pilot.app.theme = "penpal-dark"
        await above(pilot, "R", "hint")
        await above(pilot, "m", "merge", "space", "down", "space", "left", "down", "space")
        await pilot.press("e")
        await until(lambda: screen.pair.editing)
        card = screen.pair.editing
        assert card is not None
        assert card.editor is not None
        card.editor.load_text(EDITED)
        card.editor.move_cursor(card.editor.document.end)
        await picture(pilot, "editing")
        await pilot.press("ctrl+s")
        await until(lambda: screen.pair.editing is None)
        await pilot.press("a")
        await until(lambda: screen.waiting is None)


async def search(penpal: PenPal) -> None:
    """Everything that was written about one word."""
    screen = ChatScreen(penpal.store)
    async with opened(penpal, screen) as pilot:
        await ready(screen)
        await pilot.press("ctrl+f")
        pilot.app.screen.query_one(Input).value = "broken"
        await picture(pilot, "search")


async def learning(penpal: PenPal) -> None:
    """What a month of choices came to."""
    screen = ChatScreen(penpal.store)
    async with opened(penpal, screen) as pilot:
        await ready(screen)
        await pilot.press("f2")
        await picture(pilot, "learning")


async def tour(penpal: PenPal) -> None:
    """The first run: a pointer at the prompt."""
    screen = ChatScreen(penpal.store)
    async with opened(penpal, screen) as pilot:
        await ready(screen)
        await pilot.press("ctrl+n")
        await until(lambda: screen.conversation_id is None)
        screen.app.push_screen(TourScreen(screen, Path("/home/ann/.local/share/penpal")))
        await pilot.press("space")
        await picture(pilot, "tour")


async def rate(penpal: PenPal) -> None:
    """A pair of a file that the person brought along."""
    screen = RateScreen(penpal.store, FileSource([FoundPair(NOTE, (PLAIN, EDITED))]))
    async with opened(penpal, screen) as pilot:
        await until(lambda: screen.pair is not None)
        await picture(pilot, "rate")
        await screen.leave()


PICTURES: tuple[Callable[[PenPal], Awaitable[None]], ...] = (search, learning, tour, chat, rate)


async def take(home: Home, wanted: list[str]) -> None:
    """The pictures of these names, or all, in their order."""
    for one in PICTURES:
        if not wanted or one.__name__ in wanted:
            with closing(open_penpal(home)) as penpal:
                await one(penpal)


def main() -> None:
    """Fills a home, then takes pictures of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="where the simulated month is kept; without it, in a temporary place")
    parser.add_argument("pictures", nargs="*", help="only these: " + ", ".join(one.__name__ for one in PICTURES))
    arguments = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    os.environ["PENPAL_DRAFTS__TEMPERATURE"] = "0.5"  # sober drafts
    secrets.randbelow = lambda limit: SEED % limit  # type: ignore[assignment]  # the same drafts every time
    with tempfile.TemporaryDirectory() as folder:
        home = Home(arguments.home or Path(folder))
        if not home.database.exists():
            with closing(open_penpal(home)) as penpal:
                simulated_month(penpal)
        with time_machine.travel(TODAY):
            asyncio.run(take(home, arguments.pictures))


if __name__ == "__main__":
    main()

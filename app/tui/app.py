"""The Textual app around one screen: themes, loading, help, report, leaving, and what it takes from the terminal."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Footer

from app.tui.screens.help import HelpScreen
from app.tui.screens.report import ReportScreen
from app.tui.screens.too_small import MIN_COLUMNS, MIN_ROWS, TooSmallScreen
from app.tui.theme import DARK, LIGHT
from app.wiring import PenPal
from core.errors import UsageError
from core.session import Writer


@runtime_checkable
class Leavable(Protocol):
    """A screen that has something to bring to safety before the app ends."""

    async def leave(self) -> bool:
        """Brings it to safety; False when that failed, was said, and the person should decide."""


def need_terminal(command: str, *, instead: str) -> None:
    """Raises UsageError when there is no terminal to draw on."""
    if not (all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.__stderr__) if stream)):
        raise UsageError(f"'{command}' needs a terminal, and here is none: {instead}.")


class PenPalApp(App[None]):
    """PenPal in the terminal, opened on one screen."""

    TITLE = "PenPal"
    CSS_PATH = Path(__file__).parent / "penpal.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    HELP_TITLE = "Everywhere"
    BINDINGS = [
        Binding("ctrl+q", "quit", "quit", show=False, id="app.quit", tooltip="Leave; nothing is lost"),
        Binding(
            "f1,question_mark", "help", "help", id="app.help", key_display="F1", tooltip="Show all keys (? works too)"
        ),
        Binding(
            "f2", "report", "report", show=False, id="app.report", key_display="F2",
            tooltip="Read what PenPal learned in its newest run",
        ),
    ]  # fmt: skip

    def __init__(self, penpal: PenPal, opening: Screen[None]) -> None:
        super().__init__()
        self.penpal = penpal
        self._opening = opening
        self._loading: asyncio.Task[Writer] | None = None
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = f"penpal-{penpal.settings.theme}"

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        yield SystemCommand("Report", "Read what PenPal learned in its newest run", self.action_report)

    def get_default_screen(self) -> Screen[None]:
        return self._opening

    def on_mount(self) -> None:
        """Takes a closed terminal or a kill as leaving, so that text on its way is kept."""
        for name in ("SIGHUP", "SIGTERM"):
            if hasattr(signal, name):
                asyncio.get_running_loop().add_signal_handler(
                    getattr(signal, name), lambda: asyncio.ensure_future(self._leave_at_once())
                )

    async def writer(self) -> Writer:
        """The writer; the first call loads the backbone in a thread, and the screen goes on meanwhile.

        Raises PenPalError; then the next call tries again.
        """
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            self._loading = asyncio.create_task(asyncio.to_thread(self.penpal.writer), name="load the backbone")
        # Shielded: who waits may be cancelled, the load goes on for whoever asks next.
        return await asyncio.shield(self._loading)

    @property
    def loaded(self) -> bool:
        return self._loading is not None and self._loading.done() and self._loading.exception() is None

    async def learn_now(self, turn_id: int) -> int | None:
        """`PenPal.learn_now` in a thread, once the backbone is loaded; None when it cannot be loaded."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
        if not self.loaded:
            return None
        return await asyncio.to_thread(self.penpal.learn_now, await self.writer(), turn_id)

    def on_resize(self, event: events.Resize) -> None:
        for footer in [footer for screen in self.screen_stack for footer in screen.query(Footer)]:
            footer.compact = event.size.width < 100
        fits = event.size.width >= MIN_COLUMNS and event.size.height >= MIN_ROWS
        covered = isinstance(self.screen, TooSmallScreen)
        if not fits and not covered:
            self.push_screen(TooSmallScreen())
        elif fits and covered:
            self.pop_screen()

    def action_help(self) -> None:
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        elif not isinstance(self.screen, TooSmallScreen):
            self.push_screen(HelpScreen(self.screen if isinstance(self.screen, ReportScreen) else self._opening))

    def action_report(self) -> None:
        if isinstance(self.screen, ReportScreen):
            self.pop_screen()
        elif self.screen is self._opening:
            self.push_screen(ReportScreen(self.penpal.store, self.penpal.home))

    async def action_quit(self) -> None:
        if not isinstance(self._opening, Leavable) or await self._opening.leave():
            self.exit()

    async def _leave_at_once(self) -> None:
        if isinstance(self._opening, Leavable):
            await self._opening.leave()
        self.exit()

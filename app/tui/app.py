"""The Textual app around one screen: themes, loading, help, report, leaving, and what it takes from the terminal."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from textual import events
from textual.app import App
from textual.binding import Binding
from textual.css.query import NoMatches
from textual.driver import Driver
from textual.filter import LineFilter
from textual.screen import ModalScreen, Screen
from textual.theme import Theme
from textual.worker import WorkerFailed

from app.harmless import pasted
from app.tui.harmless_lines import HarmlessLines
from app.tui.key_names import SHARED, keys_of
from app.tui.keymap import keymap_of
from app.tui.palette import ActionsProvider
from app.tui.screens.help import HelpScreen
from app.tui.screens.too_long import TooLongScreen
from app.tui.screens.too_small import MIN_COLUMNS, MIN_ROWS, TooSmallScreen
from app.tui.theme import THEMES, own_variables
from app.wiring import PenPal
from core.errors import StoreError, UsageError
from core.session import Writer, without_middle

MOST_PASTED_CHARACTERS = 100_000
"""Ten times what the embedded backbone reads at once; an editor on the screen gets slow with much more."""
TAKEN_CHARACTERS = 8_000
"""Of a longer paste: what surely fits."""


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
    CSS_PATH = [
        Path(__file__).parent / f"{name}.tcss"
        for name in ("penpal", "chat", "drafts", "merge", "above", "learning", "rate")
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    HELP_TITLE = "Everywhere"
    BINDINGS = [
        Binding("ctrl+q", "quit", "quit", show=False, id="app.quit", tooltip="Leave; nothing is lost"),
        Binding(
            "f1,question_mark", "help", "help", id="app.help", key_display="F1", tooltip="Show all keys"
        ),
        Binding(
            "f2", "learning", "learned", show=False, id="app.learning", key_display="F2",
            tooltip="See what PenPal has learned, and change it",
        ),
        Binding(
            "ctrl+p", "command_palette", "more", id="app.palette", key_display="^p", priority=True,
            tooltip="Find any action by what it does",
        ),
        Binding(
            "f3", "change_theme", "colours", show=False, id="app.theme", key_display="F3",
            tooltip="Dark, light, high contrast or other colours; the choice is remembered",
        ),
        Binding(
            "ctrl+z", "suspend_process", "to the shell", show=False, id="app.suspend", key_display="^z",
            tooltip="Go to the shell for a while; 'fg' comes back (where text is typed, the key undoes)",
        ),
    ]  # fmt: skip
    COMMANDS = {ActionsProvider}
    """Textual's own commands are among the actions."""

    def __init__(self, penpal: PenPal, opening: Screen[None]) -> None:
        super().__init__()
        self.penpal = penpal
        self._opening = opening
        self._loading: asyncio.Task[Writer] | None = None
        self._readying: asyncio.Task[None] | None = None
        self._harmless = HarmlessLines()
        self.next_is_generic = False
        """The person asked for drafts without their voice, once."""
        for theme in THEMES:
            self.register_theme(theme)
        self.unregister_theme("textual-ansi")  # its colours are the terminal's, which cannot be mixed
        self.theme = self._theme_at_first()
        self.set_keymap(keymap_of(penpal.settings.keys))

    def get_key_display(self, binding: Binding) -> str:
        both = (binding.id or "", SHARED.get(binding.id or "", ""))
        if both[1] and any(action in self._keymap for action in both):  # or the sign for both would name an old key
            return "/".join(self._sign(Binding(keys_of(self, action)[0], "")) for action in both)
        return self._sign(binding)

    def _sign(self, binding: Binding) -> str:
        display = super().get_key_display(binding)
        return display.upper() if display[:1] == "f" and display[1:].isdigit() else display

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return own_variables(self.current_theme)

    def _theme_at_first(self) -> str:
        chosen = self.penpal.store.preference(self._theme_preference)
        return chosen if chosen in self.available_themes else f"penpal-{self.penpal.settings.theme}"

    @property
    def _theme_preference(self) -> str:
        """A choice on the screen holds until the settings say something else than they did then."""
        return f"theme in place of {self.penpal.settings.theme}"

    async def _remember_theme(self, theme: Theme) -> None:
        try:
            await asyncio.to_thread(self.penpal.store.keep_preference, self._theme_preference, theme.name)
        except StoreError as error:
            self.notify(f"These colours are for now only: {error}", severity="warning")

    def _handle_exception(self, error: Exception) -> None:
        """A worker that would show something while PenPal is being left finds nothing there any more: no mistake."""
        if isinstance(error, WorkerFailed) and isinstance(error.error, NoMatches) and not self.is_running:
            return
        super()._handle_exception(error)

    def get_driver_class(self) -> type[Driver]:
        usual = super().get_driver_class()
        if usual.__name__ != "LinuxDriver":  # on Windows there is no such module, and a console of another kind
            return usual
        from app.tui.terminal_driver import TerminalDriver

        return TerminalDriver

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._harmless]

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Paste) and not event.is_forwarded:
            event = events.Paste(pasted(event.text))
            if len(event.text) > MOST_PASTED_CHARACTERS:
                self._ask_about_long_paste(event.text)
                return
        await super().on_event(event)

    def _ask_about_long_paste(self, text: str) -> None:
        share, target = TAKEN_CHARACTERS / len(text), self.focused

        def paste(cut: bool | None) -> None:
            if cut and target is not None:
                target.post_message(events.Paste(without_middle(text, keep=share)))

        self.push_screen(TooLongScreen(share, back="your clipboard still has it, and what you typed stays"), paste)

    def get_default_screen(self) -> Screen[None]:
        return self._opening

    def on_mount(self) -> None:
        """Takes a closed terminal or a kill as leaving, so that text on its way is kept."""
        self.theme_changed_signal.subscribe(self, self._remember_theme)
        self.app_resume_signal.subscribe(self, lambda _: self._draw_anew())
        for name in ("SIGHUP", "SIGTERM"):
            if hasattr(signal, name):
                asyncio.get_running_loop().add_signal_handler(
                    getattr(signal, name), lambda: asyncio.ensure_future(self._leave_at_once())
                )

    def _draw_anew(self) -> None:
        """Draws everything: Textual draws what changed, and after a stop in the shell nothing is there any more."""
        self.refresh(layout=True)
        for screen in self.screen_stack:
            for widget in screen.walk_children(with_self=True):
                widget.refresh()

    async def writer(self) -> Writer:
        """The writer; the first call loads the backbone in a thread, and the screen goes on meanwhile.

        Raises PenPalError; then the next call tries again.
        """
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            self._loading = asyncio.create_task(asyncio.to_thread(self._load), name="load the backbone")
        # Shielded: who waits may be cancelled, the load goes on for whoever asks next.
        return await asyncio.shield(self._loading)

    def _load(self) -> Writer:
        writer = self.penpal.writer()
        # What is there now stays. Python's garbage collector would look through all of it, for 100 ms at a time, while
        # drafts stream and keys wait.
        gc.freeze()
        return writer

    def on_unmount(self) -> None:
        gc.unfreeze()

    @property
    def loaded(self) -> bool:
        return self._loading is not None and self._loading.done() and self._loading.exception() is None

    async def learn_now(self, turn_id: int) -> int | None:
        """`PenPal.learn_now` in a thread, once the backbone is loaded; None when it cannot be loaded."""
        if self._loading is not None:
            await asyncio.wait([self._loading])
        if not self.loaded:
            return None
        await self.ready_to_learn()
        return await asyncio.to_thread(self.penpal.learn_now, await self.writer(), turn_id)

    async def ready_to_learn(self) -> None:
        """Loads what learning from an answer needs, once. Raises PenPalError; the next call tries again."""
        writer = await self.writer()
        if self._readying is None or (self._readying.done() and self._readying.exception() is not None):
            self._readying = asyncio.create_task(asyncio.to_thread(self.penpal.get_ready_to_learn, writer))
        await asyncio.shield(self._readying)

    async def writer_of_next_drafts(self) -> Writer:
        """The writer; without the person's voice while `next_is_generic`, which whoever has drafts written ends."""
        writer = await self.writer()
        if not self.next_is_generic:
            return writer
        generic = await asyncio.to_thread(self.penpal.voice, generic=True)
        return Writer(writer.store, writer.decoder, generic, sampling=writer.sampling)

    async def take_up_voice(self) -> None:
        """Lets the next drafts be written in the voice that is active now."""
        if self._loading is not None:
            writer = await self.writer()
            writer.voice = await asyncio.to_thread(self.penpal.voice)
            await asyncio.to_thread(self.penpal.learn_now, writer)

    def on_resize(self, event: events.Resize) -> None:
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
            self.push_screen(HelpScreen(self._opening if isinstance(self.screen, ModalScreen) else self.screen))

    def action_learning(self) -> None:
        from app.tui.screens.chat import ChatScreen  # these need this module
        from app.tui.screens.learning import LearningScreen

        if self.screen is self._opening:
            self.push_screen(LearningScreen(self.penpal.store, writing=isinstance(self._opening, ChatScreen)))
        elif any(isinstance(screen, LearningScreen) for screen in self.screen_stack):
            self.pop_screen()

    async def action_quit(self) -> None:
        if not isinstance(self._opening, Leavable) or await self._opening.leave():
            self.exit()

    async def _leave_at_once(self) -> None:
        if isinstance(self._opening, Leavable):
            await self._opening.leave()
        self.exit()

"""A text out of a chat screen: to the clipboard, or into a file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.tui.clipboard import clipboard_program, copy_with
from app.tui.key_names import key_name
from app.tui.screens.ask_line import AskLineScreen
from app.tui.text_file import file_name_for, path_of, save_text
from app.tui.wording import count_words
from core.errors import UsageError

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen


class HandingOut:
    """Copies and saves, and says which way the text went."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen

    # --- clipboard --------------------------------------------------------------------------------------------

    def copy(self, text: str) -> None:
        """Copies a text."""
        self._screen.run_worker(self._copy(text), name="copy", group="record")

    async def _copy(self, text: str) -> None:
        self._screen.app.copy_to_clipboard(text)  # also what a paste inside PenPal takes
        command = clipboard_program()
        if command is not None and await asyncio.to_thread(copy_with, command, text):
            self._screen.notify(f"Copied {count_words(text)}, with {command[0]}.", timeout=3)
        else:
            place = "thread" if self._screen.thread.has_focus else "drafts"
            self._screen.notify(
                f"Copied {count_words(text)}, through the terminal. If a paste brings something else, your terminal "
                f"does not allow it: {key_name(self._screen, f'{place}.save')} saves to a file.",
                timeout=5,
            )

    # --- files ------------------------------------------------------------------------------------------------

    def save(self, text: str) -> None:
        """Asks for a file name and saves a text there."""
        asked_to_replace: set[str] = set()

        def objection(name: str) -> str:
            try:
                path = path_of(name)
            except UsageError as error:
                return str(error)
            try:
                save_text(path, text, replace=name in asked_to_replace)
            except FileExistsError:
                asked_to_replace.add(name)
                return f"{path.name} is there already: Enter again replaces it, another name keeps both."
            except UsageError as error:
                return str(error)
            return ""

        def saved(name: str | None) -> None:
            if name is not None:
                self._screen.notify(f"Saved {count_words(text)} to {path_of(name)}.", timeout=4)

        self._screen.app.push_screen(
            AskLineScreen(
                "save to a file",
                value=file_name_for(" ".join(text.split()[:6])),
                said=f"{count_words(text)}; in this folder, or say where: ~/letters/anna.txt",
                objection=objection,
            ),
            saved,
        )

"""The prompt or a draft in the person's own editor: PenPal hands the terminal over and takes the text back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported
from textual.widgets import TextArea

from app.tui.acts import pick, save_edit
from app.tui.external_editor import edit_outside
from app.tui.key_names import with_keys
from app.tui.wording import count_words, in_words
from core.errors import UsageError
from core.recorder import Recorder

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen


class EditingOutside:
    """For a chat screen."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen

    async def start(self) -> None:
        """Opens what has the focus: the prompt, an edit that is open, or a draft."""
        screen = self._screen
        screen.notice.clear()
        try:
            await screen.typed.save_now()
            card = screen.pair.editing
            if card is not None and card.has_focus_within and card.editor is not None:
                self._take_back(card.editor)
            elif screen.pair.has_focus_within and screen.waiting is not None and screen.stream is None:
                self._edit_draft(screen.pair.side)
            else:
                self._take_back(screen.composer)
        except Exception as error:
            screen.notice.say(in_words(error))

    def _take_back(self, area: TextArea) -> None:
        text = self._outside(area.text)
        if text is not None:
            area.replace(text, area.document.start, area.document.end)
            area.move_cursor(area.document.end)
            area.focus()

    def _edit_draft(self, side: int) -> None:
        """What comes back is an edit, as if it had been saved here."""
        screen = self._screen
        draft, card = screen.conversation.draft(side), screen.pair.cards[side]
        text = self._outside(screen.typed.edit_text(draft))
        if text is None:
            return

        def save(recorder: Recorder) -> None:
            pick(recorder, draft)
            save_edit(recorder, draft, text)

        async def forget() -> None:
            screen.typed.forget_edit(draft)
            await screen.typed.save_now()

        screen.choosing.act(save, first=forget, then=card.open_changes)

    def _outside(self, text: str) -> str | None:
        """None when nothing was changed, which is said. Raises UsageError when the text is not to be taken back."""
        refused: Exception | None = None
        after: str | None = None
        try:
            with self._screen.app.suspend():
                try:
                    after = edit_outside(text)
                except Exception as error:  # here: Textual takes the terminal back only when nothing is raised
                    refused = error
        except SuspendNotSupported as error:
            said = "This terminal cannot be handed to another editor: {drafts.edit} edits a draft here."
            raise UsageError(with_keys(self._screen, said)) from error
        if refused is not None:
            raise refused
        self._screen.notify(f"Taken over: {count_words(after)}." if after else "Nothing was changed.", timeout=3)
        return after

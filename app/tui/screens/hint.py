"""Two other drafts are wanted: what should be different this time?"""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import ItemGrid, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from app.tui.key_names import with_keys

SUGGESTIONS = ("shorter", "longer", "warmer", "more formal", "simpler", "more direct")
HINT_CHARACTERS = 200
GUTTER = 3
"""Columns between two suggestions, as in above.tcss; the grid does not count them when it asks what fits."""


class HintInput(Input):
    """One line. A digit typed into the empty line chooses a suggestion."""

    class Suggested(Message):
        """A suggestion was chosen by its number."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, suggestions: int, placeholder: str) -> None:
        super().__init__(placeholder=placeholder, max_length=HINT_CHARACTERS, compact=True, id="hint-line")
        self._suggestions = suggestions

    async def _on_key(self, event: events.Key) -> None:
        number = int(event.character) if event.character and event.character in "123456789" else 0
        if not self.value and 0 < number <= self._suggestions:
            event.stop()
            event.prevent_default()
            self.post_message(self.Suggested(number))
        else:
            await super()._on_key(event)


class HintScreen(ModalScreen[str]):
    """The hint in the person's words; empty when they went back."""

    HELP_TITLE = "Redo with a hint"
    BINDINGS = [Binding("escape", "dismiss('')", "go back", id="hint.back", tooltip="Go back to the drafts")]

    QUESTION = "what should be different?"
    SUGGESTIONS: tuple[str, ...] = SUGGESTIONS
    IN_YOUR_WORDS = "or in your words: mention the cake"

    def compose(self) -> ComposeResult:
        with Vertical(id="hint") as box:
            box.border_title = self.QUESTION
            box.border_subtitle = with_keys(self, "{hint.back} goes back")
            widest = max(map(len, self.SUGGESTIONS)) + len("1 ")
            with ItemGrid(id="hint-suggestions", min_column_width=widest + GUTTER, regular=True):
                for number, text in enumerate(self.SUGGESTIONS, 1):
                    yield Static(Content.from_markup(f"[@click=screen.suggest({number})][b]{number}[/] {text}[/]"))
            yield HintInput(len(self.SUGGESTIONS), self.IN_YOUR_WORDS)

    def on_hint_input_suggested(self, event: HintInput.Suggested) -> None:
        self.action_suggest(event.number)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip().rstrip("."))

    def action_suggest(self, number: int) -> None:
        self.dismiss(self.SUGGESTIONS[number - 1])

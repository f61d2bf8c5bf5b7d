"""One line from the person: a name for a conversation, or for a file."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from app.tui.key_names import with_keys


class AskLineScreen(ModalScreen[str | None]):
    """The line as it was typed; None when the person went back."""

    HELP_TITLE = "Asked for a line"
    BINDINGS = [Binding("escape", "dismiss(None)", "go back", id="ask.back", tooltip="Go back; nothing changes")]

    def __init__(
        self, question: str, *, value: str = "", said: str = "", objection: Callable[[str], str] = lambda line: ""
    ) -> None:
        """`said` stands below the line; an `objection` takes its place and keeps the question open."""
        super().__init__()
        self._question, self._value, self._said, self._objection = question, value, said, objection

    def compose(self) -> ComposeResult:
        with Vertical(id="ask") as box:
            box.border_title = self._question
            box.border_subtitle = with_keys(self, "{ask.back} goes back")
            yield Input(self._value, compact=True, id="ask-line")
            yield Static(self._said, id="ask-said", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if objection := self._objection(event.value):
            said = self.query_one("#ask-said", Static)
            said.update(f"⚠ {objection}")
            said.add_class("-objection")
        else:
            self.dismiss(event.value)

"""A button that says beside it what it will do."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Static


class ExplainedButton(Horizontal):
    """Does what a key of its screen does. Hidden while there is nothing for it to do."""

    def __init__(self, label: str, *, action: str) -> None:
        """`action`: of the screen, which has a key for it."""
        super().__init__()
        self._label, self._action = label, action

    def compose(self) -> ComposeResult:
        yield Button(self._label, action=f"screen.{self._action}", compact=True)
        yield Static("", classes="about", markup=False)

    def show(self, about: str) -> None:
        """Says what it will do; hides without a word."""
        self.display = bool(about)
        self.query_one(".about", Static).update(about)
        self.query_one(Button).label = Content.assemble((f"{self._key():<2}", "bold"), "  ", self._label)

    def _key(self) -> str:
        """The key that does the same, as the person has set it."""
        bindings = (active.binding for active in self.screen.active_bindings.values())
        return next((self.app.get_key_display(one) for one in bindings if one.action == self._action), " ")

"""A line that says what went wrong and the way out. It stays until it is answered."""

from __future__ import annotations

from textual.widgets import Static


class Notice(Static):
    """Hidden while there is nothing to say."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.display = False
        self.text = ""

    def say(self, text: str) -> None:
        self.text = text
        self.update(f"⚠ {text}")
        self.display = bool(text)

    def clear(self) -> None:
        self.say("")

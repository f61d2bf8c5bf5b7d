"""A line that says what went wrong and the way out, or quietly what is new. It stays until it is answered."""

from __future__ import annotations

from textual.widgets import Static


class Notice(Static):
    """Hidden while there is nothing to say."""

    def __init__(self, *, id: str | None = None, quiet: bool = False) -> None:
        """`quiet`: nothing is wrong, it is only good to know."""
        super().__init__(id=id, classes="-quiet" if quiet else None, markup=False)
        self._sign = "✒" if quiet else "⚠"
        self.display = False
        self.text = ""

    def say(self, text: str) -> None:
        self.text = text
        self.update(f"{self._sign} {text}")
        self.display = bool(text)

    def clear(self) -> None:
        self.say("")

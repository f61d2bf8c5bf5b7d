"""A text that grows many times a second."""

from __future__ import annotations

from textual.widgets import Static


class GrowingText(Static):
    """Lays the screen out anew only when it takes another line: doing so for each word made keys wait for 100 ms."""

    def show(self, text: str) -> None:
        """Shows a text in place of the one before."""
        if text == self.content:
            return
        self.update(text, layout=False)
        self.clear_cached_dimensions()
        width, height = self.content_size
        if not width or self.get_content_height(self.container_size, self.app.size, width) != height:
            self.refresh(layout=True)

"""The last step before the terminal: no line of any screen carries what a terminal would obey."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from app.harmless import harmless


class HarmlessLines(LineFilter):
    """Textual writes most control characters of a text as they are, so one in a draft would reach the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(harmless(text), style, control) for text, style, control in segments]

"""A way of writing as bars: one line for each trait, the person's against the generic one."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual.widgets import Static

from app.traits import TRAITS, Measured, Portrait, Trait, compared

NAME, WORDS = 13, 20
"""Columns of a trait's name, and of what it says in words."""
ROOMY = 60
"""Columns from which on the legend stands below the bars."""
GENERIC, KEPT = "│", "◆"


@dataclass(frozen=True)
class TraitBar:
    """One line: values in its own unit, and where they lie between nothing and the most there is."""

    trait: Trait
    yours: Measured
    generic: Measured
    kept: Measured | None

    def place(self, measured: Measured, columns: int) -> int:
        """The column in which a value lies."""
        values = [self.yours.mean, self.generic.mean, *([self.kept.mean] if self.kept else [])]
        top = 1.0 if self.trait.floor < 0 else max(*values, 1e-9) * 1.1
        share = (measured.mean - self.trait.floor) / (top - self.trait.floor)
        return min(columns - 1, max(0, round(share * (columns - 1))))


class TraitBars(Static):
    """Bars that fit the width there is."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._bars: tuple[TraitBar, ...] = ()
        self._who = ""

    def show(self, yours: Portrait, generic: Portrait, kept: Portrait, *, who: str) -> None:
        """Shows one portrait against another one. `who`: whose the bar is."""
        self._who = who
        self._bars = tuple(
            TraitBar(trait, yours[trait.name], generic[trait.name], kept.get(trait.name))
            for trait in TRAITS
            if trait.name in yours and trait.name in generic
        )
        self.refresh(layout=True)

    def render(self) -> Text:
        columns = max(8, self.content_size.width - NAME - WORDS - 2)
        return Text("\n").join([*(self._line(bar, columns) for bar in self._bars), self._legend()])

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self._bars) + 1

    def _line(self, bar: TraitBar, columns: int) -> Text:
        colors = self.app.theme_variables
        track = Text("─" * columns, style=colors["line"])
        end = bar.place(bar.yours, columns)
        filled = Text("━" * (end + 1), style=colors["accent"])
        line = filled + track[end + 1 :]
        generic = bar.place(bar.generic, columns)
        marks = [(generic, GENERIC)]
        if bar.kept:
            kept = bar.place(bar.kept, columns)
            beside = -1 if generic == columns - 1 else 1
            marks.append((kept if kept != generic else generic + beside, KEPT))  # neither mark covers the other one
        for at, sign in marks:
            line = line[:at] + Text(sign, style=f"bold {colors['foreground']}") + line[at + 1 :]
        return Text.assemble(f"{bar.trait.name:<{NAME}}", line, "  ", compared(bar.trait, bar.yours, bar.generic))

    def _legend(self) -> Text:
        colors = self.app.theme_variables
        parts = [("━ ", colors["accent"]), (f"{self._who}   ", colors["dim"])]
        parts += [(f"{GENERIC} ", f"bold {colors['foreground']}"), ("generic", colors["dim"])]
        if any(bar.kept for bar in self._bars):
            parts += [(f"   {KEPT} ", f"bold {colors['foreground']}"), ("what you keep", colors["dim"])]
        indent = NAME if self.content_size.width >= ROOMY else 0
        return Text.assemble(" " * indent, *parts)

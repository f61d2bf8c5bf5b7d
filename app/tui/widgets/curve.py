"""A curve over the days. Importing this takes a tenth of a second (plotext), so screens do it when they draw one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from textual.color import Color
from textual_plotext import PlotextPlot

from app.progress import Night
from core.digest_rows import EditWeek

MARGIN = 0.04
"""Of the days, on both sides, so that no mark stands on the frame."""
Points = Sequence[tuple[date, float]]
"""Shares from 0 to 1, in time order."""


@dataclass(frozen=True)
class Marks:
    """Points drawn with one sign; quiet ones, for comparison, in the colour of side notes."""

    points: Points
    sign: str
    quiet: bool = False


class Curve(PlotextPlot):
    """Shares in percent over days: a line, and marks on it or beside it."""

    def __init__(
        self, line: Points, marks: Sequence[Marks], *, low: float, ticks: Sequence[float], level: float | None = None
    ) -> None:
        """Shows values from `low` to the last of `ticks`; `level` draws a level line."""
        super().__init__()
        self._line, self._marks = line, [mark for mark in marks if mark.points]
        self._low, self._ticks, self._level = low, ticks, level

    def on_mount(self) -> None:
        super().on_mount()
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._draw())
        self._draw()

    def _draw(self) -> None:
        plot, colors = self.plt, self.app.theme_variables
        plot.clear_figure()
        plot.frame(False)
        plot.ylim(self._low, self._ticks[-1])
        plot.yticks(list(self._ticks), [f"{tick:.0%} " for tick in self._ticks])
        days = sorted({day for mark in self._marks for day, _ in mark.points})
        first, last = days[0].toordinal(), days[-1].toordinal()
        margin = MARGIN * (last - first)
        plot.xlim(first - margin, last + margin)
        plot.xticks([first, last], [_short(days[0]), _short(days[-1])])
        if self._level is not None:
            plot.hline(self._level, color=_rgb(colors["line"]))
        if len(self._line) > 1:
            plot.plot(*_columns(self._line), marker="braille", color=_rgb(colors["accent"]))
        for mark in self._marks:
            color = _rgb(colors["dim" if mark.quiet else "accent"])
            plot.scatter(*_columns(mark.points), marker=mark.sign, color=color)
        self.refresh()


def foresight(nights: Sequence[Night]) -> Curve | None:
    """How many unseen choices each night's voice foresaw; None for fewer than two nights."""
    points = [(night.day, night.accuracy) for night in nights]
    if len({day for day, _ in points}) < 2:
        return None
    used = [(night.day, night.accuracy) for night in nights if night.kept]
    unused = [(night.day, night.accuracy) for night in nights if not night.kept]
    low = min(0.4, *(accuracy for _, accuracy in points))
    return Curve(points, [Marks(unused, "○"), Marks(used, "●")], low=low, ticks=(0.5, 0.75, 1.0), level=0.5)


def edits(weeks: Sequence[EditWeek]) -> Curve | None:
    """How much of a draft was changed before it was kept; None for fewer than two weeks."""
    if len({week.monday for week in weeks}) < 2:
        return None
    personal = [(week.monday, week.changed) for week in weeks if week.personal]
    generic = [(week.monday, week.changed) for week in weeks if not week.personal]
    top = next(top for top in (0.2, 0.4, 0.6, 1.0) if all(week.changed <= top for week in weeks))
    marks = [Marks(generic, "○", quiet=True), Marks(personal, "●")]
    return Curve(personal, marks, low=0.0, ticks=(0.0, top / 2, top))


def _columns(points: Points) -> tuple[list[int], list[float]]:
    return [day.toordinal() for day, _ in points], [value for _, value in points]


def _short(day: date) -> str:
    return f"{day.day} {day:%b}"


def _rgb(color: str) -> tuple[int, int, int]:
    return Color.parse(color).rgb

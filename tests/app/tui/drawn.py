"""A screen as text: what is written where, and in which style. Small, and its differences can be read."""

from __future__ import annotations

import string
from itertools import groupby

from rich.console import Console
from rich.segment import Segment
from textual.app import App
from textual.pilot import Pilot

SIZES = ((60, 24), (80, 24), (120, 36))
THEMES = ("penpal-dark", "penpal-light")
SETTLED = 4
"""So many looks in a row without a change: what is placed beside something else is drawn a moment after it."""
LETTERS = string.ascii_letters + string.digits


async def drawn_at_all_sizes(pilot: Pilot[None]) -> str:
    """The screen at three sizes: once its text, and its styles in both themes."""
    texts: dict[str, str] = {}
    styles: dict[str, list[str]] = {}
    for theme in THEMES:  # all sizes of one first: another theme costs ten times as much as another size
        pilot.app.theme = theme
        for columns, rows in SIZES:
            size = f"{columns}x{rows}"
            await pilot.resize_terminal(columns, rows)
            text, style = await _settled(pilot)
            assert text == texts.setdefault(size, text), f"{theme} writes something else than {THEMES[0]}"
            styles.setdefault(size, []).append(f"--- {theme} ---\n{style}")
    return "\n".join("\n".join([f"=== {size} ===", texts[size], *styles[size]]) for size in texts) + "\n"


async def _settled(pilot: Pilot[None]) -> tuple[str, str]:
    """What is drawn once nothing changes any more."""
    looks = [_cells(pilot.app)]
    while _on_its_way(pilot.app) or looks[-SETTLED:] != [looks[-1]] * SETTLED:
        await pilot.pause(0.01)
        looks.append(_cells(pilot.app))
    return _text(looks[-1]), _style(looks[-1])


def _on_its_way(app: App[None]) -> bool:
    """What was asked for and is not done: on a busy machine nothing changes for long, and then what is drawn moves."""
    screens = [*app._background_screens, app.screen]
    parts = [app, *(part for screen in screens for part in screen.walk_children(with_self=True))]
    return any(part.message_queue_size for part in parts) or any(s._layout_required or s._callbacks for s in screens)


def written(app: App[None]) -> str:
    """What is written on the screen now."""
    return _text(_cells(app))


def _cells(app: App[None]) -> list[list[Segment]]:
    """The lines of the screen as it is drawn now."""
    # The way of `App.export_screenshot`, which draws the same cells as an SVG of ten times the size.
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    console = Console(width=app.size.width, height=app.size.height, legacy_windows=False, color_system="truecolor")
    return list(Segment.split_lines(segment for segment in console.render(update) if not segment.control))


def _text(lines: list[list[Segment]]) -> str:
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def _style(lines: list[list[Segment]]) -> str:
    """The runs of each line, a letter for a style and how many cells it holds, and below them what the letters mean."""
    letters: dict[str, str] = {}
    runs = [_runs(line, letters) for line in lines]
    legend = [f"{letter} {style}" for style, letter in letters.items()]
    return "\n".join([*runs, *legend])


def _runs(line: list[Segment], letters: dict[str, str]) -> str:
    cells = [(_name(segment), segment.cell_length) for segment in line if segment.text]
    runs = []
    for style, same in groupby(cells, key=lambda cell: cell[0]):
        letter = letters.setdefault(style, LETTERS[len(letters)])
        runs.append(f"{letter}{sum(width for _, width in same)}")
    return " ".join(runs)


def _name(segment: Segment) -> str:
    """What is seen of a style: its colours, bold, reverse and the like, without links and offsets."""
    style = segment.style
    if style is None:
        return "none"
    attributes = [name for name in ("bold", "dim", "italic", "underline", "reverse", "strike") if getattr(style, name)]
    colours = [colour.get_truecolor().hex if colour else "default" for colour in (style.color, style.bgcolor)]
    return " ".join([*attributes, colours[0], "on", colours[1]])

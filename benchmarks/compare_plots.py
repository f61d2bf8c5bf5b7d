"""The curves of `benchmarks.compare`, as SVG files by matplotlib."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare_tables import OWN, WIN, WIN_REFERENCE, Measure, has, methods_of, select, values
from benchmarks.intervals import estimate
from benchmarks.row_log import Row


def draw(out: Path, rows: Sequence[Row]) -> list[str]:
    """Names of the files; none where matplotlib is not installed or there is nothing to see."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "penpal"  # the same rows give the same bytes
    found = []
    for task, measure in (("everyday writing", WIN), ("everyday writing, neutral pairs", WIN), ("imdb", WIN_REFERENCE)):
        own = [row for row in select(rows, task=task) if has(row, measure)]
        if len({row["pairs"] for row in own}) > 1:
            found.append(
                _saved(
                    out,
                    f"compare-{task.replace(',', '').replace(' ', '-')}.svg",
                    lambda ax, r=own, m=measure: _curve(ax, r, m),
                )
            )
    if edits := select(rows, task="edits"):
        found.append(_saved(out, "compare-edits.svg", lambda ax: _cumulative(ax, edits)))
    return found


def _saved(out: Path, name: str, plot: Any) -> str:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    plot(axes)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(out / name, metadata={"Date": None})
    plt.close(figure)
    return name


def _curve(axes: Any, rows: Sequence[Row], measure: Measure) -> None:
    """The learning curve of every method."""
    for name in methods_of(rows):
        own = select(rows, method=name)
        points = sorted({row["pairs"] for row in own})
        found = [estimate(list(values(select(own, pairs=pairs), measure).values())) for pairs in points]
        (line,) = axes.plot(points, [e.mean for e in found], marker="o", label=name, linewidth=3 if name in OWN else 1)
        axes.fill_between(points, [e.low for e in found], [e.high for e in found], alpha=0.1, color=line.get_color())
    axes.set(xscale="log", xlabel="pairs", ylabel=measure.name)
    axes.axhline(0.5, color="black", linewidth=0.5)


def _cumulative(axes: Any, rows: Sequence[Row]) -> None:
    """How much was changed by each round."""
    for name in methods_of(rows):
        own = [row["distances"] for row in select(rows, method=name)]
        shortest = min(map(len, own))
        summed = np.cumsum([distances[:shortest] for distances in own], axis=1).mean(0)
        axes.plot(range(1, shortest + 1), summed, label=name, linewidth=3 if name in OWN else 1)
    axes.set(xlabel="round", ylabel="words changed, summed (share of the text)")

"""Hyper-parameters, chosen once per task on validation people and prompts, with as many trials for every method.

Each module of a trained rival offers `grid(sampler, cut_at=...)`: label -> method, the defaults first. PenPal's trials
go through the same function, its defaults being one of them. Every trial is written down as soon as it is done, so a
run that was stopped goes on, and the file shows what was tried beside what was chosen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

from benchmarks.rivals.method import Method
from core.files import write_atomically

TRIALS = 6
"""Of every method that has something to tune; the same budget for each."""


class Tuned(TypedDict):
    """What the file says of one method."""

    trials: dict[str, float]
    """Label -> score, higher is better."""
    chosen: str
    """Empty until all trials are done."""


def tuned(name: str, grid: Mapping[str, Method], score: Callable[[Method], float], file: Path) -> tuple[str, Method]:
    """The best of the grid, with its label; the earlier one where two are equally good.

    `score` is asked for what `file` does not know yet. Raises ValueError for a grid of another size than `TRIALS`, lest
    a method is tuned more than the others.
    """
    if len(grid) != TRIALS:
        raise ValueError(f"{name} has {len(grid)} trials, every method is given {TRIALS}.")
    known = read(file)
    done = known.get(name, Tuned(trials={}, chosen=""))
    trials = {label: score for label, score in done["trials"].items() if label in grid}
    for label, method in grid.items():
        if label not in trials:
            trials[label] = score(method)
            _write(file, known | {name: Tuned(trials=trials, chosen="")})
    chosen = max(grid, key=trials.__getitem__)
    _write(file, known | {name: Tuned(trials=trials, chosen=chosen)})
    return chosen, grid[chosen]


def read(file: Path) -> dict[str, Tuned]:
    """Method -> what was tried and chosen; empty when there is no such file yet."""
    found: dict[str, Tuned] = json.loads(file.read_text()) if file.exists() else {}
    return found


def _write(file: Path, known: Mapping[str, Tuned]) -> None:
    write_atomically(file, (json.dumps(known, indent=1) + "\n").encode())

"""Files of a home that hold what a person wrote, or numbers that were learned from it; and their end."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from core.paths import Home

MARKDOWN_ESCAPES = re.compile(r"\\(.)")
QUOTED_LINE = re.compile(r"^(?:\*\*|> )(.*?)(?:\*\*)?$", re.MULTILINE)
"""A prompt or a draft in the report of a run: each is on one line."""


def copies(home: Home) -> list[Path]:
    """Older copies of what the person wrote: those that an upgrade or a restore set aside, and unfinished files."""
    unfinished = [home.runs / "layers.checkpoint.safetensors", *home.encoders.glob("new*.safetensors")]
    partial = [path for folder in (home.folder, home.runs, home.encoders) for path in folder.glob(".*.partial")]
    older = [*_below(home.backups), *_below(home.folder / ".backup")]
    return [path for path in [*older, *unfinished, *partial] if path.is_file()]


def files_with(home: Home, texts: Collection[str], holds: Callable[[str], bool]) -> list[Path]:
    """Copies, and the reports of runs that quote one of these texts, or hold what is looked for."""
    quoted = {" ".join(text.split()) for text in texts}
    found = copies(home)
    for report in sorted(home.runs.glob("*.md")):
        told = MARKDOWN_ESCAPES.sub(r"\1", report.read_text("utf-8", "replace"))
        if not quoted.isdisjoint(QUOTED_LINE.findall(told)) or holds(told):
            found.append(report)
    return found


def files_with_anything(home: Home, *, kept_voices: Collection[str]) -> list[Path]:
    """Copies, all reports and logs, and the voices, but those of these names."""
    voices = [path for path in _below(home.encoders) if path.name not in kept_voices]
    logs = sorted(home.folder.glob("*.log*"))
    reports = [path for path in _below(home.runs) if path.suffix != ".lock"]
    return list(dict.fromkeys([*copies(home), *voices, *reports, *logs]))


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def remove_files(home: Home, files: Iterable[Path]) -> tuple[Path, ...]:
    """Removes the files, and folders of copies that are empty then."""
    removed = tuple(files)
    for path in removed:
        path.unlink()
    for folder in sorted(home.backups.rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return removed

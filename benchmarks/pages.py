"""What benchmarks leave in docs/benchmarks: a page for people, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_page(out: Path, name: str, page: str, found: object) -> None:
    """`name`.md and `name`.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(page, encoding="utf-8")
    (out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines."""
    return [
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]

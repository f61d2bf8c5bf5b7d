"""The tables of `benchmarks.personalize`, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.pages import markdown_table
from benchmarks.row_log import Row

NOTE = """A simulated person answers ordinary A/B questions: two drafts of the generic voice for a prompt, one is
picked; equal scores are ties and teach nothing. PenPal personalizes once, gate included; for each unseen prompt one
draft of the voice that is then active stands beside a generic one (z = 0, same dice). *Win rate* leaves ties out and is
one half where the gate kept the generic voice; perplexity is under the untouched backbone; *distinct-2* is the ratio to
generic drafts."""


def win_rate(rows: Sequence[Row]) -> float:
    """Ties left out; a voice that the gate kept generic ties everywhere, which is a half."""
    each = [r["wins"] / (r["wins"] + r["losses"]) if r["wins"] + r["losses"] else 0.5 for r in rows]
    return fmean(each) if each else float("nan")


def ties_half(rows: Sequence[Row]) -> float:
    """Ties counted as a half."""
    return fmean([0.5 + (r["wins"] - r["losses"]) / (2 * r["prompts"]) for r in rows]) if rows else float("nan")


def by_taste(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by taste, in the order of `TASTES`."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["taste"]].append(row)
    return dict(found)


def as_markdown(about: Mapping[str, Any], told: Row, rows: Sequence[Row]) -> str:
    """personalize.md."""
    curve = [row for row in rows if row["task"] == "everyday writing"]
    points = sorted({row["pairs"] for row in curve})
    lines = [
        "# Personalization",
        "",
        f"`{about['command']}` ({', '.join(f'{k} {v}' for k, v in about.items() if k != 'command')})",
        "",
        NOTE,
        "",
        "## Learning curve",
        "",
        *markdown_table(
            [
                "choices",
                "tastes x seeds",
                "win rate",
                "ties half",
                "worst taste",
                "activated",
                "perplexity",
                "distinct-2",
            ],
            [_point(pairs, [row for row in curve if row["pairs"] == pairs]) for pairs in points],
        ),
        "",
        "Win rate by taste:",
        "",
        *markdown_table(["taste", *map(str, points)], _tastes(curve, points)),
    ]
    for task, title in TITLES.items():
        own = [row for row in rows if row["task"] == task]
        if own:
            lines += ["", f"## {title}", "", *_other(task, own)]
    lines += [
        "",
        "## Figures",
        "",
        *markdown_table(["figure", "value"], [[k, _number(v)] for k, v in told.items()]),
        "",
    ]
    return "\n".join(lines)


TITLES = {
    "opposite tastes": "Two opposite tastes after 10 choices each (fast path, no gate): one against the other",
    "change of taste": "A taste that turns round: 100 choices before, 50 after; drafts under the new taste",
    "two contexts": "Opposite tastes in mails and in reviews, 100 choices each",
    "random labels": "Labels picked at random: how often the gate opens",
    "time": "Time of `penpal personalize`, start-up included, no text read before",
}


def _point(pairs: int, rows: list[Row]) -> list[str]:
    worst, found = min(((name, win_rate(own)) for name, own in by_taste(rows).items()), key=lambda item: item[1])
    perplexity = fmean(row["perplexity"] for row in rows)
    generic = fmean(row["perplexity_generic"] for row in rows)
    ratio = fmean(row["distinct2"] for row in rows) / fmean(row["distinct2_generic"] for row in rows)
    return [
        str(pairs), f"{len(by_taste(rows))} x {len({r['seed'] for r in rows})}", f"**{win_rate(rows):.0%}**",
        f"{ties_half(rows):.0%}",
        f"{found:.0%} ({worst})", f"{fmean(row['activated'] for row in rows):.0%}",
        f"{generic:.1f} to {perplexity:.1f}", f"{ratio:.2f}",
    ]  # fmt: skip


def _tastes(curve: list[Row], points: Sequence[int]) -> list[list[str]]:
    found = []
    for taste, rows in by_taste(curve).items():
        at = [[row for row in rows if row["pairs"] == pairs] for pairs in points]
        found.append([taste, *(f"{win_rate(own):.0%}" if own else "" for own in at)])
    return found


def _other(task: str, rows: list[Row]) -> list[str]:
    if task == "time":
        return markdown_table(
            ["run", "pairs", "seconds"], [[r["taste"], str(r["pairs"]), f"{r['seconds']:.1f}"] for r in rows]
        )
    if task == "random labels":
        sizes = sorted({row["pairs"] for row in rows})
        own = [[row for row in rows if row["pairs"] == pairs] for pairs in sizes]
        return markdown_table(
            ["pairs", "runs", "opened"],
            [
                [str(n), str(len(each)), str(sum(r["activated"] for r in each))]
                for n, each in zip(sizes, own, strict=True)
            ],
        )
    return markdown_table(
        ["taste", "win rate", "ties half", "perplexity"],
        [
            [name, f"{win_rate(own):.0%}", f"{ties_half(own):.0%}", f"{fmean(r['perplexity'] for r in own):.1f}"]
            for name, own in by_taste(rows).items()
        ],
    )


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)

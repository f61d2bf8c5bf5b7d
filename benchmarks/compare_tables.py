"""The tables of `benchmarks.compare`, as Markdown. Where PenPal loses comes first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.intervals import Estimate, estimate
from benchmarks.pages import markdown_table
from benchmarks.rivals.tuning import Tuned
from benchmarks.row_log import Row

OURS = "penpal"
OWN = ("penpal", "penpal-fast", "penpal-generic")
PAPER = """
Latent DPO's paper, on another backbone (GPT-2) and with about 50,000 pairs: win rate against the reference
from 52.5 to 83.3 for latent DPO, from 52.4 to 80.8 for DPO with LoRA, at a tenth to a fifth of LoRA's time."""
PENPALS_PAIRS = """
Pairs as a user of PenPal has them: two drafts of the generic voice, whose latents are drawn from N(0, I). They differ
where PenPal's latent can see it, and are off-policy for DPO; the next table has pairs that favour nobody."""
NEUTRAL_PAIRS = """
Pairs of the untouched backbone: two draws for each prompt."""
ABOUT = {"imdb": [PAPER], "everyday writing": [PENPALS_PAIRS], "everyday writing, neutral pairs": [NEUTRAL_PAIRS]}
"""Said above a task's tables."""
NOTE = """*Win rate*: against the untouched backbone's draft for the same unseen prompt with the same dice, ties left
out. *Perplexity* is under the untouched backbone, *distinct-2* the share of different word pairs. *Seconds* are those
of learning, texts and models being loaded; *before* is what is done while feedback comes in, such as reading its texts
once. PenPal's seconds include its gate and its check of fluency; one target is told without the check. Brackets: 95% by
the bootstrap over people and seeds."""


@dataclass(frozen=True)
class Measure:
    """One figure of a row, and which way is better."""

    name: str
    column: str
    better: int
    """1: more, -1: less."""
    form: str = "{:.2f}"


WIN = Measure("win rate", "win_rate", 1, "{:.3f}")
WIN_REFERENCE = Measure("win rate against the reference", "win_rate_reference", 1, "{:.3f}")
CHANGED = Measure("words changed, summed over the rounds", "cumulative", -1, "{:.1f}")
PERPLEXITY = Measure("perplexity", "perplexity", -1, "{:.1f}")
DISTINCT = Measure("distinct-2", "distinct2", 1, "{:.3f}")
SECONDS = Measure("seconds to personalize", "seconds_personalize", -1, "{:.2f}")
BEFORE = Measure("seconds before", "seconds_before", -1, "{:.1f}")
BYTES = Measure("bytes per person", "bytes_per_person", -1, "{:,.0f}")
DRAFTING = Measure("seconds per draft", "seconds_per_draft", -1, "{:.2f}")
TOKENS = Measure("tokens", "tokens", 1, "{:.0f}")
SCORE = Measure("score", "score", 1, "{:.3f}")
FLOPS = Measure("FLOPs", "flops", -1, "{:.1e}")
MEMORY = Measure("peak memory, MB", "peak_mb", -1, "{:.0f}")
RIGHT = Measure("questions right", "right", 1, "{:.1f}")

EVERYDAY = (WIN, PERPLEXITY, DISTINCT, TOKENS, SECONDS, BEFORE, FLOPS, MEMORY, BYTES, DRAFTING)
COLUMNS: dict[str, tuple[Measure, ...]] = {
    "imdb": (WIN_REFERENCE, WIN, SCORE, PERPLEXITY, DISTINCT, TOKENS, SECONDS, BEFORE, FLOPS, MEMORY, BYTES, DRAFTING),
    "everyday writing": EVERYDAY,
    "everyday writing, neutral pairs": EVERYDAY,
    "edits": (CHANGED, SECONDS, BYTES, DRAFTING),
    "nothing broken": (PERPLEXITY, RIGHT),
}
JUDGED = {
    "imdb": (WIN_REFERENCE, WIN, PERPLEXITY, SECONDS, BYTES),
    "everyday writing": (WIN, PERPLEXITY, DISTINCT, SECONDS, BYTES),
    "everyday writing, neutral pairs": (WIN, PERPLEXITY, DISTINCT, SECONDS, BYTES),
    "edits": (CHANGED,),
    "nothing broken": (PERPLEXITY, RIGHT),
}
"""By what PenPal may lose."""


def select(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """Rows with these values."""
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def value(row: Row, measure: Measure) -> float:
    if measure is MEMORY:
        return float(row["peak_bytes"]) / 1e6
    return float(row[measure.column])


def values(rows: Iterable[Row], measure: Measure) -> dict[tuple[str, int], float]:
    """By person and seed."""
    return {(row["taste"], row["seed"]): value(row, measure) for row in rows if has(row, measure)}


def has(row: Row, measure: Measure) -> bool:
    return (measure.column if measure is not MEMORY else "peak_bytes") in row


def difference(ours: Sequence[Row], theirs: Sequence[Row], measure: Measure) -> Estimate | None:
    """Ours less theirs, person by person; None where nobody was measured with both."""
    a, b = values(ours, measure), values(theirs, measure)
    shared = [key for key in a if key in b]
    return estimate([a[key] - b[key] for key in shared]) if shared else None


def methods_of(rows: Iterable[Row]) -> list[str]:
    """Ours first, then in the order in which they were measured."""
    names = list(dict.fromkeys(str(row["method"]) for row in rows))
    return sorted(names, key=lambda name: (name not in OWN, OWN.index(name) if name in OWN else 0))


def losses(rows: Sequence[Row]) -> list[str]:
    """A line for everything that PenPal is judged by in which rivals are ahead: who, and by how much."""
    found = []
    for task, measures in JUDGED.items():
        for pairs in sorted({row["pairs"] for row in select(rows, task=task)}):
            here = select(rows, task=task, pairs=pairs)
            for measure in measures:
                ahead = [told for name in methods_of(here) if name not in OWN and (told := lead(here, name, measure))]
                if ahead:
                    what = f"{pairs:,} {'rounds' if task == 'edits' else 'pairs'}"
                    found.append(f"- **{task}, {what}, {measure.name}** (PenPal's less theirs): {'; '.join(ahead)}")
    return found


def lead(rows: Sequence[Row], name: str, measure: Measure) -> str:
    """How far a rival is ahead of PenPal, person by person; empty when it is not.

    A method that learns nothing costs nothing, which is no lead.
    """
    theirs = select(rows, method=name)
    free = measure in (SECONDS, BYTES) and not any(values(theirs, measure).values())
    apart = None if free else difference(select(rows, method=OURS), theirs, measure)
    if apart is None or apart.mean * measure.better >= 0:
        return ""
    return f"{name} {apart.told(measure.form)}{', within the interval' if apart.is_zero else ''}"


Verdict = tuple[str, str, str]
"""Target, what was found, whether it is met."""


def targets(rows: Sequence[Row]) -> list[Verdict]:
    """What this benchmark was set up to decide."""
    found: list[Verdict] = []

    def judged(target: str, apart: Estimate | None, sign: int, limit: float, form: str) -> None:
        """Met when the mean is at least the limit (sign 1) or at most that (sign -1)."""
        if apart is None:
            found.append((target, "not measured", "-"))
        else:
            found.append((target, apart.told(form), "yes" if sign * (apart.mean - limit) >= 0 else "**no**"))

    for task in ("everyday writing", "everyday writing, neutral pairs", "imdb"):
        own = select(rows, task=task)
        for pairs in sorted({row["pairs"] for row in own}):
            ours, lora = (select(own, pairs=pairs, method=name) for name in (OURS, "lora-dpo"))
            least = 0.0 if pairs <= 100 else -0.01
            target = f"{task}, {pairs:,} pairs: win rate less LoRA-DPO's, at least {least:+.2f}"
            judged(target, difference(ours, lora, WIN), 1, least, "{:+.3f}")
    ours, lora = (select(rows, task="everyday writing", method=name) for name in (OURS, "lora-dpo"))
    seconds = ratio(lora, ours, "seconds_personalize")
    learning = ratio(lora, ours, "seconds_personalize", "seconds_learn")
    judged("LoRA-DPO's seconds over PenPal's, at least 100", seconds, 1, 100, "{:.1f}")
    judged("the same without PenPal's check of fluency", learning, 1, 100, "{:.1f}")
    judged("LoRA-DPO's bytes over PenPal's, at least 10", ratio(lora, ours, "bytes_per_person"), 1, 10, "{:.1f}")
    ours, none, cipher = (select(rows, task="edits", method=name) for name in (OURS, "untouched", "cipher"))
    changed = ratio(ours, none, "cumulative")
    judged("edits: summed distance over that without learning, at most 0.75", changed, -1, 0.75, "{:.2f}")
    judged("edits: summed distance less CIPHER's, below 0", difference(ours, cipher, CHANGED), -1, 0, "{:+.1f}")
    broken = select(rows, task="nothing broken", method=OURS)
    apart = estimate([row["right"] - row["right_generic"] for row in broken]) if broken else None
    met = "-" if apart is None or apart.count < 2 else "yes" if apart.mean >= 0 or apart.is_zero else "**no**"
    told = "not measured" if apart is None else apart.told("{:+.1f}")
    found.append(("questions right, personal less generic: none lost beyond the interval", told, met))
    return found


def ratio(above: Sequence[Row], below: Sequence[Row], column: str, column_below: str = "") -> Estimate | None:
    """Person by person, at equal pairs; `column_below` may be found among the notes."""

    def keyed(rows: Sequence[Row], name: str) -> dict[tuple[Any, ...], float]:
        told = {(r["taste"], r["pairs"], r["seed"]): r.get(name, r.get("notes", {}).get(name)) for r in rows}
        return {key: float(number) for key, number in told.items() if number}

    a, b = keyed(above, column), keyed(below, column_below or column)
    shared = [key for key in a if key in b]
    return estimate([a[key] / b[key] for key in shared]) if shared else None


def table_of(task: str, rows: Sequence[Row]) -> list[str]:
    """One table per number of pairs."""
    lines: list[str] = []
    for pairs in sorted({row["pairs"] for row in rows}):
        here = select(rows, pairs=pairs)
        people = len({row["taste"] for row in here})
        seeds = len({row["seed"] for row in here})
        measures = [m for m in COLUMNS[task] if any(has(row, m) for row in here)]
        cells = []
        for name in methods_of(here):
            own = select(here, method=name)
            found = [list(values(own, measure).values()) for measure in measures]
            told = [estimate(v).told(m.form) if v else "" for m, v in zip(measures, found, strict=True)]
            cells.append([f"**{name}**" if name in OWN else name, *told])
        what = "rounds" if task == "edits" else "pairs"
        lines += ["", f"{pairs:,} {what}; {people} people, {seeds} seeds:", ""]
        lines += markdown_table(["method", *(m.name for m in measures)], cells)
    return lines


def scale_tables(rows: Sequence[Row]) -> list[str]:
    """People by method, and drafts per second."""
    lines: list[str] = []
    if more := select(rows, task="one more person"):
        told = [
            [r["method"], f"{r['pairs']:,}", f"{r['people_measured']:,}", f"{r['seconds_personalize']:.1f}",
             f"{r['seconds_before']:.1f}", f"{r['bytes_per_person']:,.0f}", f"{r['bytes_together'] / 1e6:.2f}"]
            for r in more
        ]  # fmt: skip
        head = ["method", "people", "measured", "seconds", "before", "bytes each", "MB together"]
        lines += ["", *markdown_table(head, told)]
    if at_once := select(rows, task="sixteen at once"):
        told = [[r["method"], r["taste"], f"{r['drafts_per_second']:.2f}"] for r in at_once]
        lines += ["", *markdown_table(["method", "how", "drafts per second"], told)]
    return lines


def as_markdown(about: Mapping[str, Any], rows: Sequence[Row], tuned: Mapping[str, Tuned], plots: Sequence[str]) -> str:
    """compare.md."""
    found = losses(rows)
    lines = ["# PenPal beside what a user would pick instead", "", f"`{about['command']}`", ""]
    lines += [", ".join(f"{name} {told}" for name, told in about.items() if name != "command"), ""]
    lines += ["## Where PenPal loses", "", *(found or ["Nowhere in what was measured."]), ""]
    lines += ["## Targets", "", *markdown_table(["target", "found", "met"], targets(rows)), "", NOTE]
    for task in COLUMNS:
        if own := select(rows, task=task):
            lines += ["", f"## {task.capitalize()}", *ABOUT.get(task, []), *table_of(task, own)]
            if task == "imdb":
                lines += ["", "Judges: " + ", ".join(f"{n} {share:.1%}" for n, share in own[0]["judges"].items())]
    if told := scale_tables(rows):
        lines += ["", "## Scale", *told]
    for plot in plots:
        lines += ["", f"![{Path(plot).stem}]({plot})"]
    if tuned:
        head = ["method", "chosen", "trials"]
        cells = [
            [name, each["chosen"], ", ".join(f"{label}: {score:.3f}" for label, score in each["trials"].items())]
            for name, each in tuned.items()
        ]
        lines += ["", "## Settings", "", "Chosen on validation people and prompts by win rate, ties half.", ""]
        lines += markdown_table(head, cells)
    return "\n".join([*lines, ""])


def write_down(out: Path, about: Mapping[str, Any], rows: Sequence[Row], tuned: Mapping[str, Tuned]) -> None:
    """results.json with every row, compare.md, and plots where matplotlib is installed."""
    from benchmarks.compare_plots import draw

    out.mkdir(parents=True, exist_ok=True)
    plots = draw(out, rows)
    told = {"about": about, "settings": tuned, "rows": list(rows)}
    (out / "results.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (out / "compare.md").write_text(as_markdown(about, rows, tuned, plots), encoding="utf-8")

"""The numbers behind the Learning screen, as Markdown: every night, every week, every trait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.learning_report import table
from app.progress import Night, Portraits, Progress
from app.traits import TRAITS
from core.digest_rows import EditWeek


def as_markdown(progress: Progress, portraits: Portraits) -> str:
    """Tables, newest first; those without rows are left out."""
    return "\n".join([*_nights(progress.nights), *_weeks(progress.weeks), *_traits(portraits)])


def _nights(nights: Sequence[Night]) -> list[str]:
    head = ("night", "answers", "foreseen", "95% interval", "")
    rows = [
        (
            f"{night.day}", str(night.run.pairs), f"{night.accuracy:.0%}", _interval(night),
            "put to use" if night.kept else "not used",
        )
        for night in reversed(nights)
    ]  # fmt: skip
    return table("Night by night", head, rows)


def _interval(night: Night) -> str:
    low, high = night.run.report.get("accuracy_interval", (None, None))
    return "" if low is None else f"{low:.0%} to {high:.0%}"


def _weeks(weeks: Sequence[EditWeek]) -> list[str]:
    head = ("week from", "drafts", "kept", "words changed")
    rows = [
        (f"{week.monday}", "in your voice" if week.personal else "generic", str(week.kept), f"{week.changed:.0%}")
        for week in reversed(weeks)
    ]
    return table("Changed before it was kept", head, rows)


def _traits(portraits: Portraits) -> list[str]:
    groups = {"your voice": portraits.voice, "generic": portraits.generic, "what you keep": portraits.kept}
    shown = {name: group for name, group in groups.items() if group}
    if len(shown) < 2:
        return []
    rows = [
        (f"{trait.name} ({trait.unit})", *(trait.in_numbers(group[trait.name].mean) for group in shown.values()))
        for trait in TRAITS
        if all(trait.name in group for group in shown.values())
    ]
    return [*table("The way of writing", ("", *shown), rows), *_about(portraits)]


def _about(portraits: Portraits) -> Iterator[str]:
    if portraits.voice:
        yield ""
        yield (
            "Your voice and the generic one wrote for the same prompts here."
            if portraits.alike
            else "Means of the newest drafts of each, for whatever they were asked."
        )

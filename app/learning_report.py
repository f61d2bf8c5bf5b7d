"""A run's report as Markdown, in a writer's words; the numbers below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.learning import PersonalizeReport

CAPACITIES = {
    "shift": "one way of writing for everything",
    "shift and scale": "one way of writing for everything, firmer in some respects than in others",
    "contexts": "a way of writing of its own for each kind of text",
    "head": "a way of writing that follows the prompt",
    "layers": "a way of writing that follows the prompt closely",
}


def as_markdown(report: PersonalizeReport) -> str:
    """The whole report."""
    low, high = report.accuracy_interval
    lines = [
        f"# {'A new voice' if report.activated else 'No new voice'}",
        "",
        f"Voice `{report.encoder_id[:12]}`: {report.reason}.",
        "",
        f"- Learned from **{report.pairs}** answers ({_listed(report.pairs_by_source)}); {report.left_out} said too "
        "little.",
        f"- It foresees **{report.accuracy:.0%}** of the choices that were kept from it (95% interval {low:.0%} to "
        f"{high:.0%}); the generic voice 50%.",
    ]
    if report.accuracy_active is not None and report.accuracy_on_those is not None:
        lines.append(
            f"- Of the choices made since your present voice was trained: new {report.accuracy_on_those:.0%}, "
            f"present {report.accuracy_active:.0%}."
        )
    if report.started_from is not None and report.accuracy_start is not None:
        lines.append(
            f"- It started from voice `{report.started_from[:12]}`, which somebody else made and which foresees "
            f"{report.accuracy_start:.0%} of them."
        )
    lines += [
        f"- Answers picked at random would look as consistent with a chance of {report.p_value:.2g}.",
        f"- What was learned: {CAPACITIES[report.capacity]}.",
        f"- It leans {report.shift:.1f} away from the generic voice (drafts for comparison lie about 5.7 away).",
    ]
    if report.half_life is not None:
        lines.append(f"- Your taste is moving: an answer counts half after {report.half_life:.0f} newer ones.")
    if report.perplexity_generic is not None and report.perplexity_personal is not None:
        lines.append(
            f"- Drafts stay fluent: perplexity {report.perplexity_generic:.1f} generic, "
            f"{report.perplexity_personal:.1f} personal; variety {report.distinct2_generic:.2f} and "
            f"{report.distinct2_personal:.2f} (used at {report.strength:.0%} of its strength)."
        )
    lines += table("By kind of writing", ("kind", "foreseen", "of"), _shares(report.contexts))
    lines += table("By kind of answer", ("answer", "foreseen", "of"), _shares(report.sources))
    lines += table(
        "What was tried",
        ("capacity", "foreseen", "log-loss"),
        [(name, f"{share:.0%}", f"{loss:.3f}") for name, (share, loss) in report.capacities.items()],
    )
    if report.examples:
        lines += ["", "## Before and after"]
    for example in report.examples:
        lines += ["", f"**{_quoted(example.prompt)}**", "", "Before:", "", f"> {_quoted(example.before)}", "", "After:"]
        lines += ["", f"> {_quoted(example.after)}"]
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in report.seconds.items())
    lines += ["", f"Seconds: {seconds}. Computed on {report.device}. Flip rate assumed: {report.flip_rate:.0%}.", ""]
    return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _shares(found: Mapping[str, tuple[int, int]]) -> list[tuple[str, str, str]]:
    return [(name, f"{right / count:.0%}", str(count)) for name, (right, count) in found.items()]


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table below its title; none without rows."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    if not body:
        return []
    return ["", f"## {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body]


def _quoted(text: str) -> str:
    """A text in one paragraph, with nothing that Markdown would act upon."""
    flat = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|" else c for c in flat)

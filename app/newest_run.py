"""The newest run as a person meets it the morning after: one line, and the report it left behind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.encoder_rows import MIGRATED
from core.store import EncoderRecord, Store

NO_RUN = "No run yet: pick or edit a few drafts, then 'penpal personalize'."


def runs_of(encoders: Iterable[EncoderRecord]) -> list[EncoderRecord]:
    """What `personalize` made, in use or not, oldest first."""
    # By what it had seen, not by its time: the clock may have been set back.
    runs = [record for record in encoders if record.made in ("personalized", MIGRATED)]
    return sorted(runs, key=lambda run: int(run.report.get("last_act", 0)))


def newest_run(store: Store) -> EncoderRecord | None:
    """What `personalize` made last."""
    return next(reversed(runs_of(store.encoders())), None)


def fresh_run(store: Store) -> EncoderRecord | None:
    """The newest run, until the person has answered again after it."""
    run = newest_run(store)
    return run if run is not None and store.last_act_id() <= int(run.report.get("last_act", 0)) else None


def headline(run: EncoderRecord, when: str) -> str:
    """The run in one line; `when` is 'last night' or the like."""
    reason = str(run.report.get("reason", f"made from {run.pairs} answers"))
    if run.status == "rejected":
        return f"PenPal tried a new voice {when}; {reason}."
    return f"PenPal learned {when}: {reason.removeprefix('activated: ')}."


def report_of(run: EncoderRecord, runs: Path) -> str:
    """The run's report as Markdown; when its file is gone, what the database kept."""
    file = runs / Path(str(run.report.get("markdown", ""))).name
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return _from_numbers(run, file)


def _from_numbers(run: EncoderRecord, file: Path) -> str:
    found = run.report
    lines = [
        f"# {'No new voice' if run.status == 'rejected' else 'A new voice'}",
        f"Voice `{run.id[:12]}`: {found.get('reason', 'no reason was kept')}.",
        f"- Learned from **{run.pairs}** answers.",
    ]
    accuracy, strength = found.get("accuracy"), found.get("strength")
    before, after = found.get("perplexity_generic"), found.get("perplexity_personal")
    if accuracy is not None:
        lines.append(f"- It foresees **{accuracy:.0%}** of the choices that were kept from it; the generic voice 50%.")
    if before is not None and after is not None:
        lines.append(f"- Perplexity of drafts: {before:.1f} generic, {after:.1f} personal.")
    if strength is not None and strength < 1:
        lines.append(f"- Used at {strength:.0%} of its strength, so that drafts stay fluent.")
    lines.append(f"The report itself is gone (`{file}`): these numbers are from the database.")
    return "\n\n".join(lines)

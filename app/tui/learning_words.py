"""What PenPal says about what it has learned: which voice writes, what the last night brought, what a key will do."""

from __future__ import annotations

from datetime import datetime

from app.newest_run import headline
from app.progress import Progress, Standing
from app.tui.wording import counted, since_when
from core.store import EncoderRecord
from core.voices import ROLLED_BACK

ENOUGH = 50
"""So many answers become a voice in six of ten cases: docs/benchmarks/personalize.md."""

ABOUT_QUESTIONS = "The new voice or the one before it? Three pairs, blind; your answers decide."


def voice_name(encoder: EncoderRecord | None) -> str:
    """'your voice of 20 Nov', 'the generic voice'."""
    if encoder is None:
        return "the generic voice"
    if encoder.origin == "imported":
        return f"the imported voice {encoder.id[:8]}"
    return f"your voice of {day_of(encoder)}"


def day_of(encoder: EncoderRecord) -> str:
    """'20 Nov'; with the year unless it is this one."""
    when, now = datetime.fromisoformat(encoder.created_utc).astimezone(), datetime.now().astimezone()
    return f"{when.day} {when:%b}" if when.year == now.year else f"{when.day} {when:%b %Y}"


def standing(progress: Standing, *, generic: bool = False, strength: float = 1.0) -> str:
    """Who writes, how strongly, and from how many pairs: what the title says. `generic`: the next drafts are."""
    voice = "generic, once" if generic else voice_name(progress.active).removeprefix("the ")
    if strength != 1 and progress.active is not None and not generic:
        voice = f"{voice} at {strength:.0%}"
    return f"{voice} · {counted(progress.lessons, 'pair')}"


def last_night(progress: Standing) -> str:
    """What the newest run brought, in a few words; empty before the first one."""
    run = progress.newest
    if run is None:
        return ""
    when = _when(run)
    if run.status == "rejected":
        return f"{when}: no better voice"
    in_use = progress.active is not None and progress.active.id == run.id
    return f"{when}: {'a better voice' if in_use else 'a new voice, not in use'}"


def in_brief(progress: Standing, *, generic: bool = False) -> str:
    """Both of that in half as many words."""
    voice = "generic, once" if generic else "your voice" if progress.active is not None else "generic voice"
    parts = [voice, counted(progress.lessons, "pair")]
    if (run := progress.newest) is not None:
        parts.append(f"{'no better' if run.status == 'rejected' else 'better'} {_when(run)}")
    return " · ".join(parts)


def _when(run: EncoderRecord) -> str:
    """'last night', 'today', '20 Nov'."""
    when = since_when(run.created_utc)
    return day_of(run) if when.startswith("on ") else when


def summary(progress: Progress) -> str:
    """What it learned at last and what writes now, in one or two sentences."""
    run = progress.newest
    if run is None:
        return _before_the_first_run(progress)
    said = headline(run, since_when(run.created_utc))
    if run.status == "rejected":
        return f"{said} Drafts stay in {voice_name(progress.active)}."
    if progress.active is not None and progress.active.id == run.id:
        return f"{said} PenPal writes with that voice now."
    why = progress.last_reason.removeprefix(ROLLED_BACK).removeprefix(": ")
    because = f", because {why}" if why.startswith("you ") else ""
    return f"{said} It is not in use{because}: PenPal writes in {voice_name(progress.active)}."


def _before_the_first_run(progress: Progress) -> str:
    if progress.active is not None:
        return f"PenPal writes in {voice_name(progress.active)}. It has not learned from your own answers yet."
    if progress.lessons == 0:
        return "PenPal has not learned anything yet. Pick, edit and keep drafts: every answer teaches it how you write."
    missing = ENOUGH - progress.lessons
    more = f"; about {missing} more and a night can make a voice of them" if missing > 0 else ""
    return (
        f"PenPal leans on your {counted(progress.lessons, 'answer')} already{more}. "
        "'penpal personalize' learns from them, 'penpal personalize --schedule 02:30' does so every night."
    )


def about_next_generic(chosen: bool) -> str:
    """What the key for generic drafts will do."""
    if chosen:
        return "Your next drafts come without your voice. Press again to take that back."
    return "Only your next drafts come without your voice, to see the difference."


def about_going_back(progress: Progress) -> str:
    """What the key for the voice before will do."""
    back = voice_name(progress.before)
    kept = " The one in use now is not lost." if progress.active is not None else ""
    return f"PenPal writes in {back} again.{kept}"


def about_generic() -> str:
    """What the key for the generic voice will do."""
    return "PenPal writes without your voice, until you change it or a night brings a better one."

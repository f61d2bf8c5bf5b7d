"""How far PenPal has come with this person: the nights, the edits, the way of writing. Read from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app.newest_run import runs_of
from app.traits import MIN_TEXTS, Measured, Portrait, portrait
from core.digest_rows import EditWeek
from core.paths import Home
from core.store import EncoderRecord, Store
from core.voices import way_back

WEEKS = 26
NIGHTS = 60
TEXTS = 40
"""Of each kind, for a portrait: enough for a mean, few enough to read at once."""


@dataclass(frozen=True)
class Night:
    """One run of `personalize`, on choices that it had not seen."""

    run: EncoderRecord
    accuracy: float
    """Share of the choices that it foresaw."""

    @property
    def day(self) -> date:
        return datetime.fromisoformat(self.run.created_utc).astimezone().date()

    @property
    def kept(self) -> bool:
        """Its voice was put to use."""
        return self.run.status == "kept"


@dataclass(frozen=True)
class Portraits:
    """The person's voice beside the generic one. Empty portraits are of too few texts."""

    voice: Portrait
    generic: Portrait
    kept: Portrait
    """Of the texts that the person kept, in their own version."""
    alike: bool
    """Voice and generic wrote for the same prompts with the same dice."""


@dataclass(frozen=True)
class Standing:
    """What is always said: who writes, from how much, and what the newest run brought."""

    lessons: int
    newest: EncoderRecord | None
    """The newest run."""
    active: EncoderRecord | None
    """None: the generic voice."""


@dataclass(frozen=True)
class Progress(Standing):
    """What the Learning screen shows."""

    before: EncoderRecord | None
    """Where a rollback leads; None: to the generic voice, or nowhere: see `can_roll_back`."""
    can_roll_back: bool
    last_reason: str
    """Why the active voice is the active one."""
    nights: tuple[Night, ...]
    weeks: tuple[EditWeek, ...]


def read_standing(store: Store, *, backbone_id: str | None = None) -> Standing:
    """A few milliseconds, however much the store holds."""
    records = store.encoders()
    return Standing(store.count_lessons(backbone_id=backbone_id), _newest(records), _active(store, records))


def _newest(records: Sequence[EncoderRecord]) -> EncoderRecord | None:
    return next(reversed(runs_of(records)), None)


def _active(store: Store, records: Sequence[EncoderRecord]) -> EncoderRecord | None:
    history = store.activation_history()
    return next((record for record in records if history and record.id == history[-1].encoder_id), None)


def read_progress(store: Store, home: Home, *, backbone_id: str | None = None) -> Progress:
    """All but the portraits, which take longer."""
    records = store.encoders()
    history = store.activation_history()
    before = way_back(store, home.encoders)
    runs = runs_of(records)[-NIGHTS:]
    return Progress(
        lessons=store.count_lessons(backbone_id=backbone_id),
        newest=_newest(records),
        active=_active(store, records),
        before=before[0] if before else None,
        can_roll_back=bool(before),
        last_reason=history[-1].reason if history else "",
        nights=tuple(Night(run, float(run.report["accuracy"])) for run in runs if "accuracy" in run.report),
        weeks=tuple(store.edit_weeks(since=datetime.now().astimezone().date() - timedelta(weeks=WEEKS))),
    )


def read_portraits(store: Store, active: EncoderRecord | None) -> Portraits:
    """From the check of the active voice's run where there was one, else from drafts in the store."""
    kept = portrait(store.kept_texts(limit=TEXTS))
    checked = _checked(active.report.get("traits")) if active else {}
    if checked:
        return Portraits(checked["voice"], checked["generic"], kept, alike=True)
    voice = portrait(store.drafts_of_voice(active.id, limit=TEXTS)) if active else {}
    return Portraits(voice, portrait(store.drafts_of_voice(None, limit=TEXTS)), kept, alike=False)


def _checked(traits: object) -> dict[str, dict[str, Measured]]:
    """What a run's report keeps of two portraits; empty when it keeps none."""
    if not isinstance(traits, Mapping) or not traits.get("voice"):
        return {}
    return {
        group: {name: Measured(*values) for name, values in traits[group].items()} for group in ("voice", "generic")
    }


def traits_report(voice: list[str], generic: list[str]) -> dict[str, dict[str, tuple[float, float]]]:
    """Two portraits as a run's report keeps them: numbers, none of the texts. Empty when there are too few."""
    if min(len(voice), len(generic)) < MIN_TEXTS:
        return {}
    return {
        group: {name: (measured.mean, measured.deviation) for name, measured in portrait(texts).items()}
        for group, texts in (("voice", voice), ("generic", generic))
    }

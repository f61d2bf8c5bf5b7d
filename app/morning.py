"""The morning after a run: three of the person's own prompts come back, in the new voice and in the one before it.

Nobody is told which is which. The answers are answers like any other; together they keep the new voice or give it up.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.newest_run import newest_run
from core.comparison import QUESTIONS, Preference, Verdict, preference, propose_comparison, verdict
from core.comparison_rows import Comparison
from core.feedback import Draft
from core.paths import Home
from core.store import EncoderRecord, Store, Turn
from core.voices import TAKEN_BACK, roll_back, way_back

if TYPE_CHECKING:
    from app.wiring import PenPal

SPARE = 3
"""Prompts in reserve, for those that both voices answer with the same words."""
ATTEMPTS = 2
"""Seeds tried for one prompt."""


@dataclass(frozen=True)
class Review:
    """A voice of the newest run that is in use and that the person has not judged yet."""

    new: EncoderRecord
    old: EncoderRecord | None
    """None: the generic voice."""
    prompts: tuple[Turn, ...]
    """What can be asked again, the likeliest first."""


@dataclass(frozen=True)
class Question:
    """Two drafts for a prompt that came back, left and right as they were drawn."""

    comparison: Comparison
    prompt: str
    drafts: tuple[Draft, Draft]


def due_review(store: Store, home: Home) -> Review | None:
    """What to ask about this morning; None once it was answered, declined, or overtaken by another voice."""
    run, active = newest_run(store), store.active_encoder()
    if run is None or active is None or run.id != active.id:
        return None
    if store.comparison_state(run.id) not in (None, "offered", "reopened"):
        return None
    before = way_back(store, home.encoders)
    if not before or (before[0] is not None and before[0].clap_id != run.clap_id):
        return None
    prompts = store.answered_turns(until_act=int(run.report.get("last_act", 0)), limit=QUESTIONS + SPARE)
    return Review(run, before[0], tuple(prompts)) if prompts else None


def note_offered(store: Store, review: Review) -> None:
    """Puts on record that the person was told of the questions."""
    if store.comparison_state(review.new.id) is None:
        store.add_comparison_event(review.new.id, "offered")


def questions_so_far(store: Store, review: Review) -> list[Question]:
    """Those that were made already, answered or not."""
    return [_question(store, comparison) for comparison in store.comparisons(review.new.id)]


def make_question(
    penpal: PenPal, review: Review, asked: Turn, *, cancelled: Callable[[], bool] = lambda: False
) -> Question | None:
    """Has both voices write for a prompt of the person's own; None when they write the same, or when cancelled."""
    store = penpal.store
    new, old = penpal.voice_of(review.new), penpal.voice_of(review.old)
    for _ in range(ATTEMPTS):
        proposal = propose_comparison(
            store,
            penpal.decoder,
            asked,
            new=new,
            old=old,
            sampling=penpal.settings.drafts.sampling(),
            seed=secrets.randbelow(2**31),
            chance=random.SystemRandom(),
        )
        drafts = proposal.run(cancelled=cancelled)
        if not all(draft.is_done and draft.text.strip() for draft in drafts):
            return None
        if len({" ".join(draft.text.split()) for draft in drafts}) > 1:
            comparison = Comparison(proposal.turn_id, asked.id, review.new.id, review.old.id if review.old else None)
            store.add_comparison(comparison)
            return _question(store, comparison)
    return None


def _question(store: Store, comparison: Comparison) -> Question:
    left, right = store.drafts(comparison.turn_id)
    return Question(comparison, store.turn(comparison.turn_id).prompt, (left, right))


def preference_of(store: Store, question: Question) -> Preference | None:
    """Which voice the person preferred; None while they have not answered."""
    return preference(question.comparison, question.drafts, store.acts(question.comparison.turn_id))


def settle(store: Store, home: Home, review: Review) -> tuple[Verdict, list[Preference]]:
    """All is answered: keeps the new voice, or goes back to the one before it and says why on record."""
    found = [preference_of(store, question) for question in questions_so_far(store, review)]
    preferences = [one for one in found if one is not None]
    said = verdict(preferences)
    if said == "rolled back":
        count = preferences.count("old")
        reason = f"you preferred the voice before it in {count} of {len(preferences)} blind comparisons"
        roll_back(store, home.encoders, because=reason)
    store.add_comparison_event(review.new.id, said)
    return said, preferences


def reopen(store: Store, review: Review) -> None:
    """Takes a verdict back: the new voice writes again, and its questions are open."""
    active = store.active_encoder()
    if active is None or active.id != review.new.id:
        store.activate_encoder(review.new.id, TAKEN_BACK)
    store.add_comparison_event(review.new.id, "reopened")


def decline(store: Store, review: Review) -> None:
    """The person does not want to be asked about this voice; it stays in use."""
    store.add_comparison_event(review.new.id, "declined")

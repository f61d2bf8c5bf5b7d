"""What the file of a voice gives away to whoever has it, in a writer's words, and a test of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from app.answers import answers_behind
from app.guests import start_of
from core.encoder_rows import PRIVATE
from core.store import EncoderRecord
from models import validation
from models.membership import MIN_CHOICES, Membership, Train, aged, left_out_test, like, shadow_test
from models.personal_encoder import GaussianEncoder
from models.personalize import rows_of, weighed

if TYPE_CHECKING:
    from app.wiring import PenPal
    from core.evidence import Evidence
    from models.learner import LearnConfig, Parts, Rows

ASKED_OF_LAYERS = 400
"""Choices on each side that a voice with layers of its own is asked about: it reads each prompt anew."""


@dataclass(frozen=True)
class GiveAway:
    """What is known before a file goes out."""

    kinds: tuple[str, ...]
    """Names of kinds of writing that stand in it."""
    choices: int
    day: str
    membership: Membership | None
    untested: str
    """Why there is no membership test; empty when there is one."""

    def shown(self) -> dict[str, Any]:
        """For a program."""
        return {
            "kinds": list(self.kinds),
            "membership": None
            if self.membership is None
            else asdict(self.membership) | {"auc": self.membership.worst.auc},
            "untested": self.untested or None,
        }


def give_away(
    penpal: PenPal,
    record: EncoderRecord,
    *,
    test: bool = True,
    seconds: float = 20.0,
    progress: Callable[[float], None] = lambda share: None,
) -> GiveAway:
    """Looks at a voice of this home; with `test` it is attacked for so many seconds, reading texts apart."""
    clap = penpal.clap
    encoder, _ = GaussianEncoder.load(
        penpal.home.encoders / record.file, latent_size=clap.latent_size, base=clap.layers
    )
    membership, untested = None, "left out, as you asked"
    if test and not penpal.fits(record):
        untested = "it belongs to another backbone or latent space than the one in use"
    elif test:
        membership, untested = _tested(penpal, record, encoder, seconds, progress)
    return GiveAway(tuple(sorted(encoder.parts.contexts)), record.pairs, record.created_utc[:10], membership, untested)


def _tested(
    penpal: PenPal, record: EncoderRecord, encoder: GaussianEncoder, seconds: float, progress: Callable[[float], None]
) -> tuple[Membership | None, str]:
    """The membership test, or why there is none."""
    vectors = penpal.text_vectors()
    answers = [one for one in weighed(answers_behind(penpal, record), vectors) if one.weight > 0]
    if not answers:
        return None, "the choices that it was learned from are not on this machine"
    config, report = penpal.learn_config(), record.report
    config = replace(config, flip_rate=report.get("flip_rate"), half_life=report.get("half_life"))
    capacity = report.get("capacity", "shift")
    if capacity == "layers":
        found, changed = _left_out(penpal, record, encoder, answers, config)
        if changed:
            return None, "your answers have changed since, and which ones its training left out can no longer be told"
    else:
        if record.made == PRIVATE:
            answers = [one for one in answers if one.chosen is not None and one.rejected is not None]
        rows, config = aged(rows_of(answers, vectors, config, features=capacity == "head"), config)
        if record.made == PRIVATE:
            train = private_training(report, config)
        else:
            train = like(capacity, config, _start(penpal, report))
        found = shadow_test(rows, train, max_norm=config.max_norm, seconds=seconds, progress=progress)
    too_few = f"fewer than {MIN_CHOICES} choices are too few to tell"
    return found, "" if found is not None else too_few


def _start(penpal: PenPal, report: dict[str, Any]) -> Parts | None:
    """The guest that the voice started from, if it is still here and reads no prompts; trainings start from it, too."""
    found = start_of(penpal, report)
    if found is None:
        return None
    encoder = penpal.load_encoder(found)
    return None if encoder.reads_prompts else encoder.parts


def private_training(report: dict[str, Any], config: LearnConfig) -> Train:
    """Trains as the private voice of this report was, with other noise each time."""
    from models.private_learning import Budget, private_fit, public_config

    budget, public = Budget(report["epsilon"], report["delta"]), public_config(config)
    rng = np.random.default_rng(0)
    return lambda rows: private_fit(rows, public, budget, rng)


def _left_out(
    penpal: PenPal, record: EncoderRecord, encoder: GaussianEncoder, answers: list[Evidence], config: LearnConfig
) -> tuple[Membership | None, bool]:
    """Of layers: their own training left a fifth of the turns out. Whether that fifth can no longer be told."""
    rows: Rows = rows_of(answers, penpal.text_vectors(), config, features=False)
    if len(rows) != record.pairs:
        return None, True
    known = ~validation.folds(rows, config)[0]
    rng = np.random.default_rng(0)
    asked = np.concatenate([rng.permutation(np.flatnonzero(part))[:ASKED_OF_LAYERS] for part in (known, ~known)])
    features = penpal.prompts_of(encoder).features([answers[i].messages for i in asked.tolist()])
    read = replace(rows.take(asked), features=features)
    return left_out_test(encoder.parts.margins(read, config.max_norm), read, known[asked]), False


# --- in words ---------------------------------------------------------------------------------------------------


def told(given: GiveAway) -> Iterator[str]:
    """Lines for a person."""
    yield "Whoever has this file can read from it:"
    yield "- your taste: which of two texts you would like better, which is what it is for;"
    yield f"- that it was learned from {given.choices} choices by {given.day}, and how well it foresees them;"
    if given.kinds:
        yield f"- the names of your kinds of writing: {', '.join(given.kinds)};"
    yield "- none of your texts, and not who you are."
    if given.membership is None:
        yield f"Whether it shows which choices it was learned from was not tested: {given.untested}."
        return
    yield from _membership_told(given.membership)


def _membership_told(found: Membership) -> Iterator[str]:
    worst = found.worst
    how = (
        f"{found.trainings} trainings on half of your {found.choices} choices"
        if found.trainings
        else f"{found.choices} choices, some of which its training had left out"
    )
    yield (
        "Could they tell which choices it was learned from? Of a choice that it knows and one that it does not, an "
        f"attacker points at the right one {worst.auc:.0%} of the time; guessing is 50% (AUC {worst.auc:.2f}, "
        f"{worst.interval[0]:.2f} to {worst.interval[1]:.2f}, from {how})."
    )
    if found.is_alarming:
        yield (
            "That is a lot: someone who holds one of your choices in their hands could often tell that it is yours. "
            "'penpal export --private 3' hides each of them; more choices help, too."
        )

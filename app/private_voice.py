"""A voice that hides each single choice it was learned from: trained anew with differential privacy, for an export."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from app.answers import answers_for
from app.new_voice import keep_voice
from core.encoder_rows import PRIVATE
from core.errors import LearnError, UsageError
from core.run_lock import run_lock
from core.store import EncoderRecord
from models import learner, validation
from models.learner import Array, LearnConfig, Parts, Rows
from models.personal_encoder import GaussianEncoder
from models.personalize import MIN_EVIDENCE, rows_of, weighed
from models.private_learning import Budget, private_fit, public_config

if TYPE_CHECKING:
    from app.wiring import PenPal

LEAST_LENGTH = 0.5
"""A tenth of what a voice may lean: below it, drafts are generic."""
REPEATS = 10
"""Private trainings in each fold, with noise of their own."""


@dataclass(frozen=True)
class PrivateVoice:
    """What was made, and what it costs. The shares are for the person alone: no file tells them."""

    record: EncoderRecord
    epsilon: float
    delta: float
    choices: int
    accuracy: float
    """Held-out share of choices that private training foresees, over repeats of its noise."""
    accuracy_interval: tuple[float, float]
    """Of 95% of those repeats."""
    accuracy_open: float
    """The same of a shift that was trained without privacy."""
    cost_interval: tuple[float, float]
    """95%, of the difference between the two."""
    epsilon_so_far: float
    """With earlier private voices of this home added: what all of them together may give away."""

    @property
    def cost(self) -> float:
        return self.accuracy_open - self.accuracy


def budget_of(epsilon: float, delta: float) -> Budget:
    """Raises UsageError for one that makes no sense."""
    budget = Budget(epsilon, delta)
    if not math.isfinite(epsilon) or epsilon <= 0:
        raise UsageError(f"--private {epsilon:g} hides nothing: give a number above 0, such as 3 (less hides more).")
    if not budget.is_sane:
        raise UsageError(f"--delta {delta:g} hides nothing: give a small number above 0, such as 1e-5.")
    return budget


def make_private_voice(
    penpal: PenPal, budget: Budget, *, progress: Callable[[str, float], None] = lambda stage, share: None
) -> PrivateVoice:
    """Trains on all that is known of the person now, within the budget, and lists the voice without activating it.

    Raises LearnError when there is too little, or when nothing of it is left beside the noise.
    """
    with run_lock(penpal.home):
        progress("Reading your choices", 0.0)
        reading = penpal.text_vectors(progress=lambda share: progress("Reading your choices", 0.6 * share))
        config = public_config(penpal.learn_config())
        # A single mark is compared with the average of all texts, which would show a little of each of them.
        pairs = [e for e in answers_for(penpal) if e.weight > 0 and e.chosen is not None and e.rejected is not None]
        used = [e for e in weighed(pairs, reading) if e.weight > 0]
        if len(used) < MIN_EVIDENCE or all(e.tie for e in used) or len({e.turn_id for e in used}) < 2:
            raise LearnError(
                f"There is not enough to learn from: {len(used)} of {MIN_EVIDENCE} pairs. Pick or edit drafts in "
                "'penpal chat', or label pairs in 'penpal rate'."
            )
        rows = rows_of(used, reading, config, features=False)
        choices = len(np.unique(rows.turn))
        if budget.delta * choices >= 1:
            raise UsageError(f"--delta {budget.delta:g} hides nothing among {choices} choices: take less, as 1e-5.")
        progress("Learning, with noise", 0.7)
        parts = private_fit(rows, config, budget, np.random.default_rng(secrets.randbits(128)))
        if np.linalg.norm(parts.mean) < LEAST_LENGTH:
            raise LearnError(
                f"At epsilon {budget.epsilon:g} the noise drowns what {choices} choices say: nothing was written. "
                "Take a larger epsilon, or come back with more choices."
            )
        if penpal.sameness is not None:
            parts = learner.without(parts, penpal.sameness)
        progress("Seeing what it costs", 0.8)
        costs = _costs(rows, config, budget)
        record = _kept(penpal, parts, budget, choices, answers_until=max(e.act_id for e in used))
        return PrivateVoice(record, budget.epsilon, budget.delta, choices, *costs, _spent(penpal))


def _kept(penpal: PenPal, parts: Parts, budget: Budget, choices: int, *, answers_until: int) -> EncoderRecord:
    """Its report holds nothing that the noise does not cover, since a file tells some of it."""
    report = {
        "capacity": "shift", "epsilon": budget.epsilon, "delta": budget.delta, "answers_until": answers_until,
        "reason": f"trained with differential privacy: epsilon {budget.epsilon:g}, delta {budget.delta:g}",
    }  # fmt: skip
    return keep_voice(penpal, GaussianEncoder(parts), made_how=PRIVATE, pairs=choices, report=report)


def _spent(penpal: PenPal) -> float:
    """Basic composition: epsilons add up."""
    return sum(float(e.report.get("epsilon", 0.0)) for e in penpal.store.encoders() if e.made == PRIVATE)


Costs = tuple[float, tuple[float, float], float, tuple[float, float]]


def _costs(rows: Rows, config: LearnConfig, budget: Budget) -> Costs:
    """Held-out shares, private with interval and open, and the interval of their difference."""
    pairs = ~rows.tie
    rng = np.random.default_rng(0)
    private = np.zeros((REPEATS, len(rows)))
    for held_out in validation.folds(rows, config):
        known, asked = rows.take(~held_out), rows.take(held_out)
        for repeat in range(REPEATS):
            margins = private_fit(known, config, budget, rng).margins(asked, config.max_norm)
            private[repeat, held_out] = _right(margins)
    open_ = _right(validation.held_out_margins(rows, learner.Design(), replace(config, half_life=None)))[pairs]
    each = private[:, pairs].mean(1)
    low, high = np.quantile(each, (0.025, 0.975))
    difference = open_ - private[:, pairs].mean(0)
    half = 1.96 * float(difference.std(ddof=1)) / math.sqrt(len(difference)) if len(difference) > 1 else 1.0
    cost = float(difference.mean())
    return float(each.mean()), (float(low), float(high)), float(open_.mean()), (cost - half, cost + half)


def _right(margins: Array) -> Array:
    """1 for what is ordered as the person did, 1/2 where nothing is preferred."""
    return (np.sign(margins) + 1) / 2


def told(made: PrivateVoice) -> Iterator[str]:
    """Lines for a person."""
    low, high = made.cost_interval
    yield (
        f"Trained anew on {made.choices} choices with differential privacy (epsilon {made.epsilon:g}, delta "
        f"{made.delta:g}): whether any one of them was made changes the chance of any file by at most a factor of "
        f"{math.exp(min(made.epsilon, 100)):.3g}."
    )
    yield (
        f"What it costs: it foresees {made.accuracy:.0%} of choices it has not seen, without privacy "
        f"{made.accuracy_open:.0%} ({made.cost:+.1%} given up, 95% interval {low:+.1%} to {high:+.1%})."
    )
    if made.accuracy < 0.55:
        yield "That is hardly more than guessing: a larger epsilon or more choices would leave more of your voice."
    if made.epsilon_so_far > made.epsilon:
        yield (
            f"Each private file gives away a little more: all that you made add up to epsilon "
            f"{made.epsilon_so_far:g} for who has them all."
        )
    yield (
        "One choice is one turn, all that you did with its drafts. Not hidden: how many choices there are, and what "
        "later prompts repeat of earlier texts. The voice is on your list ('penpal encoder list'), not in use."
    )

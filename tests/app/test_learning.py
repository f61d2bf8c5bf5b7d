"""When a new voice becomes the active one, and what the person is told."""

from __future__ import annotations

import numpy as np
import pytest

from app.learning import gate
from models.fluency import Fluency
from models.personal_encoder import ShiftEncoder
from models.personalize import Learned, coin_flip_p_value


def learned(accuracy: float, pairs: int) -> Learned:
    return Learned(
        encoder=ShiftEncoder(np.full(4, 1.5, np.float32), np.zeros(4, np.float32)),
        pairs=pairs,
        accuracy=accuracy,
        p_value=coin_flip_p_value(accuracy, pairs),
        seconds_encode=0.1,
        seconds_train=0.1,
    )


def test_a_voice_that_foresees_choices_and_stays_fluent_is_activated() -> None:
    activated, reason = gate(learned(0.7, 60), Fluency(5.0, 5.5, 1.0), force=False)
    assert activated
    assert "70% of your 60 choices" in reason


def test_a_voice_that_a_coin_could_match_is_kept_aside() -> None:
    activated, reason = gate(learned(0.55, 20), None, force=False)
    assert not activated
    assert "luck" in reason


def test_a_voice_that_reads_badly_at_any_strength_is_kept_aside() -> None:
    activated, reason = gate(learned(0.9, 60), Fluency(5.0, 14.0, 0.0), force=False)
    assert not activated
    assert "14.0" in reason
    assert "5.0" in reason


def test_force_activates_whatever_the_checks_say() -> None:
    activated, reason = gate(learned(0.4, 10), Fluency(5.0, 14.0, 0.0), force=True)
    assert activated
    assert "because you said so" in reason


@pytest.mark.parametrize(("accuracy", "count", "p_value"), [(0.5, 2, 0.75), (1.0, 10, 1 / 1024), (0.0, 5, 1.0)])
def test_the_p_value_is_the_binomial_tail(accuracy: float, count: int, p_value: float) -> None:
    assert coin_flip_p_value(accuracy, count) == pytest.approx(p_value)

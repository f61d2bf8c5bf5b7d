"""Two voices beside each other, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.learner import Parts
from models.voice_difference import difference, lean


def voice(*mean: float, contexts: dict[str, tuple[float, float]] | None = None, head: bool = False) -> Parts:
    shifts = {name: np.array(shift) for name, shift in (contexts or {}).items()}
    matrices = (np.zeros(3), np.ones((3, 2))) if head else (None, None)
    return Parts(np.array(mean), np.zeros(2), shifts, *matrices)


def test_a_voice_and_itself_do_not_differ() -> None:
    mine = voice(3, 4, contexts={"mail": (1, 0)})
    found = difference(mine, mine)
    assert (found.distance, found.contexts) == (0, {"mail": 0})
    assert found.cosine == pytest.approx(1)


def test_the_generic_voice_leans_nowhere() -> None:
    found = difference(voice(3, 4), Parts.generic(2))
    assert (found.distance, found.cosine) == (5, None)


def test_opposite_voices_have_cosine_minus_one() -> None:
    assert difference(voice(1, 1), voice(-2, -2)).cosine == pytest.approx(-1)


def test_a_kind_that_one_voice_does_not_know_is_compared_with_its_common_part() -> None:
    found = difference(voice(1, 0, contexts={"mail": (0, 2)}), voice(1, 0, contexts={"note": (3, 0)}))
    assert found.distance == 0
    assert found.contexts == {"mail": 2, "note": 3}


def test_who_follows_the_prompt_is_told() -> None:
    assert difference(voice(1, 0, head=True), voice(1, 0)).prompts == (True, False)


def test_how_far_a_voice_leans_in_all_and_by_kind() -> None:
    assert lean(voice(3, 4, contexts={"note": (0, 2), "mail": (1, 0)})) == (5, {"mail": 1, "note": 2})

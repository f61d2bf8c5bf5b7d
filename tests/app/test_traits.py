"""Readable properties of texts, and two groups of texts compared in words."""

from __future__ import annotations

import pytest

from app.traits import TRAITS, Measured, compared, portrait

WARM = ["I'm so happy you came! Will you come again?", "Thank you, my dear! I loved it.", "You did great! I'm glad."]
DRY = ["The committee acknowledges receipt of the documentation.", "The matter is closed now.", "No change is planned."]
BY_NAME = {trait.name: trait for trait in TRAITS}


def test_a_portrait_needs_a_few_texts() -> None:
    assert portrait(WARM[:2]) == {}
    assert set(portrait(WARM)) == set(BY_NAME)


def test_what_readers_notice_is_measured() -> None:
    warm, dry = portrait(WARM), portrait(DRY)
    for name in ("says I", "says you", "questions", "exclamations", "contractions", "warmth"):
        assert warm[name].mean > dry[name].mean, name
    assert dry["words"].mean > warm["words"].mean
    assert portrait(["Two words. Now three words."] * 3)["sentences"] == Measured(2.5, 0.0)


@pytest.mark.parametrize(
    ("yours", "said"),
    [
        (5.1, "the same"),
        (5.4, "a little warmer"),
        (5.8, "warmer"),
        (7.0, "much warmer"),
        (4.2, "cooler"),
        (1.0, "much cooler"),
    ],
)
def test_differences_are_told_by_how_far_they_stand_out(yours: float, said: str) -> None:
    assert compared(BY_NAME["warmth"], Measured(yours, 1.0), Measured(5.0, 1.0)) == said


def test_texts_without_spread_differ_or_do_not() -> None:
    trait = BY_NAME["sentences"]
    assert compared(trait, Measured(5, 0), Measured(5, 0)) == "the same"
    assert compared(trait, Measured(6, 0), Measured(5, 0)) == "much longer"


def test_numbers_are_in_the_unit_of_their_trait() -> None:
    assert BY_NAME["says I"].in_numbers(0.0412) == "4.1"
    assert BY_NAME["sentences"].in_numbers(12.34) == "12.3"
    assert BY_NAME["warmth"].in_numbers(-0.256) == "-0.26"

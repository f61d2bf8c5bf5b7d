"""`penpal bench`: says in plain words whether a voice helps, from choices and edits, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from app.usefulness import Edited, Reading, Usefulness, edit_trend, edited, verdict
from core.digest_rows import EditWeek
from core.store import Store
from tests.app.conftest import Result, answer, picks
from tests.hooked_decoder import HookedDecoder

Command = Callable[..., Result]


def week(monday: int, changed: float, *, personal: bool = True, kept: int = 6) -> EditWeek:
    return EditWeek(date(2026, 11, monday), personal, kept, changed)


def found(**changed: object) -> Usefulness:
    known: dict[str, object] = {
        "verdict": "helps", "voice": "abc", "right": 16, "count": 20, "interval": (0.58, 0.92), "p_value": 0.001,
        "since": (0, 0), "personal": Edited(0, 0), "generic": Edited(0, 0), "weeks": (), "reading": None,
    }  # fmt: skip
    return Usefulness(**{**known, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("p_value", "since", "active", "expected"),
    [
        (0.001, (0, 0), True, "helps"),
        (0.001, (5, 9), True, "helps"),
        (0.001, (0, 0), False, "helps once it is learned"),
        (0.3, (0, 0), True, "cannot be told yet"),
        (0.3, (0, 0), False, "cannot be told yet"),
        (0.001, (1, 20), True, "does not help"),
    ],
)
def test_verdicts(p_value: float, since: tuple[int, int], active: bool, expected: str) -> None:
    assert verdict(p_value, since, active=active) == expected


def test_numbers_follow_the_answer() -> None:
    lines = found(since=(7, 9), personal=Edited(12, 0.1), generic=Edited(8, 0.3)).lines()
    assert lines[0].startswith("Yes")
    assert "foresees 16 of 20 (80%, most likely between 58% and 92%)" in lines[1]
    assert "Of the 9 choices you made since your voice was learned, it foresaw 7." in lines
    assert any("10% of its words" in line and "30% when the generic one did" in line for line in lines)


def test_few_kept_texts_are_not_compared() -> None:
    assert len(found(personal=Edited(12, 0.1), generic=Edited(2, 0.9)).lines()) == 2


def test_weeks_are_added_up_by_their_texts() -> None:
    assert edited([week(2, 0.1, kept=1), week(9, 0.4, kept=2)]) == Edited(3, pytest.approx(0.3))
    assert edited([]) == Edited(0, 0.0)


def test_a_trend_needs_texts_before_and_after() -> None:
    weeks = [week(2, 0.4), week(9, 0.3), week(16, 0.2), week(23, 0.1)]
    assert "you changed less in the later ones: 35% of the words before, 15% then" in edit_trend(weeks)
    assert "changed more" in edit_trend([week(2, 0.1), week(9, 0.3)])
    assert edit_trend([week(2, 0.4)]) == ""
    assert edit_trend([week(2, 0.4, kept=1), week(9, 0.1)]) == ""


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Reading(4.0, 4.5, 0.9, 0.9), "as smoothly and as varied as"),
        (Reading(4.0, 4.5, 0.9, 0.5), "less varied than"),
        (Reading(4.0, 9.0, 0.9, 0.9), "worse than"),
    ],
)
def test_how_drafts_read_is_told_by_the_limits_of_the_check(reading: Reading, said: str) -> None:
    assert f"Its drafts read {said} generic ones" in found(reading=reading).lines()[-1]


def test_without_a_voice_it_says_what_there_is_to_learn(penpal: Command, store: Store) -> None:
    picks(store, 24)
    result = penpal("bench", "--quick")
    assert result.code == 0
    assert result.out.startswith("It would: your choices have a taste in them.")
    assert "24 of 24 (100%" in result.out


def test_with_a_voice_it_answers_yes_and_leaves_everything_as_it_is(
    penpal: Command, store: Store, penpal_home: Path, decoder: HookedDecoder
) -> None:
    picks(store, 24)
    assert penpal("personalize", "--no-drafts", "--json").json["activated"]
    answer(store, "One more thing")
    before = store.counts(), store.activation_history(), sorted((penpal_home / "encoders").iterdir())
    drafted = len(decoder.asked)
    told = penpal("bench", "--quick", "--json").json
    assert (told["verdict"], told["count"], told["since"]) == ("helps", 25, [1, 1])
    assert told["voice"] == store.activation_history()[-1].encoder_id
    assert len(decoder.asked) == drafted
    assert before == (store.counts(), store.activation_history(), sorted((penpal_home / "encoders").iterdir()))


def test_without_quick_it_writes_drafts_in_both_voices(penpal: Command, store: Store, decoder: HookedDecoder) -> None:
    picks(store, 24)
    assert penpal("personalize", "--no-drafts", "--json").json["activated"]
    told = penpal("bench", "--json").json
    assert told["reading"].keys() == {"perplexity_generic", "perplexity", "distinct2_generic", "distinct2"}
    assert store.counts()["drafts"] == 48


def test_too_few_choices_are_told_in_one_line(penpal: Command, store: Store) -> None:
    picks(store, 2)
    result = penpal("bench", "--quick")
    assert result.code == 1
    assert "There is not enough to learn from: 2 of 4 pairs." in result.err
    assert result.out == ""

"""How a rating session is counted, and what the store remembers of earlier ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from core.evidence import evidence_of_turn
from core.feedback import Strength
from core.protocols import Message, Sampling
from core.rating import Share, Tally, active_seconds, days_in_a_row, more_needed
from core.recorder import Recorder
from core.store import Store

TODAY = date(2026, 11, 21)


@pytest.fixture
def store() -> Store:
    return Store()


def pair(store: Store, texts: tuple[str, str] = ("One text.", "Another thing.")) -> tuple[int, int, int]:
    """A turn of `rate` with two brought texts, and its drafts."""
    turn = store.add_turn(store.add_conversation("Write.", origin="rate"), "Write.", [Message("user", "Write.")])
    drafts = [
        store.add_draft(turn, side=side, z=None, encoder_id=None, backbone_id="b", sampling=Sampling(), seed=0)
        for side in (0, 1)
    ]
    for draft, text in zip(drafts, texts, strict=True):
        store.finish_draft(draft, text, tokens=0, finish="stop", duration_ms=0)
    return turn, drafts[0], drafts[1]


@pytest.mark.parametrize(
    ("strength", "weight", "reason"),
    [
        (None, 1.0, "you picked it"),
        ("clear", 1.0, "you found it clearly better"),
        ("slight", 0.5, "you found it a little better"),
    ],
)
def test_a_slight_preference_counts_half(store: Store, strength: Strength | None, weight: float, reason: str) -> None:
    turn, left, _ = pair(store)
    Recorder(store).pick(left, strength=strength)
    (act,) = store.acts(turn)
    (said,) = evidence_of_turn([Message("user", "Write.")], store.drafts(turn), [act])
    assert (act.strength, said.weight, said.reason) == (strength, weight, reason)


def test_sides_are_counted_without_what_was_taken_back(store: Store) -> None:
    recorder = Recorder(store)
    for chosen in (0, 0, 1):
        _, left, right = pair(store)
        recorder.pick((left, right)[chosen], left_draft_id=left)
    turn, left, _ = pair(store)
    recorder.undo(turn, recorder.pick(left, left_draft_id=left))
    _, left, _ = pair(store)
    recorder.pick(left)  # in chat, where both are known
    assert store.sides() == (2, 1)


def test_days_are_those_on_which_something_was_answered_blind(store: Store) -> None:
    _, left, _ = pair(store)
    Recorder(store).pick(left, left_draft_id=left)
    found = store.rating_days()
    assert len(found) == 1
    assert abs(next(iter(found)) - datetime.now(UTC).astimezone().date()) <= timedelta(days=1)


def test_texts_that_were_brought_and_answered_are_known_again(store: Store) -> None:
    recorder = Recorder(store)
    answered, taken_back, edited, shown = (pair(store, (f"Text {n}.", f"Other {n}.")) for n in range(4))
    recorder.judge(answered[0], "tie")
    recorder.undo(taken_back[0], recorder.judge(taken_back[0], "skip"))
    recorder.edit(edited[1], "My own.")
    assert shown[0]
    assert store.rated_texts() == {frozenset(("Text 0.", "Other 0.")), frozenset(("Text 2.", "Other 2."))}


@pytest.mark.parametrize(
    ("days_ago", "streak"), [((), 0), ((0,), 1), ((0, 1, 2), 3), ((1, 2), 2), ((2, 3), 0), ((0, 2), 1)]
)
def test_a_streak_lasts_until_a_day_is_over_without_an_answer(days_ago: tuple[int, ...], streak: int) -> None:
    assert days_in_a_row({TODAY - timedelta(days=n) for n in days_ago}, today=TODAY) == streak


def test_time_away_does_not_count() -> None:
    assert active_seconds([0, 3, 5], now=8) == 8
    assert active_seconds([0, 3, 5000], now=5001) == 3 + 60 + 1


@pytest.mark.parametrize(
    ("same", "of", "ceiling"), [(0, 0, None), (4, 4, 1.0), (2, 4, 0.5), (0, 4, 0.5), (41, 50, 0.9)]
)
def test_the_ceiling_follows_from_agreement(same: int, of: int, ceiling: float | None) -> None:
    """Wrong one time in ten: alike 0.81 + 0.01 of the time, foreseen 0.9 of the time."""
    found = Tally(same=Share(same, of)).ceiling
    assert found == (None if ceiling is None else pytest.approx(ceiling))


def test_what_is_still_needed_shrinks_as_luck_does() -> None:
    assert more_needed(0, 1.0, enough=0.02) == 30
    unclear, clear = (more_needed(20, luck, enough=0.02) for luck in (0.6, 0.05))
    assert unclear > clear >= 5
    assert unclear % 5 == clear % 5 == 0
    assert more_needed(20, 0.02, enough=0.02) == 0
    assert more_needed(300, 1.0, enough=0.02) <= 150

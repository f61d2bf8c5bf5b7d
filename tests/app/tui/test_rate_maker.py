"""Pairs made ahead: balanced sides, old pairs again, drafts that differ, and the pair that teaches most."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from app.pair_choice import Choice, Offer, PairChoice, balanced_sides
from app.pair_sources import PromptSource
from app.tui.pair_maker import FAILURES, PairMaker, RatedPair
from app.tui.rating_session import Answer, AnswerKind, History, RatingSession, Reply
from app.tui.rating_words import details, summary
from app.wiring import PenPal
from core.candidates import Candidates, CandidateText, mirrored, write_candidates
from core.errors import BackboneError, PackError
from core.feedback import Draft
from core.protocols import Message, Sampling
from core.rating import Share
from models.personal_encoder import GaussianEncoder
from tests.app.conftest import LATENT_SIZE
from tests.scripted_decoder import ScriptedDecoder

PROMPTS = ["First task.", "Second task."]


def maker(penpal: PenPal, *, seed: int = 1) -> PairMaker:
    chance = random.Random(seed)
    return PairMaker(PromptSource(PROMPTS), PairChoice(penpal, chance=chance), chance=chance)


def candidates(*texts: str) -> Candidates:
    made = tuple(CandidateText(text) for text in texts)
    return Candidates("Write.", (Message("user", "Write."),), None, made, Sampling())


def rated(number: int, *, expected: int | None = None) -> RatedPair:
    left, right = (Draft(2 * number + i, number, i, f"Text {i}.", "done", None, None, "b", 0) for i in (0, 1))
    return RatedPair(number, "Write.", (left, right), expected=expected)


# --- what is offered --------------------------------------------------------------------------------------------


def test_what_is_empty_the_same_or_nearly_so_is_never_a_pair() -> None:
    same = "one two three four five six seven eight nine ten"
    offer = Offer(candidates(same, f"{same} ", same.replace("ten", "TEN"), "", "🎉🎉", "Quite another text."), None)
    assert offer.open == [(0, 5), (1, 5), (2, 5)]


def test_each_text_is_shown_once() -> None:
    offer = Offer(candidates("One text.", "Another thing.", "Something else here.", "And a fourth?"), None)
    assert len(offer.open) == 6
    offer.use((0, 2))
    assert offer.open == [(1, 3)]


def test_sides_come_up_equally_often_and_in_no_plain_order() -> None:
    sides = balanced_sides(random.Random(3))
    drawn = [next(sides) for _ in range(60)]
    assert sum(drawn) == 30
    assert all(sum(drawn[i : i + 6]) == 3 for i in range(0, 60, 6))
    assert len({tuple(drawn[i : i + 6]) for i in range(0, 60, 6)}) > 3


def test_a_decoder_that_only_repeats_itself_is_an_error(penpal: PenPal, decoder: ScriptedDecoder) -> None:
    decoder.texts = ["Same."]
    with pytest.raises(BackboneError, match="the same every time"):
        maker(penpal).run(penpal.writer())
    assert len(decoder.asked) == FAILURES


def test_stopping_ends_the_writing_and_stores_nothing_half_written(penpal: PenPal, decoder: ScriptedDecoder) -> None:
    decoder.gate = threading.Event()
    making, writer = maker(penpal), penpal.writer()
    thread = threading.Thread(target=making.run, args=(writer,))
    thread.start()
    while not decoder.asked:
        pass
    making.stop()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert penpal.store.counts()["drafts"] == 0


def test_what_is_left_of_a_prompt_bridges_the_time_until_the_next_one(penpal: PenPal, decoder: ScriptedDecoder) -> None:
    decoder.texts = [f"Text number {n} says {'so ' * n}much." for n in range(8)]
    making, writer = maker(penpal), penpal.writer()
    making._made = 1  # so that eight are written
    offer = making._offer(writer)
    first = making._next_choice()
    assert offer is not None
    assert first is not None
    making._deal(writer, first)
    assert making._next_choice() is None  # one is ready: better to write another prompt first
    assert making.take() is not None
    second = making._next_choice()
    assert second is not None
    assert second.offer is offer
    assert not set(first.pair) & set(second.pair)


def test_who_had_to_wait_gets_all_that_is_left_of_a_prompt(penpal: PenPal, decoder: ScriptedDecoder) -> None:
    decoder.texts = [f"Text number {n} says {'so ' * n}much." for n in range(8)]
    making, writer = maker(penpal), penpal.writer()
    making._made = 1
    assert making.take() is None
    making._offer(writer)
    while (choice := making._next_choice()) is not None:
        making._deal(writer, choice)
    dealt = [pair for pair in (making.take() for _ in range(5)) if pair is not None]
    assert len(dealt) == 4
    assert len({draft.text for pair in dealt for draft in pair.shown}) == 8


# --- which pair -------------------------------------------------------------------------------------------------


@pytest.fixture
def choice(learning: PenPal) -> PairChoice:
    return PairChoice(learning, chance=random.Random(0))


def test_every_fifth_pair_or_so_is_drawn_at_random(learning: PenPal, choice: PairChoice) -> None:
    writer = learning.writer()
    texts = [f"Thing number {n}{'!' * (n % 2)}" for n in range(6)]
    pairs = Counter()
    for _ in range(100):
        offer = choice.read(candidates(*texts), writer)
        found = choice.choose([offer])
        assert found is not None
        pairs[found.pair] += 1
    (_, most), *others = pairs.most_common()
    assert 70 <= most <= 92
    assert len(others) > 5


def test_the_pair_whose_answer_tells_most_is_asked(learning: PenPal, choice: PairChoice) -> None:
    """The scripted encoder reads a '!' as 4 apart in one dimension, and everything else as noise."""
    offer = choice.read(candidates("Thing one", "Thing two", "Thing three!", "Thing four!"), learning.writer())
    gains = choice._gains([offer])[id(offer)]
    by_pair = {pair: gains[at] for pair, at in offer.numbers.items()}
    assert min(by_pair[0, 2], by_pair[0, 3], by_pair[1, 2], by_pair[1, 3]) > max(by_pair[0, 1], by_pair[2, 3])


def test_what_is_expected_follows_what_was_answered(learning: PenPal, choice: PairChoice) -> None:
    writer = learning.writer()
    offer = choice.read(candidates("Thing one", "Thing two!"), writer)
    assert choice._expected(offer, (0, 1)) is None
    store = learning.store
    turn = store.add_turn(store.add_conversation("A", origin="rate"), "A", [Message("user", "A")])
    drafts = [
        store.add_draft(turn, side=s, z=None, encoder_id=None, backbone_id="scripted", sampling=Sampling(), seed=s)
        for s in (0, 1)
    ]
    for draft, text in zip(drafts, ("Yes!", "No."), strict=True):
        store.finish_draft(draft, text, tokens=1, finish="stop", duration_ms=1)
    writer.recorder.pick(drafts[0])
    learning.learn_now(writer, turn)
    assert choice._expected(offer, (0, 1)) == 1


def test_without_an_encoder_pairs_are_drawn_at_random_and_it_is_said(
    learning: PenPal, choice: PairChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*args: object) -> object:
        raise PackError("The encoder is damaged.")

    writer = learning.writer()
    monkeypatch.setattr(learning, "fast_path", damaged)
    found = choice.choose([choice.read(candidates("Thing one", "Thing two!"), writer)])
    assert found is not None
    assert found.expected is None
    assert choice.random_because == "The encoder is damaged."


def test_where_the_better_one_is_expected_is_balanced(learning: PenPal) -> None:
    writer = learning.writer()
    making = maker(learning)
    for number in range(12):
        offer = Offer(candidates(f"First text {number}.", f"Quite another one, {number}!"), None)
        making._deal(writer, Choice(offer, (0, 1), expected=0))
    dealt = [pair for pair in (making.take() for _ in range(12)) if pair is not None]
    assert sum(pair.expected == 0 for pair in dealt) == 6
    assert all(pair.shown[pair.expected or 0].text.startswith("First") for pair in dealt)
    assert not any(pair.again for pair in dealt)


# --- drafts two by two ------------------------------------------------------------------------------------------


def test_every_second_latent_mirrors_the_one_before() -> None:
    encoder = GaussianEncoder.generic(LATENT_SIZE)
    encoder = encoder.with_parts(replace(encoder.parts, mean=np.arange(LATENT_SIZE, dtype=float) / 4))
    messages = [Message("user", "Write.")]
    first, second, third = mirrored(encoder, messages, "other", [1, 2, 3])
    mean = encoder.mean(messages, "other")
    np.testing.assert_allclose((first + second) / 2, mean, atol=1e-6)
    np.testing.assert_array_equal(first, encoder.sample(messages, "other", 1))
    np.testing.assert_array_equal(third, encoder.sample(messages, "other", 3))


def test_candidates_that_were_cancelled_are_none(penpal: PenPal) -> None:
    writer = penpal.writer()
    assert write_candidates(writer, "Write.", 2, sampling=Sampling(), cancelled=lambda: True) is None


def test_a_prompt_that_is_too_long_loses_its_middle(penpal: PenPal, decoder: ScriptedDecoder) -> None:
    made = write_candidates(penpal.writer(), "word " * 5000, 2, sampling=Sampling())
    assert made is not None
    assert "[…]" in made.prompt
    assert decoder.count_tokens(made.messages) <= decoder.room


# --- asked again, and what it comes to --------------------------------------------------------------------------


def test_about_one_answer_in_twelve_is_followed_by_an_old_pair(penpal: PenPal) -> None:
    making, old = maker(penpal), [rated(number) for number in range(1000)]
    asked = []
    for _ in range(1000):
        making.perhaps_ask_again(old)
        asked += [pair for pair in [making.take()] if pair is not None]
    assert 60 <= len(asked) <= 110
    assert len({pair.turn_id for pair in asked}) == len(asked)


def test_each_pair_is_asked_again_once_at_most(penpal: PenPal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.tui.pair_maker.AGAIN_SHARE", 1.0)
    making, old = maker(penpal), [rated(1), rated(2)]
    for _ in range(5):
        making.perhaps_ask_again(old)
    assert sorted(pair.turn_id for pair in (making.take(), making.take()) if pair is not None) == [1, 2]
    assert making.take() is None


def session(*answers: Answer) -> RatingSession:
    made = RatingSession(goal=20)
    made.started = 0.0
    made.answers = [replace(answer, at=3.0 * i) for i, answer in enumerate(answers, 1)]
    return made


def answered(number: int, kind: AnswerKind, *, again: bool = False, expected: int | None = None) -> Answer:
    return Answer(replace(rated(number, expected=expected), again=again), Reply(kind), act_id=1)


def test_the_closing_lines_set_foresight_beside_its_ceiling() -> None:
    first = [answered(number, "left", expected=number % 2) for number in range(4)]
    again = [answered(number, kind, again=True) for number, kind in enumerate(("left", "right", "left", "tie"))]
    alone = summary(session(*first)).splitlines()
    assert alone[0].endswith("(4 choices).")
    assert alone[1:] == ["PenPal foresaw 2 of 4 choices.", "'penpal personalize' learns from them."]
    both = summary(session(*first, *again), days_in_a_row=3).splitlines()
    assert both[1] == (
        "PenPal foresaw 2 of 4 choices; asked again, you chose the same 2 of 3 times, "
        "so about 79% is the most it can foresee."
    )
    assert both[2:] == ["3 days in a row.", "'penpal personalize' learns from them."]
    assert summary(session()) == "Nothing answered this time."


def test_a_liking_for_one_side_is_told_once_it_is_no_chance() -> None:
    few, many = (session(*[answered(number, "left") for number in range(count)]) for count in (5, 25))
    told = [dict(details(each, History(), ""))["left or right"] for each in (few, many)]
    assert told[0] == "you chose the left one 100% of the time"
    assert told[1].endswith("look at both before you choose")
    even = dict(details(few, History(left=Share(20, 45)), ""))["left or right"]
    assert even.endswith("which is even")


def test_pace_leaves_out_the_time_when_nobody_was_there() -> None:
    made = session(*[answered(number, "left") for number in range(6)])
    assert made.per_minute == pytest.approx(20)
    made.answers[-1] = replace(made.answers[-1], at=10_000.0)
    assert made.per_minute == pytest.approx(60 * 6 / 75)

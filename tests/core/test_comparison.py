"""A new voice against the one before it: same prompt, same dice, sides at random, and who wins."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from core.comparison import preference, propose_comparison, verdict
from core.comparison_rows import Comparison
from core.protocols import Latent, Message, Sampling
from core.recorder import Recorder
from core.session import Voice
from core.store import EncoderRecord, Store
from core.voices import ROLLED_BACK, roll_back, use_encoder
from tests.scripted_decoder import ScriptedDecoder

NEW, OLD = "new", "old"


class Leaning:
    """A voice whose latents say who they are."""

    def __init__(self, lean: float) -> None:
        self.lean = lean

    def mean(self, messages: object, context: str) -> Latent:
        return np.full(2, self.lean, np.float32)

    def sample(self, messages: object, context: str, seed: int) -> Latent:
        return np.array([self.lean, seed], np.float32)


@pytest.fixture
def store() -> Store:
    store = Store()
    for name in (OLD, NEW):
        store.add_encoder(EncoderRecord(name, name, "personalized", None, "b", "c", 4, "kept", {}, "2026-01-01"))
    return store


def add_turn(store: Store, prompt: str = "Write.", *, origin: str = "chat", answered: bool = True) -> int:
    messages = [Message("user", "Hello."), Message("assistant", "Hi."), Message("user", prompt)]
    turn = store.add_turn(store.add_conversation(prompt, origin=origin), prompt, messages, context="mail")  # type: ignore[arg-type]
    draft = store.add_draft(turn, side=0, z=None, encoder_id=None, backbone_id="b", sampling=Sampling(), seed=1)
    store.finish_draft(draft, "Text.", tokens=1, finish="stop", duration_ms=1)
    if answered:
        store.add_act("accept", turn, draft_id=draft, text="Text.")
    return turn


def compare(store: Store, *, seed: int = 7, chance: int = 0) -> Comparison:
    asked = store.turn(add_turn(store))
    proposal = propose_comparison(
        store, ScriptedDecoder(), asked, new=Voice(Leaning(1.0), NEW), old=Voice(Leaning(-1.0), OLD),
        sampling=Sampling(), seed=seed, chance=random.Random(chance),
    )  # fmt: skip
    proposal.run()
    comparison = Comparison(proposal.turn_id, asked.id, NEW, OLD)
    store.add_comparison(comparison)
    return comparison


def test_both_voices_write_for_the_same_conversation_from_the_same_dice(store: Store) -> None:
    comparison = compare(store, seed=7)
    turn, asked = store.turn(comparison.turn_id), store.turn(comparison.asked_turn_id)
    assert (turn.prompt, turn.messages, turn.context) == (asked.prompt, asked.messages, "mail")
    drafts = store.drafts(turn.id)
    assert {draft.encoder_id: draft.z for draft in drafts} == {NEW: (1.0, 1.0), OLD: (-1.0, -1.0)}
    assert {draft.seed for draft in drafts} == {7}
    assert store.comparisons(NEW) == [comparison]
    assert store.comparisons(OLD) == []


def test_sides_are_drawn_by_chance(store: Store) -> None:
    left = {store.drafts(compare(store, chance=number).turn_id)[0].encoder_id for number in range(8)}
    assert left == {NEW, OLD}


def test_it_stays_out_of_the_list_of_conversations_and_counts_as_an_ordinary_pick(store: Store) -> None:
    comparison = compare(store)
    assert comparison.turn_id not in {t.id for c in store.conversations() for t in store.turns(c.id)}
    Recorder(store).pick(store.drafts(comparison.turn_id)[0].id)
    assert [(e.source, e.weight) for e in store.evidence_of_turn(comparison.turn_id, backbone_id="scripted")] == [
        ("pick", 1.0)
    ]


def test_a_preference_is_the_voice_of_the_draft_that_was_picked_last(store: Store) -> None:
    comparison = compare(store)
    drafts = store.drafts(comparison.turn_id)
    by_voice = {draft.encoder_id: draft.id for draft in drafts}
    recorder = Recorder(store)

    def preferred() -> str | None:
        return preference(comparison, drafts, store.acts(comparison.turn_id))

    assert preferred() is None
    recorder.pick(by_voice[NEW])
    assert preferred() == "new"
    last = recorder.pick(by_voice[OLD])
    assert preferred() == "old"
    recorder.undo(comparison.turn_id, last)
    assert preferred() == "new"
    recorder.judge(comparison.turn_id, "tie")
    assert preferred() == "neither"


@pytest.mark.parametrize(
    ("preferences", "said"),
    [
        (["new", "new", "new"], "confirmed"),
        (["new", "old", "neither"], "confirmed"),
        (["old", "neither", "neither"], "confirmed"),
        (["old", "new", "old"], "rolled back"),
        (["old", "old", "old"], "rolled back"),
        ([], "confirmed"),
    ],
)
def test_two_votes_of_three_bring_the_old_voice_back(preferences: list[str], said: str) -> None:
    assert verdict(preferences) == said  # type: ignore[arg-type]


def test_what_happened_to_the_questions_is_appended(store: Store) -> None:
    assert store.comparison_state(NEW) is None
    for kind in ("offered", "rolled back", "reopened", "declined"):
        store.add_comparison_event(NEW, kind)  # type: ignore[arg-type]
        assert store.comparison_state(NEW) == kind
    assert store.comparison_state(OLD) is None


def test_the_newest_answered_prompts_of_ones_own_come_back_each_once(store: Store) -> None:
    add_turn(store, "Rated.", origin="rate")
    first = add_turn(store, "First.")
    add_turn(store, "Never answered.", answered=False)
    again, second = add_turn(store, "First."), add_turn(store, "Second.")
    secret = add_turn(store, "Secret.")
    store.set_learning(store.turn(secret).conversation_id, False)
    until = store.last_act_id()
    add_turn(store, "Too late.")
    compare(store)

    def asked(limit: int) -> list[int]:
        return [turn.id for turn in store.answered_turns(until_act=until, limit=limit)]

    assert asked(2) == [second, again]
    assert [store.turn(turn_id).prompt for turn_id in asked(9)] == ["Second.", "First.", "Rated."]
    assert first not in asked(9)


def test_a_step_back_with_a_reason_is_still_a_step_back(store: Store, tmp_path: Path) -> None:
    for name in (OLD, NEW):
        (tmp_path / name).touch()
        use_encoder(store, name, tmp_path)
    back = roll_back(store, tmp_path, because="you preferred it")
    assert back is not None
    assert back.id == OLD
    assert store.activation_history()[-1].reason == f"{ROLLED_BACK}: you preferred it"
    assert roll_back(store, tmp_path) is None  # to the generic voice, not forward again

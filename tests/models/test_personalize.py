"""From what a person did to an encoder, through the real store and a real tiny encoder of texts."""

from __future__ import annotations

import functools
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import LearnError
from core.evidence import Evidence, Repeats, Side
from core.protocols import Message
from core.store import Store
from models import personalize
from models.backbone import Backbone
from models.checkpoint import Arrays, write_arrays
from models.decoder_llama import LlamaDecoder
from models.learner import LearnConfig, Parts
from models.llama_runtime import LlamaContext, LlamaModel
from models.personalize import Learned, Share, learn, rows_of, weighed
from models.text_encoder import MAX_RESPONSE_TOKENS, TextEncoder
from models.text_vectors import TextVectors
from tests import tiny
from tests.answering import Answer, answer, drafts, said, undo
from tests.scripted_text_encoder import HIDDEN_SIZE, ScriptedTextEncoder

ROOT = Path(__file__).parents[2]
THINGS = ("garden", "train", "rain", "dog", "market", "coffee", "walk", "machine")


def warm(number: int) -> str:
    draw = random.Random(number)
    return f"Thank you! I would love the {draw.choice(THINGS)} and the {draw.choice(THINGS)}, number {number}!"


def dry(number: int) -> str:
    draw = random.Random(-number - 1)
    return f"The {draw.choice(THINGS)} was late, the {draw.choice(THINGS)} was broken. Number {number}."


def likes_warm(store: Store, count: int, *, first: int = 0, kind: Answer = "pick") -> None:
    for number in range(first, first + count):
        answer(store, f"Thing {number}", warm(number), dry(number), kind=kind)


def likes_dry(store: Store, count: int, *, first: int = 0) -> None:
    for number in range(first, first + count):
        answer(store, f"Thing {number}", dry(number), warm(number))


@pytest.fixture(scope="module")
def encoder(tiny_backbone: Backbone, telling_clap: Arrays) -> Iterator[TextEncoder]:
    made = TextEncoder(tiny_backbone, telling_clap)
    yield made
    made.close()


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store()
    yield opened
    opened.close()


@pytest.fixture
def vectors(store: Store, encoder: TextEncoder) -> TextVectors:
    return vectors_of(store, encoder)


def vectors_of(store: Store, encoder: TextEncoder) -> TextVectors:
    return TextVectors(store, "c" * 64, lambda: encoder, latent_size=tiny.LATENT_SIZE, hidden_size=tiny.HIDDEN)


def prefers_warm(learned: Learned, encoder: TextEncoder) -> float:
    """The share of new pairs in which the encoder prefers the warm text."""
    prompt = (Message("user", "Something else"),)
    good, bad = (encoder.posteriors([(prompt, text(n)) for n in range(100, 120)]).mean for text in (warm, dry))
    return float(((good - bad) @ learned.encoder.parts.mean > 0).mean())


# --- learning ---------------------------------------------------------------------------------------------------


def test_a_persons_picks_teach_a_taste_that_holds_for_new_texts(
    store: Store, vectors: TextVectors, encoder: TextEncoder
) -> None:
    likes_warm(store, 16)
    told: list[tuple[str, float]] = []
    learned = learn(said(store), vectors, progress=lambda stage, share: told.append((stage, share)))
    assert prefers_warm(learned, encoder) > 0.75
    assert learned.evidence == learned.accuracy.count == 16
    assert learned.accuracy.share > 0.9
    assert learned.accuracy.interval[0] > 0.5
    assert learned.log_loss < np.log(2)
    assert learned.p_value < 0.02
    assert learned.capacity == "shift"
    assert list(learned.capacities) == ["shift"]
    assert learned.sources == {"pick": learned.accuracy}
    assert learned.contexts == {"other": learned.accuracy}
    assert learned.flip_rate == Repeats().flip_rate()
    assert learned.half_life is None
    assert 0 < learned.drift <= LearnConfig().max_norm + 1e-9
    assert learned.drift == pytest.approx(np.linalg.norm(learned.encoder.parts.mean))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)


def test_learning_again_gives_the_same_and_reads_nothing(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 8)
    first = learn(said(store), vectors)
    read = vectors.read
    again = learn(said(store), vectors)
    assert vectors.read == read == 16
    np.testing.assert_array_equal(again.encoder.parts.mean, first.encoder.parts.mean)
    assert replace(again, encoder=first.encoder, seconds={}) == replace(first, seconds={})


def test_the_opposite_taste_leads_the_opposite_way(store: Store, vectors: TextVectors, encoder: TextEncoder) -> None:
    likes_dry(store, 16)
    assert prefers_warm(learn(said(store), vectors), encoder) < 0.25


def test_answers_that_were_taken_back_teach_nothing(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 8)
    only_warm = learn(said(store), vectors)
    for number in range(8, 14):
        undo(store, answer(store, f"Thing {number}", dry(number), warm(number)))
    learned = learn(said(store), vectors)
    assert learned.evidence == 8
    np.testing.assert_array_equal(learned.encoder.parts.mean, only_warm.encoder.parts.mean)


def test_labels_by_chance_look_like_luck(store: Store, vectors: TextVectors) -> None:
    coin = random.Random(3)
    for number in range(24):
        (likes_warm if coin.random() < 0.5 else likes_dry)(store, 1, first=number)
    learned = learn(said(store), vectors)
    assert learned.p_value > 0.1


def test_two_kinds_of_writing_are_learned_apart(store: Store, vectors: TextVectors) -> None:
    for number in range(24):
        answer(store, f"Write a mail about thing {number}", warm(number), dry(number))
        answer(store, f"Write a note about thing {number}", dry(number), warm(number))
    learned = learn(said(store), vectors)
    assert learned.capacity == "contexts"
    mail, note = (learned.encoder.parts.contexts[name] + learned.encoder.parts.mean for name in ("mail", "note"))
    assert mail @ note < 0
    assert {name: share.count for name, share in learned.contexts.items()} == {"mail": 24, "note": 24}
    assert learned.capacities["contexts"][1] < learned.capacities["shift"][1]


def test_a_direction_that_is_avoided_is_not_taken(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 8)
    free = learn(said(store), vectors).encoder.parts.mean
    avoid = np.eye(tiny.LATENT_SIZE)[int(np.argmax(free))]
    assert free @ avoid > 0.1
    np.testing.assert_allclose(
        learn(said(store), vectors, avoid=avoid).encoder.parts.mean, free - (free @ avoid) * avoid, atol=1e-9
    )


def test_slips_are_estimated_from_what_was_asked_twice_unless_they_are_set(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 6)
    repeats = Repeats(same=10, different=10)
    assert learn(said(store), vectors, repeats=repeats).flip_rate == repeats.flip_rate() > 0.2
    assert learn(said(store), vectors, repeats=repeats, config=LearnConfig(flip_rate=0.1)).flip_rate == 0.1


def test_a_half_life_that_is_set_is_kept(store: Store, vectors: TextVectors, encoder: TextEncoder) -> None:
    likes_warm(store, 12)
    likes_dry(store, 8, first=12)
    found = {
        half_life: learn(said(store), vectors, config=LearnConfig(half_life=half_life)) for half_life in (2.0, 1e9)
    }
    assert [learned.half_life for learned in found.values()] == [2.0, 1e9]
    assert prefers_warm(found[2.0], encoder) < 0.5 < prefers_warm(found[1e9], encoder)


def test_a_run_can_be_stopped_between_its_stages(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 6)

    def stop() -> None:
        raise LearnError("The time is up.")

    with pytest.raises(LearnError, match="time is up"):
        learn(said(store), vectors, between=stop)


# --- the capacity that was asked for ----------------------------------------------------------------------------


def test_a_capacity_can_be_asked_for(store: Store, vectors: TextVectors) -> None:
    for number in range(24):
        answer(store, f"Write a mail about thing {number}", warm(number), dry(number))
        answer(store, f"Write a note about thing {number}", dry(number), warm(number))
    learned = learn(said(store), vectors, fixed_capacity="shift")
    assert learned.capacity == "shift"
    assert not learned.encoder.parts.contexts
    assert Share(24, 48).share == pytest.approx(learned.accuracy.share, abs=0.2)  # one shift cannot please both


def test_a_capacity_that_the_evidence_cannot_carry_is_refused(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 6)
    with pytest.raises(LearnError, match="too little evidence for an encoder with capacity 'head'"):
        learn(said(store), vectors, fixed_capacity="head")


# --- beside the active encoder ----------------------------------------------------------------------------------


def test_on_new_choices_the_active_encoder_is_asked_too(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 10)
    seen = store.last_act_id()
    likes_warm(store, 5, first=10)
    answer(store, "A tie", warm(90), dry(90), kind="tie")
    of_other_taste = Parts(-5 * learn(said(store), vectors).encoder.parts.mean, np.zeros(tiny.LATENT_SIZE), {})
    learned = learn(said(store), vectors, active=of_other_taste, active_saw_act=seen)
    assert (learned.unseen.count, learned.unseen_active.count) == (5, 5)
    assert learned.unseen.right >= 4
    assert learned.unseen_active.right <= 1
    assert not learned.worse_than_active


def test_an_active_encoder_that_foresees_better_is_said_to(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 30)
    active = learn(said(store), vectors).encoder.parts
    few = said(store)[-5:]  # from which alone nobody can know as much
    learned = learn(few, vectors, active=active)
    assert learned.unseen_active == Share(5, 5)
    assert learned.worse_than_active
    assert not learn(few, vectors, active=replace(active, mean=-active.mean)).worse_than_active


def test_where_nothing_is_new_nothing_is_compared(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 8)
    active = learn(said(store), vectors).encoder.parts
    learned = learn(said(store), vectors, active=active, active_saw_act=store.last_act_id())
    assert (learned.unseen, learned.unseen_active) == (Share(0, 0), Share(0, 0))
    assert learned.unseen.share == 0.5
    assert not learned.worse_than_active


# --- too little -------------------------------------------------------------------------------------------------


def refusal(evidence: list[Evidence], vectors: TextVectors) -> str:
    with pytest.raises(LearnError) as refused:
        learn(evidence, vectors)
    message = str(refused.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("count", [0, 1, personalize.MIN_EVIDENCE - 1])
def test_too_few_choices_say_how_many_are_needed(store: Store, vectors: TextVectors, count: int) -> None:
    likes_warm(store, count)
    assert f"not enough to learn from: {count} of {personalize.MIN_EVIDENCE} pairs. Pick" in refusal(
        said(store), vectors
    )


def test_ties_alone_are_no_taste(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 6, kind="tie")
    assert refusal(said(store), vectors).startswith("All your 6 answers are ties")


def test_skips_say_nothing(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 6, kind="skip")
    assert "0 of 4 pairs. Pick" in refusal(said(store), vectors)


def test_many_drafts_of_one_prompt_are_one_choice(store: Store, vectors: TextVectors) -> None:
    first, *others = drafts(store, "Hello", [warm(0), *map(dry, range(5))])
    store.add_act("pick", store.draft(first).turn_id, draft_id=first, other_draft_id=others[0])
    assert len(said(store)) == 5
    assert "about one prompt: answer about another one" in refusal(said(store), vectors)


def long(number: int) -> str:
    """More than the encoder reads of a text."""
    return f"{warm(number)} " * MAX_RESPONSE_TOKENS


def test_pairs_that_are_all_too_alike_say_where_to_look(store: Store, vectors: TextVectors) -> None:
    for number in range(6):
        answer(store, f"Thing {number}", long(number) + "Yours, Ann", long(number) + "Yours truly, Ann")
    assert "0 of 4 pairs (6 more say too little: 'penpal pairs list' tells why)" in refusal(said(store), vectors)


def test_a_pair_that_is_too_alike_keeps_its_place_and_says_so(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 1)
    answer(store, "Same", long(0) + "Yours, Ann", long(0) + "Yours truly, Ann")
    likes_warm(store, 1, first=1, kind="tie")
    turn_id = answer(store, "Typo", warm(2), dry(2))
    first = store.drafts(turn_id)[0]
    store.add_act("edit", turn_id, draft_id=first.id, text=f"{first.text} ")
    evidence = said(store)
    found = weighed(evidence, vectors)
    assert [one.weight for one in found] == [1.0, 0.0, 0.5, 1.0, 0.0]
    assert [one.reason for one in found if not one.weight] == [
        "too alike to learn from",
        "a typo fix: hardly a word changed",
    ]
    assert [replace(one, weight=1, reason="") for one in found] == [replace(e, weight=1, reason="") for e in evidence]


def test_what_has_no_weight_is_not_even_read(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 5)
    struck_out = [replace(one, weight=0.0) for one in said(store)]
    assert weighed(struck_out, vectors) == struck_out
    assert vectors.read == 0


# --- rows -------------------------------------------------------------------------------------------------------


def test_rows_keep_what_the_evidence_says(store: Store, vectors: TextVectors, encoder: TextEncoder) -> None:
    z = [[1.0] * tiny.LATENT_SIZE, [0.25] * tiny.LATENT_SIZE]
    turns = [answer(store, "Write a mail", warm(0), dry(0), z=z), answer(store, "Hello", dry(1), warm(1), kind="tie")]
    rows = rows_of(said(store), vectors, LearnConfig())
    texts = [((Message("user", "Write a mail"),), text) for text in (warm(0), dry(0))]
    mean, log_variance = encoder.posteriors(texts)
    moments = mean**2 + np.exp(log_variance)
    np.testing.assert_allclose(rows.difference[0], mean[0] - mean[1], atol=1e-5)
    np.testing.assert_allclose(rows.spread[0], (moments[0] - moments[1]) / 2, atol=1e-5)
    assert rows.weight.tolist() == [1.0, 0.5]
    assert rows.tie.tolist() == [False, True]
    assert rows.turn.tolist() == turns
    assert rows.context == ("mail", "other")
    assert rows.known is not None
    assert rows.known[0].tolist() == [0.75] * tiny.LATENT_SIZE
    assert np.isnan(rows.known[1]).all()
    assert rows.features is not None
    np.testing.assert_allclose(rows.features[0], encoder.prompt_features([texts[0][0]])[0], atol=1e-5)


def test_a_single_mark_is_compared_with_the_average_draft(store: Store, vectors: TextVectors) -> None:
    likes_warm(store, 2)
    turn_id = answer(store, "Both", warm(5), dry(5), kind="both_bad")
    picked, bad = rows_of(said(store), vectors, LearnConfig()), said(store, turn_id)
    assert [(mark.chosen, mark.rejected is None) for mark in bad] == [(None, False), (None, False)]
    texts = [(e.messages, side.text) for e in said(store) for side in (e.chosen, e.rejected) if side is not None]
    mean = vectors.posteriors(texts).mean
    assert len(mean) == 6
    np.testing.assert_allclose(picked.difference[2:], mean.mean(0) - mean[4:], atol=1e-5)


@pytest.mark.parametrize("variant", ["sampled", "marginal"])
def test_variants_learn_the_same_taste(store: Store, vectors: TextVectors, encoder: TextEncoder, variant: Any) -> None:
    likes_warm(store, 12)
    learned = learn(said(store), vectors, config=LearnConfig(variant=variant))
    assert prefers_warm(learned, encoder) > 0.75


def test_single_marks_are_all_that_kto_needs(store: Store, vectors: TextVectors, encoder: TextEncoder) -> None:
    for number in range(8):
        answer(store, f"Bad thing {number}", dry(number), dry(number + 20), kind="both_bad")
        star, _ = drafts(store, f"Good thing {number}", [warm(number), ""])
        store.add_act("star", store.draft(star).turn_id, draft_id=star)
    likes_warm(store, 1, first=50, kind="tie")
    likes_warm(store, 3, first=60)
    evidence = said(store)
    learned = learn(evidence, vectors, config=LearnConfig(loss="kto"))
    assert prefers_warm(learned, encoder) > 0.75
    assert learned.evidence == len(evidence) == 8 * 3 + 1 + 3
    assert {name: share.count for name, share in learned.sources.items()} == {"both bad": 16, "star": 8, "pick": 6}
    assert learned.accuracy.count == 30  # a pair is a good and a bad mark, a tie is neither


# --- what is never loaded ---------------------------------------------------------------------------------------


@pytest.fixture
def no_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes or loads one is caught."""

    def caught(*_: object, **__: object) -> None:
        raise AssertionError("personalization ran the language model")

    monkeypatch.setattr(LlamaDecoder, "__init__", caught)
    monkeypatch.setattr(LlamaContext, "__init__", caught)
    opened = LlamaModel.__init__

    def vocabulary_only(self: LlamaModel, path: Path, **options: Any) -> None:
        assert options.get("vocabulary_only"), "personalization loaded the weights"
        opened(self, path, **options)

    monkeypatch.setattr(LlamaModel, "__init__", vocabulary_only)


@pytest.mark.usefixtures("no_language_model")
def test_learning_never_touches_the_language_model(store: Store, tiny_backbone: Backbone, telling_clap: Arrays) -> None:
    likes_warm(store, 8)
    encoder = TextEncoder(tiny_backbone, telling_clap)
    learned = learn(said(store), vectors_of(store, encoder))
    encoder.close()
    assert learned.accuracy.share > 0.9


LEARN = """
import sys
from pathlib import Path
from core.store import Store
from models.backbone import Backbone
from models.checkpoint import read_arrays
from models.personalize import learn
from models.text_encoder import TextEncoder
from models.text_vectors import TextVectors

gguf, clap, database = map(Path, sys.argv[1:])
store = Store(database)
encoder = TextEncoder(Backbone(gguf, "x"), read_arrays(clap)[0])
learned = learn(
    store.evidence(backbone_id=None), TextVectors(store, "c", lambda: encoder, latent_size=8, hidden_size=64)
)
learned.encoder.save(database.with_name("encoder"), {})
print(learned.evidence, sorted({"torch", "transformers"} & set(sys.modules)))
"""


def test_learning_imports_no_torch(tiny_backbone: Backbone, telling_clap: Arrays, tmp_path: Path) -> None:
    store = Store(tmp_path / "penpal.db")
    likes_warm(store, 8)
    store.close()
    write_arrays(tmp_path / "clap", telling_clap, {})
    arguments = map(str, (tiny_backbone.path, tmp_path / "clap", tmp_path / "penpal.db"))
    run = subprocess.run([sys.executable, "-c", LEARN, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("8 []\n", 0), run.stderr


# --- many choices -----------------------------------------------------------------------------------------------


def many_choices(count: int) -> list[Evidence]:
    """As evidence at once: the store's own work is not what is measured."""

    def one(number: int) -> Evidence:
        messages = (Message("user", f"Write a {('mail', 'note')[number % 2]} about thing {number}"),)
        good, bad = Side(f"Lovely number {number}!", None), Side(f"No number {number}.", None)
        return Evidence(messages, good, bad, "pick", 1.0, "", ("mail", "note")[number % 2], number, number)

    return [one(number) for number in range(count)]


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_with_the_choices_and_not_with_their_square(store: Store) -> None:
    scripted: Any = ScriptedTextEncoder(tiny.LATENT_SIZE)
    peaks = {}
    for count in (500, 2000):
        evidence = many_choices(count)
        vectors = TextVectors(
            store, f"{count}", lambda: scripted, latent_size=tiny.LATENT_SIZE, hidden_size=HIDDEN_SIZE
        )
        vectors.posteriors([(e.messages, side.text) for e in evidence for side in (e.chosen, e.rejected) if side])
        peaks[count] = peak_bytes(functools.partial(learn, evidence, vectors, fixed_capacity="shift"))
    assert peaks[2000] < 2000 * 2000 * 8  # one N x N array
    assert peaks[2000] < 6 * peaks[500]

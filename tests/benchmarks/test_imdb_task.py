"""The film reviews: where they are cut, that candidates are sampled once, and who prefers which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from benchmarks.rivals.torch_author import Conversation, SharedSampler
from benchmarks.tasks.imdb import CANDIDATES, Reviews, cut, read_candidates
from core.protocols import Sampling
from models.backbone import ChatTemplate
from tests import tiny
from tests.benchmarks.test_judges import BAD, GOOD, corpus, write


class ReviewingSampler(SharedSampler):
    """Continues with praise, blame, both or neither, in turn."""

    sampled = 0

    def texts(self, prompts: Sequence[Conversation], seeds: Sequence[int], **more: Any) -> list[str]:
        self.sampled += len(prompts)
        endings = (" ".join(GOOD), " ".join(BAD), f"{GOOD[0]} {BAD[0]}", "story")
        return [f" {endings[seed % 4]}" for seed in seeds]


@pytest.fixture
def sampler() -> ReviewingSampler:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tiny_tokenizer(), eos_token="<|im_end|>")
    return ReviewingSampler(
        tiny.tiny_lm(), tokenizer, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=Sampling(max_tokens=8)
    )


@pytest.fixture
def reviews(tmp_path: Path, sampler: ReviewingSampler) -> Reviews:
    write(tmp_path, "train", corpus(120, 0))
    write(tmp_path, "test", corpus(40, 1))
    return Reviews(tmp_path, tmp_path / "work", sampler, lambda line: None)


def test_a_review_is_cut_between_words_and_goes_on_where_it_was_cut(sampler: ReviewingSampler) -> None:
    texts = corpus(3, 0)
    for number in range(9):
        prompt, reference = cut(texts, number, sampler)
        assert texts[number % 3].text.startswith(prompt + reference)
        assert prompt
        assert reference.startswith(" ")
        assert not prompt.endswith(" ")
        assert len(sampler.tokenizer(prompt).input_ids) <= 32
    assert len({cut(texts, number, sampler)[0] for number in (0, 3, 6)}) > 1


def test_candidates_are_sampled_once_and_go_on_after_a_kill(
    reviews: Reviews, sampler: ReviewingSampler, tmp_path: Path
) -> None:
    first = reviews.candidates(3)
    file = tmp_path / "work" / "imdb-candidates.jsonl"
    file.write_text(file.read_text() + '["half a li')
    assert reviews.candidates(5)[:3] == first
    assert sampler.sampled == 5 * CANDIDATES
    assert len(read_candidates(file)) == 5
    assert reviews.candidates(2) == first[:2]


@pytest.mark.parametrize(("taste", "likes", "dislikes"), [("positive", GOOD, BAD), ("negative", BAD, GOOD)])
def test_people_prefer_what_the_judge_hears(reviews: Reviews, taste: str, likes: Any, dislikes: Any) -> None:
    choices = reviews.choices(taste, 0, 6)
    assert len(choices) == 6
    assert all(choice.chosen == f" {' '.join(likes)}" for choice in choices)
    assert all(choice.rejected == f" {' '.join(dislikes)}" for choice in choices)
    assert {c.messages for c in reviews.choices(taste, 1, 6)} == {c.messages for c in choices}
    assert reviews.choices(taste, 1, 6) != choices


def test_test_prompts_come_from_the_test_split_with_their_references(reviews: Reviews) -> None:
    questions = reviews.questions(0, 4)
    starts = [review.text for review in corpus(40, 1)]
    for (message,), reference in zip(questions.prompts, questions.references, strict=True):
        assert message.role == "text"
        assert any(start.startswith(message.content + reference) for start in starts)
    assert {*questions.seeds}.isdisjoint(reviews.questions(1, 4).seeds)
    assert reviews.score("positive")(questions.prompts[0], " ".join(GOOD)) > 0

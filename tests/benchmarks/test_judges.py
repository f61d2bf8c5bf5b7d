"""Judges of reviews: trained on a tiny corpus made here; one that is too often wrong refuses."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from benchmarks.rivals.judges import BagOfVectorsJudge, LinearJudge, Review, read_reviews, train_judges, with_excerpts
from benchmarks.tasks.imdb import liking
from core.errors import UsageError

GOOD = ("wonderful", "lovely", "brilliant", "moving")
BAD = ("dreadful", "boring", "awful", "clumsy")
FILLER = ("film", "actor", "story", "scene", "music", "and", "the", "plot", "camera", "was", "two", "hours")


def review(positive: bool, rng: random.Random) -> Review:
    words = rng.choices(FILLER, k=60)
    for _ in range(6):
        words[rng.randrange(60)] = rng.choice(GOOD if positive else BAD)
    return Review(" ".join(words), positive)


def corpus(count: int, seed: int) -> list[Review]:
    rng = random.Random(seed)
    return [review(i % 2 == 0, rng) for i in range(count)]


def write(folder: Path, split: str, reviews: list[Review]) -> None:
    rows = [{"text": r.text, "label": "pos" if r.positive else "neg"} for r in reviews]
    with gzip.open(folder / f"{split}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("kind", [LinearJudge, BagOfVectorsJudge])
def test_a_judge_tells_praise_from_blame(kind: type[LinearJudge] | type[BagOfVectorsJudge]) -> None:
    judge = kind(corpus(300, 0))
    praise, blame = judge.scores(["a wonderful and moving story", "a boring and clumsy story"])
    assert praise > 0 > blame
    assert list(judge.scores(["", "zzz"])) == list(judge.scores(["", "zzz"]))


def test_both_judges_are_trained_and_examined(tmp_path: Path) -> None:
    write(tmp_path, "train", corpus(120, 0))
    write(tmp_path, "test", corpus(40, 1))
    judges = train_judges(tmp_path)
    assert judges.labels.name != judges.evaluates.name
    assert min(judges.accuracy.values()) >= 0.85


def test_a_judge_who_is_too_often_wrong_refuses(tmp_path: Path) -> None:
    write(tmp_path, "train", corpus(80, 0))
    write(tmp_path, "test", [Review(r.text, not r.positive) for r in corpus(40, 1)])
    with pytest.raises(UsageError, match=r"is right about \d+\.\d% of the test reviews .* at least 85% are needed"):
        train_judges(tmp_path)


def test_missing_reviews_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give their folder with --imdb"):
        read_reviews(tmp_path, "train")


def test_excerpts_keep_their_reviews_label() -> None:
    made = with_excerpts(corpus(4, 0), each=2)
    assert len(made) == 12
    assert [one.positive for one in made[4:]] == [one.positive for one in corpus(4, 0) for _ in range(2)]
    assert all(40 <= len(one.text.split()) <= 80 for one in made[4:])


def test_tastes_follow_the_judge() -> None:
    texts = ["a wonderful and moving story", "a story", "a boring and clumsy story"]
    judge = LinearJudge(corpus(120, 0))
    for taste, likes in (("positive", 0), ("neutral", 1), ("negative", 2)):
        liked = liking(judge, taste, texts)
        assert liked.index(max(liked)) == likes

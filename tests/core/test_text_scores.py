"""What is counted in a text, on sentences that are counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core import text_scores as scores

LETTER = "Dear Ann,\n\nI think we should go. Maybe you could call me? Bring:\n- bread\n- wine\n\nDon't be late!"


@pytest.mark.parametrize(
    ("score", "text", "expected"),
    [
        (scores.share(scores.FIRST_PERSON), "I like my tea", 2 / 4),
        (scores.share(scores.SECOND_PERSON), "Your tea, you said", 2 / 4),
        (scores.per_sentence("?"), "Is it? It is.", 1 / 2),
        (scores.per_sentence("!"), "no end", 0.0),
        (scores.word_length, "a bb ccc", 2.0),
        (scores.sentence_length, "One two three. Four.", 2.0),
        (scores.contractions, "I'm here, don't go", 2 / 4),
        (scores.greeting, LETTER, 1.0),
        (scores.greeting, "  hello there", 1.0),
        (scores.greeting, "Hidden words", 0.0),
        (scores.greeting, "It is dear", 0.0),
        (scores.imperatives, "Call me. I am here. Bring bread!", 2 / 3),
        (scores.list_items, LETTER, 2.0),
        (scores.list_items, "1. one\n2) two\n3 three", 2.0),
        (scores.share(scores.HEDGES), "maybe I think so", 2 / 4),
    ],
)
def test_scores(score: Callable[[str], float], text: str, expected: float) -> None:
    assert score(text) == pytest.approx(expected)


def test_sentiment_knows_good_from_bad() -> None:
    assert scores.sentiment("What a wonderful, happy day") > 0.5 > -0.5 > scores.sentiment("A terrible, awful mess")


@pytest.mark.parametrize(
    "score",
    [scores.word_length, scores.sentence_length, scores.contractions, scores.greeting, scores.imperatives,
     scores.list_items, scores.sentiment, scores.per_sentence("!"), scores.share(scores.HEDGES)],
)  # fmt: skip
def test_nothing_scores_nothing(score: Callable[[str], float]) -> None:
    assert score("") == 0

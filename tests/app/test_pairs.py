"""`penpal pairs list`: everything that was answered, and why some of it is not learned from."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from core.store import Store
from tests.app.conftest import Result, answer, picks
from tests.scripted_text_encoder import ScriptedTextEncoder

Run = Callable[..., Result]


def test_every_answer_is_listed_with_its_weight_and_reason_the_newest_first(penpal: Run, store: Store) -> None:
    answer(store, "Write a mail.", texts=("Dear Ann!", "Dear\n\x1b[2J Bob."))
    answer(store, "Who won?", note="wrong fact")
    answer(store, "Rewrite it.", answer="tie", texts=("One way that is quite long, in fact.", "Other."))
    found = penpal("pairs", "list")
    assert (found.code, found.err) == (0, "")
    day = store.acts(1)[0].created_utc[:10]
    *table, total = found.out.splitlines()
    assert [re.split(r" {2,}", line.strip()) for line in table] == [
        ["act", "day", "answer", "kind", "weight", "reason", "chosen | rejected"],
        ["3", day, "tie", "rewriting", "0.50", "as good as each other", "One way that is quite long, i… | Other."],
        [
            "2", day, "pick", "other", "0.00", "a wrong fact, not a question of style",
            "How lovely, Who won? indeed! | No, Who won? again.",
        ],
        ["1", day, "pick", "mail", "1.00", "you picked it", "Dear Ann! | Dear [2J Bob."],
    ]  # fmt: skip
    assert len({line.index(text) for line, text in zip(table, ("chosen", "One", "How", "Dear"), strict=True)}) == 1
    assert total == "3 answers, 1 of them left out."


def test_pairs_that_the_encoder_cannot_tell_apart_are_listed_as_left_out(
    penpal: Run, store: Store, text_encoder: ScriptedTextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        text_encoder, "_mean", lambda text: 0 * ScriptedTextEncoder(text_encoder.latent_size)._mean(text)
    )
    answer(store, "Thing")
    (row,) = penpal("pairs", "list", "--json").json
    assert (row["weight"], row["reason"]) == (0, "too alike to learn from")
    assert penpal("pairs", "list").out.endswith("1 answer, 1 of them left out.\n")


def test_json_has_the_whole_texts(penpal: Run, store: Store) -> None:
    long = "A long text! " * 50
    act_id = answer(store, "Thing", texts=(long, "Short."), context="my diary")
    (row,) = penpal("pairs", "list", "--json").json
    assert row == {
        "act_id": act_id,
        "turn_id": 1,
        "created_utc": store.acts(1)[0].created_utc,
        "source": "pick",
        "context": "my diary",
        "weight": 1,
        "reason": "you picked it",
        "tie": False,
        "messages": [{"role": "user", "content": "Thing"}],
        "chosen": long,
        "rejected": "Short.",
    }


def test_a_single_mark_has_one_text(penpal: Run, store: Store) -> None:
    answer(store, "Thing")
    store.add_act("both_bad", 1)
    rows = penpal("pairs", "list", "--json").json
    assert [(row["source"], row["chosen"]) for row in rows] == [("both bad", None)] * 2
    assert "- | No, Thing again." in penpal("pairs", "list").out


def test_only_one_kind_of_writing_or_of_answer_when_asked(penpal: Run, store: Store) -> None:
    picks(store, 2)
    answer(store, "Write a mail.")
    answer(store, "Thing", answer="tie")
    answer(store, "Other thing")
    store.add_act("both_bad", 5)
    listed = {
        name: len(penpal("pairs", "list", *arguments, "--json").json)
        for name, arguments in {
            "all": [],
            "mail": ["--context", " Mail"],
            "tie": ["--source", "tie"],
            "bad": ["--source", "both-bad"],
            "none": ["--context", "mail", "--source", "tie"],
        }.items()
    }
    assert listed == {"all": 6, "mail": 1, "tie": 1, "bad": 2, "none": 0}
    assert penpal("pairs", "list", "--source", "edit").out == "0 answers, 0 of them left out.\n"


def test_the_newest_fifty_are_shown_unless_asked_otherwise(penpal: Run, store: Store) -> None:
    picks(store, 52)
    assert len(penpal("pairs", "list", "--json").json) == 50
    assert len(penpal("pairs", "list", "--all", "--json").json) == 52
    shown = penpal("pairs", "list", "--limit", 2).out.splitlines()
    assert [line.split()[0] for line in shown[:-1]] == ["act", "52", "51"]
    assert shown[-1] == "52 answers, 0 of them left out. Shown are the newest 2; --all shows all."


def test_answers_about_drafts_of_another_backbone_are_listed_and_not_learned(penpal: Run, store: Store) -> None:
    answer(store, "Thing")
    answer(store, "Old thing", backbone_id="d" * 64)
    first, second = penpal("pairs", "list", "--json").json
    assert (first["act_id"], first["weight"], first["reason"]) == (2, 0, "drafts of another backbone")
    assert second["weight"] == 1


def test_the_order_is_that_of_the_answers_when_the_clock_went_backwards(
    penpal: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("2026-11-20", "2026-11-18", "2026-11-19"):
        monkeypatch.setattr("core.database.now_utc", lambda day=day: f"{day}T10:00:00.000+00:00")
        answer(store, f"Thing of {day}")
    rows = penpal("pairs", "list", "--json").json
    assert [(row["act_id"], row["created_utc"][:10]) for row in rows] == [
        (3, "2026-11-19"),
        (2, "2026-11-18"),
        (1, "2026-11-20"),
    ]


def test_nothing_answered_is_no_error(penpal: Run) -> None:
    assert penpal("pairs", "list") == Result(0, "0 answers, 0 of them left out.\n", "")
    assert penpal("pairs", "list", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--all", "--limit", "3"], "--all and --limit do not go together."),
        (
            ["--source", "guess"],
            "There is no kind of answer 'guess': choose pick, repeat, edit, merge, redo, star, tie, both bad.",
        ),
    ],
)
def test_what_cannot_be_listed_is_one_clear_line(penpal: Run, arguments: list[str], told: str) -> None:
    assert penpal("pairs", "list", *arguments) == Result(2, "", f"penpal: {told}\n")

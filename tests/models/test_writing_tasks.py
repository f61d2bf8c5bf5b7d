"""The prompts CLaP is trained and measured on: always the same, all different, and no topic on both sides."""

from __future__ import annotations

import pytest

from models.writing_tasks import (
    ABOUT_A_TEXT,
    AUDIENCES,
    FOLLOW_UPS,
    HELD_OUT_FOLLOW_UPS,
    HELD_OUT_TOPICS,
    STYLE_HINTS,
    TASKS,
    TOPICS,
    Split,
    next_task,
    styled,
    writing_tasks,
)

SPLITS: tuple[Split, ...] = ("train", "held_out")


@pytest.mark.parametrize("split", SPLITS)
def test_a_seed_gives_one_order_and_another_seed_another(split: Split) -> None:
    assert writing_tasks(split, seed=1) == writing_tasks(split, seed=1)
    assert writing_tasks(split, seed=1) != writing_tasks(split, seed=2)
    assert sorted(writing_tasks(split, seed=1)) == sorted(writing_tasks(split, seed=2))


def test_the_order_is_the_one_that_the_released_clap_was_trained_on() -> None:
    """Held-out numbers only compare when the prompts are these on every machine and Python."""
    assert writing_tasks("train", seed=1, limit=2) == EXPECTED["train"]
    assert writing_tasks("held_out", seed=1, limit=2) == EXPECTED["held_out"]


@pytest.mark.parametrize("split", SPLITS)
def test_prompts_are_distinct_and_whole(split: Split) -> None:
    prompts = writing_tasks(split)
    assert len(set(prompts)) == len(prompts) > 5000
    assert not any("{" in prompt or "  " in prompt for prompt in prompts)


def test_a_limit_takes_the_first_ones() -> None:
    assert writing_tasks("train", limit=10) == writing_tasks("train")[:10]
    assert writing_tasks("train", limit=0) == []


def test_splits_share_no_prompt_and_no_topic() -> None:
    assert not set(writing_tasks("train")) & set(writing_tasks("held_out"))
    assert not set(TOPICS) & set(HELD_OUT_TOPICS)
    train, held_out = ("\n".join(writing_tasks(split)) for split in SPLITS)
    assert [topic for topic in HELD_OUT_TOPICS if topic in train] == []
    assert [topic for topic in TOPICS if topic in held_out] == []


@pytest.mark.parametrize(
    "values",
    [TASKS, AUDIENCES, TOPICS, HELD_OUT_TOPICS, STYLE_HINTS, FOLLOW_UPS, HELD_OUT_FOLLOW_UPS, ABOUT_A_TEXT],
)
def test_no_list_repeats_itself(values: tuple[str, ...]) -> None:
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("split", SPLITS)
def test_the_next_task_is_a_second_turn_or_has_the_text_pasted_in(split: Split) -> None:
    tasks = [next_task(split, f"Write {i}", f"Dear {i}", seed=0) for i in range(60)]
    turns = [task for task in tasks if len(task) == 3]
    assert 15 < len(turns) < 45
    for i, task in enumerate(tasks):
        assert task == next_task(split, f"Write {i}", f"Dear {i}", seed=0)
        assert task[-1].role == "user"
        if len(task) == 3:
            assert [m.content for m in task[:2]] == [f"Write {i}", f"Dear {i}"]
            assert task[2].content in (FOLLOW_UPS if split == "train" else HELD_OUT_FOLLOW_UPS)
        else:
            assert task[0].content.endswith(f"\n\nDear {i}")


def test_a_styled_prompt_begins_with_the_bare_one() -> None:
    assert styled("Write a note.", "Be brief.") == "Write a note. Be brief."


EXPECTED = {
    "train": [
        "Draft an announcement to a close friend about the price increase.",
        "Write the first lines of a letter to my brother about a rainy weekend.",
    ],
    "held_out": [
        "Invite my grandmother to talk about the swimming pool.",
        "Apologise to a professor because of a puppy.",
    ],
}

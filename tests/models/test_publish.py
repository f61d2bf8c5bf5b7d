"""The stages of a publisher on the tiny backbone: each resumes, refuses what does not belong, hands on to the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import UsageError
from core.protocols import Message
from models import publish
from models.backbone import Backbone
from models.checkpoint import read_arrays
from models.pretrain import PretrainConfig
from models.publish import SampleConfig
from tests import tiny

SAMPLES = SampleConfig(prompts=10, further=4, plain=3, hinted=1, max_tokens=8)
TRAINING = PretrainConfig(
    latent_size=tiny.LATENT_SIZE, adapter_width=16, response_tokens=(6,), warm_steps=2, warm_prompts=4, steps=4
)
OWN = [[Message("text", "I miss our walks")], [Message("user", "the garden")]]


def say_nothing(line: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def folder(tiny_backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("publisher")
    publish.sample(tiny_backbone, folder, SAMPLES, own=OWN, report=say_nothing)
    return folder


def test_tasks_own_prompts_and_further_ones_are_sampled_once(
    tiny_backbone: Backbone, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "open_sampler", None)  # nothing is missing, so nothing is opened
    rows = publish.sample(tiny_backbone, folder, SAMPLES, own=OWN, report=say_nothing)
    assert len(rows) == 10 + 2 + 4
    assert [list(row.messages) for row in rows[10:12]] == OWN
    pasted = [row.messages[0].content for row in rows[12:] if len(row.messages) == 1]
    second_turns = [row.messages for row in rows[12:] if len(row.messages) == 3]
    assert len(pasted) + len(second_turns) == 4
    assert all(turn[0].content in {row.messages[0].content for row in rows[:10]} for turn in second_turns)
    assert all(len(y) <= 8 for row in rows for y in row.responses)


def test_what_a_killed_run_left_is_gone_on_with(tiny_backbone: Backbone, folder: Path, tmp_path: Path) -> None:
    publish.sample(tiny_backbone, tmp_path, SAMPLES, own=OWN, report=say_nothing)
    for shard in (tmp_path / publish.FURTHER_SHARDS).iterdir():
        shard.unlink()
    again = publish.sample(tiny_backbone, tmp_path, SAMPLES, own=OWN, report=say_nothing)
    assert again == publish.sample(tiny_backbone, folder, SAMPLES, own=OWN, report=say_nothing)


@pytest.mark.parametrize("change", [{"seed": 2}, {"max_tokens": 9}])
def test_a_folder_of_other_settings_or_prompts_is_refused(
    tiny_backbone: Backbone, folder: Path, change: dict[str, int]
) -> None:
    with pytest.raises(UsageError, match="other settings"):
        publish.sample(tiny_backbone, folder, replace(SAMPLES, **change), own=OWN, report=say_nothing)
    with pytest.raises(UsageError, match="other settings"):
        publish.sample(tiny_backbone, folder, SAMPLES, own=OWN[:1], report=say_nothing)


def test_nothing_to_sample_and_nothing_to_train_on_are_said(tiny_backbone: Backbone, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prompt to sample"):
        publish.sample(tiny_backbone, tmp_path, replace(SAMPLES, prompts=0), report=say_nothing)
    with pytest.raises(UsageError, match="backbone sample --out"):
        publish.train(tiny_backbone, tmp_path, TRAINING, report=say_nothing)


def test_what_is_trained_and_published_carries_its_parity_reference(tiny_backbone: Backbone, folder: Path) -> None:
    trained = publish.train(tiny_backbone, folder, TRAINING, at_once=2, report=say_nothing)
    path = publish.with_parity(tiny_backbone, trained, folder / publish.PUBLISHED)
    arrays, about = read_arrays(path)
    assert about["backbone"] == tiny_backbone.id
    assert about["config"]["steps"] == 4
    assert {name.split(".")[0] for name in arrays} == {"encoder", "adapter", "parity"}

"""CLaP training on the tiny backbone: it learns, it survives `kill -9` bit by bit, and it stops on nonsense."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import BackboneError, UsageError
from core.protocols import Message
from models import clap, pretrain
from models.checkpoint import read_arrays
from models.pretrain import PretrainConfig
from models.sampling import PromptResponses
from tests import tiny

CONFIG = PretrainConfig(
    latent_size=tiny.LATENT_SIZE,
    adapter_width=16,
    response_tokens=(5, 8),
    warm_steps=10,
    warm_prompts=4,
    steps=16,
    accumulate=2,
    encoder_rate=1e-3,
    adapter_rate=1e-2,
    recent_prompts=3,
)
ABOUT = {"backbone": "tiny"}


def rows(count: int = 9) -> list[PromptResponses]:
    """Four responses a prompt, each in words of its own: easy to tell apart."""
    random = np.random.default_rng(0)
    return [
        PromptResponses(
            (Message("user", f"prompt {i}"),),
            [1, *random.integers(20, 300, 6).tolist(), 14],
            [""] * 4,
            [random.integers(20 + 60 * k, 40 + 60 * k, 10).tolist() for k in range(4)],
        )
        for i in range(count)
    ]


def train(
    folder: Path, config: PretrainConfig = CONFIG, data: Sequence[PromptResponses] | None = None, *, at_once: int = 1
) -> Path:
    return pretrain.pretrain(
        tiny.tiny_lm(),
        rows() if data is None else data,
        folder,
        config,
        about=ABOUT,
        report=lambda line: None,
        checkpoint_every_s=0,
        at_once=at_once,
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    train(folder)
    return folder


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_loss_goes_down_and_latents_tell_responses_apart(tmp_path: Path) -> None:
    train(tmp_path, replace(CONFIG, steps=100, warm_steps=40, kld_weight=(0.01, 0.1)))
    steps = log(tmp_path)
    for name in ("nll_per_token", "contrastive"):
        first, last = (np.mean([step[name] for step in part]) for part in (steps[:20], steps[-20:]))
        assert last < 0.9 * first, name
    assert np.mean([step["accuracy"] for step in steps[-20:]]) > 0.85


def test_the_result_is_small_fp16_and_says_what_it_is(uninterrupted: Path) -> None:
    arrays, about = read_arrays(uninterrupted / "clap.safetensors")
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    assert {name.split(".")[0] for name in arrays} == {"encoder", "adapter"}
    assert not any("embed" in name for name in arrays)
    assert about["backbone"] == "tiny"
    assert (about["prompts"], about["format"], about["latent_positions"]) == (9, 1, 4)
    assert about["config"]["steps"] == CONFIG.steps


KILLED = """
import os, signal, stat, sys
from pathlib import Path
from tests.models import test_pretrain as t

saves = iter(range(100))
def fsync(file):
    if stat.S_ISREG(os.fstat(file).st_mode) and next(saves) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = fsync
t.train(Path(sys.argv[1]))
"""


def test_after_kill_9_in_the_middle_of_a_checkpoint_the_weights_are_bit_equal(
    uninterrupted: Path, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".checkpoint.pt.*.partial")), "it died while it wrote"
    assert pretrain.read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 6
    train(tmp_path)
    assert_same_weights(tmp_path, uninterrupted)


def assert_same_weights(folder: Path, other: Path) -> None:
    (arrays, _), (expected, _) = (read_arrays(f / "clap.safetensors") for f in (folder, other))
    assert set(arrays) == set(expected)
    assert all(arrays[name].tobytes() == expected[name].tobytes() for name in expected)
    one, two = (pretrain.read_checkpoint(f / "checkpoint.pt") for f in (folder, other))
    for part in ("encoder", "adapter"):
        assert all(torch.equal(one[part][name], two[part][name]) for name in two[part])
    assert log(folder) == log(other)


@pytest.mark.parametrize("at", [0, 1, 7])
def test_interrupted_at_any_step_it_goes_on_as_if_nothing_had_been(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    losses = pretrain.step_losses

    def interrupted(
        state: pretrain.TrainingState, lm: Any, drawn: Sequence[pretrain.Drawn], config: PretrainConfig
    ) -> list[pretrain.StepLosses]:
        if any(d.step == at for d in drawn):
            raise KeyboardInterrupt
        return losses(state, lm, drawn, config)

    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "step_losses", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    train(tmp_path)
    assert_same_weights(tmp_path, uninterrupted)


def assert_nearly_the_same(folder: Path, other: Path) -> None:
    """Within 1e-4, as rounding allows: weights and losses of every step."""
    one, two = (pretrain.read_checkpoint(f / "checkpoint.pt") for f in (folder, other))
    for part in ("encoder", "adapter"):
        for name in two[part]:
            torch.testing.assert_close(one[part][name], two[part][name], atol=1e-4, rtol=1e-4, msg=f"{part}.{name}")
    for row, expected in zip(log(folder), log(other), strict=True):
        assert row == pytest.approx(expected, abs=1e-3, rel=1e-4)


def test_several_prompts_at_once_change_nothing_but_rounding(uninterrupted: Path, tmp_path: Path) -> None:
    train(tmp_path, at_once=2)
    assert_nearly_the_same(tmp_path, uninterrupted)


def launched(folder: Path, *arguments: str) -> None:
    """`accelerate launch` with two processes on this machine."""
    root = Path(__file__).parents[2]
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    ports = ["--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"]
    program = [*launch, *ports, "-m", "tests.models.test_pretrain", str(folder), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(program, cwd=root, env=environment, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_share_the_prompts_and_end_where_one_does(uninterrupted: Path, tmp_path: Path) -> None:
    launched(tmp_path)
    assert_nearly_the_same(tmp_path, uninterrupted)


@pytest.mark.parametrize(
    "change",
    [
        {"negatives": 3},
        {"kl": "standard"},
        {"contrastive_weight": 0.0},
        {"warm_start": "none"},
        {"warm_start": "skip connection"},
        {"latent_place": "before prompt"},
    ],
    ids=str,
)
def test_every_ablation_trains_and_is_another_run(uninterrupted: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    train(tmp_path, replace(CONFIG, **change))
    steps = log(tmp_path)
    assert len(steps) == CONFIG.steps
    assert steps != log(uninterrupted)
    arrays, about = read_arrays(tmp_path / "clap.safetensors")
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert {name: about["config"][name] for name in change} == change


def test_all_negatives_are_the_other_responses_of_the_prompt() -> None:
    config = replace(CONFIG, negatives=3)
    drawn = [pretrain.draw(rows(), step, config) for step in range(9)]
    assert all(sorted(d.shifts) == [1, 2, 3] for d in drawn)
    assert {len(pretrain.draw(rows(), step, CONFIG).shifts) for step in range(9)} == {1}


def test_a_finished_run_trains_no_further(uninterrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain, "step_losses", None)
    before = (uninterrupted / "clap.safetensors").read_bytes()
    assert train(uninterrupted).read_bytes() == before


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(
    tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    likelihood, calls = clap.response_log_likelihood, iter(range(1000))

    def broken(*arguments: Any) -> torch.Tensor:
        return likelihood(*arguments) * (float("nan") if next(calls) == 5 else 1)

    with monkeypatch.context() as patch:
        patch.setattr(clap, "response_log_likelihood", broken)
        with pytest.raises(BackboneError, match="not a number at step 5"):
            train(tmp_path)
    stored = pretrain.read_checkpoint(tmp_path / "checkpoint.pt")
    assert stored["step"] == 4
    assert all(weight.isfinite().all() for weight in stored["encoder"].values())
    train(tmp_path)
    assert_same_weights(tmp_path, uninterrupted)


def test_a_folder_of_other_settings_is_refused(uninterrupted: Path) -> None:
    with pytest.raises(UsageError, match="other settings"):
        train(uninterrupted, replace(CONFIG, seed=1))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    for rubbish in (b"", b"PK\x03\x04 half a zip", b"no zip at all"):
        (tmp_path / "checkpoint.pt").write_bytes(rubbish)
        with pytest.raises(BackboneError, match=r"checkpoint\.pt is damaged"):
            train(tmp_path)


def test_too_few_prompts_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    lone = [replace(row, responses=row.responses[:1]) for row in rows(20)]
    with pytest.raises(UsageError, match="Only 7 prompts with 4 different responses"):
        train(tmp_path / "new", data=[*rows(7), *lone])
    assert not (tmp_path / "new").exists()


def test_responses_that_start_alike_do_not_stop_the_training(tmp_path: Path) -> None:
    """Cut to a drawn length the four may be one and the same."""
    alike = [replace(row, responses=[[9] * 8 + [k] for k in range(4)]) for row in rows(4)]
    train(tmp_path, replace(CONFIG, steps=9), [*rows(5), *alike])


def test_an_epoch_is_a_permutation_that_the_seed_decides() -> None:
    assert sorted(pretrain.epoch_order(20, 3, 0)) == list(range(20))
    assert pretrain.epoch_order(20, 3, 0) == pretrain.epoch_order(20, 3, 0)
    assert len({tuple(pretrain.epoch_order(20, e, s)) for e in range(3) for s in range(3)}) == 9


def test_learning_rate_warms_up_and_then_falls_to_a_twentieth() -> None:
    config = replace(CONFIG, steps=1000)
    scale = [pretrain.learning_rate_scale(step, config) for step in (0, 29, 60, 500, 1000)]
    assert scale == pytest.approx([1 / 60, 0.5, 0.943, 0.525, 0.05])


def test_the_kld_weight_rises_late() -> None:
    config = replace(CONFIG, steps=100, kld_weight=(0.05, 1.0), kld_ramp=(0.2, 0.6))
    assert [pretrain.kld_weight(s, config) for s in (0, 20, 40, 60, 99)] == pytest.approx([0.05, 0.05, 0.525, 1, 1])


if __name__ == "__main__":
    train(Path(sys.argv[1]))

"""Which device computes what, and what would make it faster: on machines with a GPU and without."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import cast

import pytest

import app.devices
import models.llama_runtime
import models.onnx_encoder
import models.personal_layers
from app.devices import Task, tasks, ways_to_be_faster, why_drafts
from app.wiring import PenPal
from models.onnx_encoder import CPU, CUDA, Provider


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(models.llama_runtime, "cpu_threads", lambda: 4)


def machine(monkeypatch: pytest.MonkeyPatch, *, gpu: bool, built_for_it: bool, gpu_layers: int | None = None) -> PenPal:
    """A PenPal on a machine with or without a GPU, and libraries that are built for it or not."""
    uses = "cuda" if gpu and built_for_it else "cpu"
    provider = Provider(CUDA if uses == "cuda" else CPU, "as made up")
    place = SimpleNamespace(device=SimpleNamespace(type=uses), why="as made up")
    monkeypatch.setattr(app.devices, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(models.llama_runtime, "offloads_to_gpu", lambda: gpu and built_for_it)
    monkeypatch.setattr(models.onnx_encoder, "available_provider", lambda: provider)
    monkeypatch.setattr(models.personal_layers, "placement", lambda device: place)
    settings, decoder = SimpleNamespace(gpu_layers=gpu_layers), SimpleNamespace(device="llama.cpp on a machine")
    return cast(PenPal, SimpleNamespace(settings=settings, decoder=decoder))


def advice(penpal: PenPal) -> list[str]:
    return list(ways_to_be_faster(penpal, "0.3.36"))


def test_an_unused_gpu_is_named_with_the_command_that_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = advice(machine(monkeypatch, gpu=True, built_for_it=False))
    assert len(said) == 3
    assert "GGML_CUDA=on" in said[0]
    assert "llama-cpp-python==0.3.36" in said[0]
    assert "onnxruntime-gpu" in said[1]
    assert "torch" in said[2]


def test_a_used_gpu_leaves_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    penpal = machine(monkeypatch, gpu=True, built_for_it=True)
    assert advice(penpal) == []
    assert tasks(penpal)[0] == Task("drafts", "llama.cpp on a machine", "llama.cpp finds a GPU")
    assert {task.name: task.device for task in tasks(penpal)}["ONNX exports"] == CUDA


def test_a_setting_that_slows_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    [said] = advice(machine(monkeypatch, gpu=True, built_for_it=True, gpu_layers=4))
    assert "'gpu_layers'" in said
    assert why_drafts(4, offloads=True) == "gpu_layers is 4 in config.toml"


def test_without_a_gpu_it_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    [said] = advice(machine(monkeypatch, gpu=False, built_for_it=False))
    assert "a GPU, or a smaller backbone" in said
    monkeypatch.setattr(models.llama_runtime, "cpu_threads", lambda: 1)
    assert "may use 1 of 4" in advice(machine(monkeypatch, gpu=False, built_for_it=False))[0]

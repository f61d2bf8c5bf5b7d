"""Which device computes what on this machine, why it and no other, and what would make it faster."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.protocols import Message

if TYPE_CHECKING:
    from app.wiring import PenPal

TEXTS_TIMED = 8
_TEXT = "The garden is yours as long as we are away, and thank you for looking after the dog. " * 3
LLAMA_WITH_CUDA = (
    "CMAKE_ARGS=-DGGML_CUDA=on pip install --force-reinstall --no-deps --no-binary llama-cpp-python "
    "llama-cpp-python=={version}"
)


@dataclass(frozen=True)
class Task:
    """One kind of work and what does it."""

    name: str
    device: str
    why: str


def has_nvidia_gpu() -> bool:
    """Whether this machine has one, as its driver says."""
    return os.path.exists("/dev/nvidia0") or shutil.which("nvidia-smi") is not None


def tasks(penpal: PenPal) -> list[Task]:
    """All kinds, in the order in which a person meets them. Imports torch, which takes two seconds."""
    from models.onnx_encoder import available_provider
    from models.personal_layers import placement

    provider, place = available_provider(), placement("auto")
    return [
        Task("drafts", penpal.decoder.device, why_drafts(penpal.settings.gpu_layers, offloads=_offloads())),
        Task("reading texts", "NumPy on one CPU thread", "two layers are done before a GPU has got the texts"),
        Task("learning", "NumPy on one CPU thread", "the shift that fits is found in a few steps"),
        Task("layers of your own", "torch", place.why),
        Task("ONNX exports", provider.name, provider.why),
    ]


def why_drafts(gpu_layers: int | None, *, offloads: bool) -> str:
    """`gpu_layers`: as set; `offloads`: whether llama.cpp was built for a GPU and finds one."""
    if not offloads:
        return "this llama.cpp was built for processors, or finds no GPU"
    if gpu_layers is None:
        return "llama.cpp finds a GPU"
    return f"gpu_layers is {gpu_layers} in config.toml"


def ways_to_be_faster(penpal: PenPal, version: str) -> Iterator[str]:
    """What would make it faster, to be read after 'faster with'. `version`: of llama-cpp-python."""
    from models.llama_runtime import cpu_threads
    from models.onnx_encoder import CUDA, available_provider
    from models.personal_layers import placement

    cores = os.cpu_count() or 1
    if (threads := cpu_threads()) < cores:
        yield f"all cores: PenPal may use {threads} of {cores}, because of what starts it (taskset, a container)"
    if has_nvidia_gpu():
        if not _offloads():
            yield f"the NVIDIA GPU, which this llama.cpp does not use: {LLAMA_WITH_CUDA.format(version=version)}"
        elif penpal.settings.gpu_layers is not None:
            yield "all of the backbone's layers on the GPU: take 'gpu_layers' out of config.toml"
        if available_provider().name != CUDA:
            yield "ONNX exports on the GPU: pip install --no-deps --force-reinstall onnxruntime-gpu"
        if placement("auto").device.type != "cuda":
            yield "layers of your own on the GPU: this torch knows no CUDA, pytorch.org has one that does"
    elif not _offloads():
        yield "a GPU, or a smaller backbone: llama.cpp has all the cores that it may use"


def reading_speed(penpal: PenPal) -> float:
    """Texts of about 60 tokens a second, by the encoder that learning reads drafts with."""
    encoder = penpal.text_encoder
    texts = [([Message("user", f"Number {i}")], _TEXT) for i in range(TEXTS_TIMED)]
    started = time.perf_counter()
    encoder.posteriors(texts)
    return TEXTS_TIMED / max(time.perf_counter() - started, 1e-9)


def _offloads() -> bool:
    from models.llama_runtime import offloads_to_gpu

    return offloads_to_gpu()

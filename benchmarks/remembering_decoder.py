"""A decoder that writes each draft once: people who ask for the same draft of the same latent share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.protocols import Chunk, DraftRequest, Latent, Likelihood, Message, Sampling
from models.decoder_llama import LlamaDecoder


class RememberingDecoder:
    """Wraps a decoder. What comes back is what the decoder wrote; only the time it took is not repeated."""

    def __init__(self, decoder: LlamaDecoder) -> None:
        self._decoder = decoder
        self._drafts: dict[object, list[Chunk]] = {}
        self._likelihoods: dict[object, Likelihood] = {}
        self.backbone_id, self.device, self.has_latents = decoder.backbone_id, decoder.device, decoder.has_latents
        self.room_tokens, self.count_tokens, self.close = decoder.room_tokens, decoder.count_tokens, decoder.close

    def warm(self, messages: Sequence[Message], *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        """As the decoder."""
        return self._decoder.warm(messages, cancelled=cancelled)

    def generate(
        self,
        messages: Sequence[Message],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        """As the decoder, from memory the second time. Not for drafts that are cancelled."""
        latents = tuple((r.seed, None if r.z is None else r.z.tobytes()) for r in requests)
        key = (tuple(messages), latents, sampling)
        if key not in self._drafts:
            self._drafts[key] = list(self._decoder.generate(messages, requests, sampling))
        yield from self._drafts[key]

    def log_probs(self, messages: Sequence[Message], response: str, z: Latent | None) -> NDArray[np.float32]:
        """As the decoder."""
        return self._decoder.log_probs(messages, response, z)

    def likelihood(self, messages: Sequence[Message], response: str, z: Latent | None = None) -> Likelihood:
        """As the decoder, from memory the second time."""
        key = (tuple(messages), response, None if z is None else z.tobytes())
        if key not in self._likelihoods:
            self._likelihoods[key] = self._decoder.likelihood(messages, response, z)
        return self._likelihoods[key]

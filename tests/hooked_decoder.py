"""A `Decoder` with a hook before each token, where a test presses Ctrl-C or breaks the machine. One word is one token.

`tests.scripted_decoder` is the one for screens: it can be slow, and its texts come in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import PromptTooLongError
from core.protocols import Chunk, DraftRequest, Latent, Likelihood, Message, Sampling

BACKBONE_ID = "b" * 64


class HookedDecoder:
    """Draft i of a batch is `texts[i]`; `asked` holds every conversation with its requests."""

    backbone_id = BACKBONE_ID
    device = "a script"
    has_latents = True

    def __init__(self) -> None:
        self.texts = ["A warm and friendly draft.", "A dry one."]
        self.room = 1000
        self.before_token: Callable[[int], None] = lambda number: None
        self.asked: list[tuple[list[Message], list[DraftRequest]]] = []
        self.warmed: list[list[Message]] = []
        self.closed = False

    def room_tokens(self, sampling: Sampling) -> int:
        return self.room

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def warm(self, messages: Sequence[Message], *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        self.warmed.append(list(messages))
        return True

    def generate(
        self,
        messages: Sequence[Message],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        tokens = self.count_tokens(messages)
        if tokens > self.room:
            raise PromptTooLongError("too long", tokens=tokens, room_tokens=self.room)
        self.asked.append((list(messages), list(requests)))
        on_prefill(tokens, tokens)
        drafts = [self.texts[i % len(self.texts)].split(" ") for i in range(len(requests))]
        for number in range(max(map(len, drafts))):
            self.before_token(number)
            for i, words in enumerate(drafts):
                if number >= len(words):
                    continue
                if cancelled():
                    words.clear()
                    yield Chunk(i, "", number, "cancelled")
                    continue
                text = words[number] if number == 0 else " " + words[number]
                yield Chunk(i, text, number + 1, "stop" if number + 1 == len(words) else "")

    def log_probs(self, messages: Sequence[Message], response: str, z: Latent | None) -> NDArray[np.float32]:
        return np.full((len(response.split()), 2), np.log(0.5), np.float32)

    def likelihood(self, messages: Sequence[Message], response: str, z: Latent | None = None) -> Likelihood:
        words = len(response.split())
        return Likelihood(words * float(np.log(2)), words)

    def close(self) -> None:
        self.closed = True

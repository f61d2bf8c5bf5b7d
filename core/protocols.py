"""What the core needs from models: a decoder that drafts, a personal encoder that leans; values only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Latent = NDArray[np.float32]
"""[D] float32: one point of the latent space."""

Finish = Literal["", "stop", "length", "cancelled"]
"""Why a draft ended; empty while it goes on."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation as the backbone's chat template takes it."""

    role: Literal["system", "user", "assistant", "text"]
    """'text' stands alone: it is no conversation, and the backbone continues it as it is."""
    content: str


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn from the decoder's distribution."""

    temperature: float = 0.8
    """0 takes the most probable token."""
    top_p: float = 0.95
    min_p: float = 0.05
    max_tokens: int = 160
    stop: tuple[str, ...] = ()
    """Texts that end a draft; they are not part of it."""


@dataclass(frozen=True)
class DraftRequest:
    """One draft of a batch. Without a latent it comes from the untouched backbone."""

    seed: int
    z: Latent | None = None


@dataclass(frozen=True)
class Chunk:
    """Text that one draft of a batch has grown by."""

    draft: int
    """Index of the request in the batch."""
    text: str
    tokens: int
    """Tokens of this draft so far."""
    finish: Finish = ""


@dataclass(frozen=True)
class Likelihood:
    """How probable a text is: summed negative log-likelihood in nats, over so many tokens."""

    nll: float
    tokens: int


class Decoder(Protocol):
    """Turns a conversation and latents into drafts. One caller at a time."""

    @property
    def backbone_id(self) -> str:
        """SHA-256 of the weights."""

    @property
    def device(self) -> str:
        """Where it runs, in words a person can read."""

    def room_tokens(self, sampling: Sampling) -> int:
        """How many prompt tokens fit beside a draft of `sampling.max_tokens`."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of a conversation, template included."""

    def warm(self, messages: Sequence[Message], *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        """Reads ahead a conversation whose last message is still being typed, so that its drafts start sooner.

        Gives way to every other call within one block of tokens, and does nothing for a text that does not fit.
        False when not all of it was read.
        """

    def generate(
        self,
        messages: Sequence[Message],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        """Drafts all requests in one batch after one prefill of the prompt.

        The last chunk of each draft carries its finish. `cancelled` is asked once per token.
        Raises PromptTooLongError.
        """

    def log_probs(self, messages: Sequence[Message], response: str, z: Latent | None) -> NDArray[np.float32]:
        """[T, V] float32: log-probabilities before each response token, for parity checks."""

    def likelihood(self, messages: Sequence[Message], response: str, z: Latent | None = None) -> Likelihood:
        """How probable the response is after the conversation."""

    def close(self) -> None:
        """Frees memory; the decoder is not used afterwards."""


class PersonalEncoder(Protocol):
    """p_u(z given x): where in the latent space this person's drafts lie."""

    def mean(self, messages: Sequence[Message], context: str) -> Latent:
        """[D]: the latent of a personalized draft. `context`: the kind of writing, as `core.contexts` names it."""

    def sample(self, messages: Sequence[Message], context: str, seed: int) -> Latent:
        """[D]: one draw, for two drafts that differ."""

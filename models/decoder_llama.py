"""Drafts with llama.cpp: one prompt prefill, any number of latents, all drafts decoded in one batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import LatentStateError, PromptTooLongError, UsageError
from core.protocols import Chunk, DraftRequest, Latent, Likelihood, Message, Sampling
from models.backbone import ChatTemplate
from models.draft_text import DraftText
from models.latent_kv import LatentAdapter, StateLayout
from models.llama_runtime import Entry, LlamaContext, LlamaModel, TokenSampler

MAX_DRAFTS = 8
CONTEXT_TOKENS = 4096
PREFILL_TOKENS = 16
"""Prompt tokens between two looks at `cancelled`: 35 ms on two cores, and as fast a token as larger blocks."""
SCORED_TOKENS = 128
"""Response tokens whose logits, 25 MB of them, are held at once."""
CLOSE_TIMEOUT_S = 10.0
"""A thread that holds the decoder for longer keeps its memory: the process is about to end anyway."""
PROMPT = 0
"""Sequence of the prompt. Drafts are 1 .. MAX_DRAFTS, their latents lie in the sequences after these."""


@dataclass
class _Draft:
    index: int
    sequence: int
    position: int
    token: int
    text: DraftText
    sampler: TokenSampler


class LlamaDecoder:
    """A `Decoder` over a GGUF. Latent entries are f16, restored into sequences of their own and read back."""

    def __init__(
        self,
        model: LlamaModel,
        template: ChatTemplate,
        adapter: LatentAdapter | None,
        *,
        backbone_id: str,
        context_tokens: int = CONTEXT_TOKENS,
        flash_attention: bool = True,
    ) -> None:
        """Without an adapter only drafts of the untouched backbone can be made."""
        self._model, self._template, self._adapter = model, template, adapter
        self._backbone_id = backbone_id
        self._context = LlamaContext(
            model,
            tokens=min(context_tokens, model.trained_context_tokens),
            sequences=1 + 2 * MAX_DRAFTS,
            unified=True,
            flash_attention=flash_attention,
        )
        self._lock = threading.Lock()
        """Held by whoever uses the context."""
        self._asked = threading.Lock()
        """Held besides by whoever must not wait; who only warms the cache looks at it and gives way."""
        self._closing = False
        self._prompt_ids: list[int] = []
        self._layout = state_layout(self._context, adapter.positions, 1 + MAX_DRAFTS) if adapter else None

    @property
    def backbone_id(self) -> str:
        return self._backbone_id

    @property
    def device(self) -> str:
        threads = f"{self._context.threads} CPU threads"
        if not self._model.gpu_layers:
            return f"llama.cpp on {threads}"
        return f"llama.cpp, {self._model.gpu_layers} of {self._model.layers} layers on the GPU, {threads}"

    @property
    def model(self) -> LlamaModel:
        """The loaded weights and tokenizer, which `close` frees."""
        return self._model

    @property
    def has_latents(self) -> bool:
        return self._layout is not None

    def room_tokens(self, sampling: Sampling) -> int:
        latent = self._adapter.positions if self._adapter else 0
        return self._context.tokens - MAX_DRAFTS * (sampling.max_tokens + latent + 1)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._model.count_tokens(self._template.render(messages))

    def warm(self, messages: Sequence[Message], *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        ids = self._settled_ids(messages)
        if not ids or len(ids) > self._context.tokens or not self._lock.acquire(blocking=False):
            return False
        try:
            return self._prefill(ids, lambda: self._asked.locked() or cancelled(), lambda done, total: None)
        finally:
            self._lock.release()

    def generate(
        self,
        messages: Sequence[Message],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        if not 1 <= len(requests) <= MAX_DRAFTS:
            raise UsageError(f"Between 1 and {MAX_DRAFTS} drafts can be made at once, not {len(requests)}.")
        with self._alone():
            if self._closing:
                yield from (Chunk(i, "", 0, "cancelled") for i in range(len(requests)))
                return
            ids = self._checked(messages, sampling)
            drafts: list[_Draft] = []
            try:
                if not self._prefill(ids[:-1], cancelled, on_prefill):
                    yield from (Chunk(i, "", 0, "cancelled") for i in range(len(requests)))
                    return
                for i, request in enumerate(requests):
                    sequence, position = self._branch(i, request.z, len(ids) - 1)
                    text, sampler = DraftText(sampling), TokenSampler(sampling, request.seed)
                    drafts.append(_Draft(i, sequence, position, ids[-1], text, sampler))
                yield from self._decode_all(drafts, cancelled)
            finally:
                for draft in drafts:
                    draft.sampler.close()
                self._forget_branches()

    def log_probs(self, messages: Sequence[Message], response: str, z: Latent | None) -> NDArray[np.float32]:
        with self._alone():
            return np.concatenate(list(self._scored(messages, response, z)))

    def likelihood(self, messages: Sequence[Message], response: str, z: Latent | None = None) -> Likelihood:
        ids = self._model.tokenize(response)
        if not ids:
            return Likelihood(0.0, 0)
        with self._alone():
            rows = (row for block in self._scored(messages, response, z) for row in block)
            return Likelihood(-float(sum(row[i] for row, i in zip(rows, ids, strict=True))), len(ids))

    def close(self) -> None:
        """Ends what another thread is writing, then frees the weights: llama.cpp crashes if they go while in use."""
        self._closing = True
        if self._lock.acquire(timeout=CLOSE_TIMEOUT_S):
            self._context.close()
            self._model.close()
            self._lock.release()

    # --- inner ------------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The context for one caller, at most one block of warming later."""
        with self._asked, self._lock:
            yield

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        return self._model.tokenize(self._template.render(messages))

    def _settled_ids(self, messages: Sequence[Message]) -> list[int]:
        """The tokens that stay however the last message goes on: found by trying, so any template will do."""
        *before, last = messages
        longer = Message(last.role, f"{last.content} and")
        now, then = self._ids(messages), self._ids([*before, longer])
        return now[: common_prefix(now, then)]

    def _checked(self, messages: Sequence[Message], sampling: Sampling) -> list[int]:
        ids, room = self._ids(messages), self.room_tokens(sampling)
        if len(ids) > room:
            raise PromptTooLongError(
                f"The text is too long: {len(ids)} tokens, {room} fit. Shorten it, or let PenPal cut it.",
                tokens=len(ids),
                room_tokens=room,
            )
        return ids

    def _prefill(
        self, target: list[int], cancelled: Callable[[], bool], on_prefill: Callable[[int, int], None]
    ) -> bool:
        """Brings these tokens into the cache, reusing the common start; False when cancelled."""
        known = common_prefix(target, self._prompt_ids)
        self._context.forget(PROMPT, from_position=known)
        self._prompt_ids = target[:known]
        for start in range(known, len(target), PREFILL_TOKENS):
            if cancelled() or self._closing:
                return False
            block = target[start : start + PREFILL_TOKENS]
            self._context.decode([Entry(t, start + i, PROMPT) for i, t in enumerate(block)])
            self._prompt_ids = target[: start + len(block)]
            on_prefill(start + len(block) - known, len(target) - known)
        return True

    def _branch(self, index: int, z: Latent | None, start: int) -> tuple[int, int]:
        """A sequence that sees the prompt and one latent; returns it and the position of the prompt's last token."""
        sequence = 1 + index
        self._context.share(PROMPT, sequence)
        if z is None:
            return sequence, start
        if self._adapter is None or self._layout is None:
            raise LatentStateError("This backbone has no latent space: only generic drafts can be made.")
        latent = 1 + MAX_DRAFTS + index
        keys, values = self._adapter.entries(z, start)
        blob = self._layout.filled(keys, values, start=start, sequence=latent)
        self._context.restore(latent, blob)
        if self._context.state(latent) != blob:
            raise LatentStateError("llama.cpp restored other latent entries than it was given.")
        self._context.share(latent, sequence)
        return sequence, start + self._adapter.positions

    def _decode_all(self, drafts: list[_Draft], cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        while live := [draft for draft in drafts if not draft.text.finish]:
            if cancelled() or self._closing:
                for draft in live:
                    yield Chunk(draft.index, draft.text.end("cancelled"), draft.text.tokens, "cancelled")
                return
            self._context.decode([Entry(d.token, d.position, d.sequence, True) for d in live])
            for row, draft in enumerate(live):
                draft.token = draft.sampler.draw(self._context, row)
                draft.position += 1
                if self._model.ends_text(draft.token):
                    text = draft.text.end("stop")
                else:
                    text = draft.text.add(self._model.piece(draft.token))
                if text or draft.text.finish:
                    yield Chunk(draft.index, text, draft.text.tokens, draft.text.finish)

    def _scored(self, messages: Sequence[Message], response: str, z: Latent | None) -> Iterator[NDArray[np.float32]]:
        """Log-probabilities [t, V] before the response's tokens, in blocks of t tokens."""
        prompt, ids = self._ids(messages), self._model.tokenize(response)
        if len(prompt) + len(ids) + MAX_DRAFTS > self._context.tokens:
            raise PromptTooLongError(
                f"The text is too long: {len(prompt) + len(ids)} tokens, {self._context.tokens} fit.",
                tokens=len(prompt) + len(ids),
                room_tokens=self._context.tokens,
            )
        try:
            self._prefill(prompt[:-1], lambda: False, lambda done, total: None)
            sequence, position = self._branch(0, z, len(prompt) - 1)
            tokens = [prompt[-1], *ids[:-1]]
            for start in range(0, len(tokens), SCORED_TOKENS):
                block = tokens[start : start + SCORED_TOKENS]
                self._context.decode([Entry(t, position + start + i, sequence, True) for i, t in enumerate(block)])
                logits = np.stack([self._context.logits(i) for i in range(len(block))])
                yield log_softmax(logits)
        finally:
            self._forget_branches()

    def _forget_branches(self) -> None:
        for sequence in range(1, 1 + 2 * MAX_DRAFTS):
            self._context.forget(sequence)


def state_layout(context: LlamaContext, positions: int, sequence: int) -> StateLayout:
    """Parses the state of so many decoded tokens of a sequence; the context is empty before and after."""
    context.decode([Entry(0, i, sequence) for i in range(positions)])
    template = context.state(sequence)
    context.forget()
    model = context.model
    return StateLayout.parse(
        template,
        sequence=sequence,
        layers=model.layers,
        cells=positions,
        row_values=model.kv_heads * model.head_size,
    )


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens both start with."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis."""
    shifted: NDArray[np.float32] = logits - logits.max(-1, keepdims=True)
    log_sum: NDArray[np.float32] = np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted - log_sum

"""Completions as OpenAI's clients read them: whole, or as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from app.serve.schemas import Wanted
from core.errors import PenPalError
from core.protocols import Chunk, Finish
from core.session import Proposal

REASONS: dict[Finish, str] = {"stop": "stop", "length": "length", "cancelled": "stop", "": "stop"}


@dataclass(frozen=True)
class Form:
    """What tells chat completions and completions apart."""

    prefix: str
    """Of ids."""
    kind: str
    chunk_kind: str
    text: Callable[[str], dict[str, Any]]
    """The fields of a choice that hold its text; in an event, what it has grown by."""
    piece: Callable[[str], dict[str, Any]]


CHAT = Form(
    "chatcmpl",
    "chat.completion",
    "chat.completion.chunk",
    lambda text: {"message": {"role": "assistant", "content": text, "refusal": None}},
    lambda text: {"delta": {"role": "assistant", "content": text}},
)
TEXT = Form("cmpl", "text_completion", "text_completion", lambda text: {"text": text}, lambda text: {"text": text})


@dataclass(frozen=True)
class Answer:
    """One completion that is being written."""

    form: Form
    wanted: Wanted
    turn_id: int
    draft_ids: tuple[int, ...]
    prompt_tokens: int
    created: int

    async def whole(self, chunks: AsyncGenerator[Proposal | Chunk]) -> dict[str, Any]:
        """The body of a response, when all is written."""
        n = self.wanted.n
        texts, tokens, reasons = [""] * n, [0] * n, ["stop"] * n
        async with aclosing(chunks):
            async for chunk in chunks:
                assert isinstance(chunk, Chunk)
                texts[chunk.draft] += chunk.text
                tokens[chunk.draft] = chunk.tokens
                reasons[chunk.draft] = REASONS[chunk.finish]
        choices = [
            {"index": i, **self.form.text(text), "finish_reason": reasons[i], "logprobs": None}
            for i, text in enumerate(texts)
        ]
        return {**self._head(self.form.kind), "choices": choices, "usage": self._usage(tokens)}

    async def events(self, chunks: AsyncGenerator[Proposal | Chunk]) -> AsyncIterator[str]:
        """Server-sent events. A failure in the middle is an event too: the status line is gone by then."""
        tokens = [0] * self.wanted.n
        head = self._head(self.form.chunk_kind)
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    assert isinstance(chunk, Chunk)
                    tokens[chunk.draft] = chunk.tokens
                    reason = REASONS[chunk.finish] if chunk.finish else None
                    choice = {"index": chunk.draft, **self.form.piece(chunk.text), "finish_reason": reason}
                    yield _event({**head, "choices": [{**choice, "logprobs": None}]})
            if self.wanted.wants_usage:
                yield _event({**head, "choices": [], "usage": self._usage(tokens)})
        except PenPalError as error:
            yield _event({"error": {"message": str(error), "type": "server_error", "param": None, "code": None}})
        yield "data: [DONE]\n\n"

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"{self.form.prefix}-{self.turn_id}",
            "object": kind,
            "created": self.created,
            "model": self.wanted.model,
            "penpal": {"draft_ids": list(self.draft_ids)},
        }

    def _usage(self, tokens: list[int]) -> dict[str, int]:
        written = sum(tokens)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self.prompt_tokens + written,
        }


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"

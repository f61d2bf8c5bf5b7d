"""The routes: OpenAI's models, chat completions and completions, and PenPal's own feedback. A token opens them."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.serve.answer import CHAT, TEXT, Answer, Form
from app.serve.drafting import Drafting, TooManyError
from app.serve.schemas import ChatRequest, CompletionRequest, FeedbackRequest, Wanted
from app.wiring import PenPal
from core.errors import PenPalError, PromptTooLongError, UsageError
from core.protocols import Message, Sampling
from core.recorder import Recorder
from core.session import Proposal, Voice, Writer
from core.store import EncoderRecord
from core.voices import GENERIC, find_encoder

T = TypeVar("T", bound=BaseModel)
MAX_BODY_BYTES = 1_000_000
PERSONAL = "penpal"
MIN_PREFIX = 6
"""Of an encoder's id, as 'model'."""


class RefusedError(Exception):
    """A request that gets an error in OpenAI's form."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class Api:
    """One home's voice behind HTTP. The writer is loaded when the first request needs it."""

    def __init__(self, penpal: PenPal, token: str) -> None:
        self._penpal, self._token = penpal, token
        self._drafting = Drafting()
        self._writer: Writer | None = None

    def application(self, hosts: list[str]) -> Starlette:
        """The ASGI application; requests with another Host header are refused (DNS rebinding)."""
        handlers: dict[Any, Callable[[Request, Any], Response]] = {
            RefusedError: lambda request, error: refusal(error.status, str(error), error.kind),
            PromptTooLongError: lambda request, error: refusal(400, str(error), code="context_length_exceeded"),
            PenPalError: lambda request, error: refusal(400, str(error)),
            TooManyError: lambda request, error: refusal(429, "PenPal is busy: try again in a moment.", "rate_limit"),
            404: lambda request, error: refusal(404, f"There is no {request.url.path} here."),
            405: lambda request, error: refusal(405, f"{request.method} is not for {request.url.path}."),
        }
        return Starlette(
            routes=[
                Route("/v1/models", self.models, methods=["GET"]),
                Route("/v1/models/{name}", self.model, methods=["GET"]),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/completions", self.completions, methods=["POST"]),
                Route("/v1/feedback", self.feedback, methods=["POST"]),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
            exception_handlers=handlers,
        )

    # --- routes -----------------------------------------------------------------------------------------------

    async def models(self, request: Request) -> Response:
        """The voices: the personal one, the generic one, and every encoder."""
        self._check(request)
        names = [PERSONAL, GENERIC, *(record.id[:12] for record in await asyncio.to_thread(self._encoders))]
        return JSONResponse({"object": "list", "data": [_model(name) for name in names]})

    async def model(self, request: Request) -> Response:
        self._check(request)
        name = request.path_params["name"]
        if name not in (PERSONAL, GENERIC):
            await asyncio.to_thread(self._encoder, name)
        return JSONResponse(_model(name))

    async def chat(self, request: Request) -> Response:
        wanted = await self._read(request, ChatRequest)
        return await self._complete(wanted, wanted.conversation(), CHAT)

    async def completions(self, request: Request) -> Response:
        wanted = await self._read(request, CompletionRequest)
        return await self._complete(wanted, wanted.conversation(), TEXT)

    async def feedback(self, request: Request) -> Response:
        """Records what the person did, and lets the voice lean on it."""
        sent = await self._read(request, FeedbackRequest)
        async with self._drafting.turn():
            act_id, turn_id = await asyncio.to_thread(self._record, sent)
            writer = await asyncio.to_thread(self._loaded)
            await asyncio.to_thread(self._penpal.learn_now, writer, turn_id)
        return JSONResponse({"object": "penpal.feedback", "act_id": act_id, "recorded": act_id is not None})

    # --- drafting ---------------------------------------------------------------------------------------------

    async def _complete(self, wanted: Wanted, messages: Sequence[Message], form: Form) -> Response:
        def propose() -> Proposal:
            return self._voiced(wanted).propose_to(messages, drafts=wanted.n, explore=wanted.n > 1, seed=wanted.seed)

        chunks = self._drafting.chunks(propose)
        first = await anext(chunks)  # what is wrong with the request is told as an error, not inside a stream
        assert isinstance(first, Proposal)
        prompt_tokens = await asyncio.to_thread(self._loaded().decoder.count_tokens, messages)
        answer = Answer(form, wanted, first.turn_id, first.draft_ids, prompt_tokens, int(time.time()))
        if wanted.stream:
            return StreamingResponse(
                answer.events(chunks), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
            )
        return JSONResponse(await answer.whole(chunks))

    def _voiced(self, wanted: Wanted) -> Writer:
        """A writer in the voice that was asked for, with the dice that were."""
        personal = self._loaded()
        if wanted.model == GENERIC:
            voice = self._penpal.voice(generic=True)
        elif wanted.model == PERSONAL:
            voice = personal.voice
        else:
            voice = self._voice_of(wanted.model)
        return Writer(personal.store, personal.decoder, voice, sampling=self._sampling(wanted))

    def _voice_of(self, name: str) -> Voice:
        record = self._encoder(name)
        return self._penpal.voice_of(record) if self._penpal.latents_trusted() else Voice(None, None)

    def _sampling(self, wanted: Wanted) -> Sampling:
        usual = self._penpal.settings.drafts.sampling()
        return replace(
            usual,
            temperature=usual.temperature if wanted.temperature is None else wanted.temperature,
            top_p=usual.top_p if wanted.top_p is None else wanted.top_p,
            max_tokens=min(wanted.longest or usual.max_tokens, 1024),
            stop=wanted.stop,
        )

    def _loaded(self) -> Writer:
        if self._writer is None:
            self._writer = self._penpal.writer()
        return self._writer

    # --- feedback and encoders --------------------------------------------------------------------------------

    def _record(self, sent: FeedbackRequest) -> tuple[int | None, int]:
        """The act (None: the edit changed nothing) and its turn."""
        number = sent.id.rpartition("-")[2]
        drafts = self._penpal.store.drafts(int(number)) if number.isdecimal() and len(number) < 18 else []
        if sent.index >= len(drafts):
            raise RefusedError(404, f"There is no completion {sent.id} with a choice {sent.index}.", "not_found_error")
        draft, recorder = drafts[sent.index], Recorder(self._penpal.store)
        if sent.kind in ("edit", "accept") and sent.text is None:
            raise RefusedError(400, f"'{sent.kind}' needs the field 'text'.")
        match sent.kind:
            case "edit":
                return recorder.edit(draft.id, sent.text or "", note=sent.note), draft.turn_id
            case "accept":
                return recorder.accept(draft.id, sent.text or ""), draft.turn_id
            case "pick":
                return recorder.pick(draft.id, note=sent.note), draft.turn_id
            case "star":
                return recorder.star(draft.id), draft.turn_id
            case kind:
                return recorder.judge(draft.turn_id, kind, note=sent.note), draft.turn_id

    def _encoders(self) -> list[EncoderRecord]:
        return self._penpal.store.encoders()

    def _encoder(self, name: str) -> EncoderRecord:
        record = None
        if len(name) >= MIN_PREFIX:
            with suppress(UsageError):
                record = find_encoder(self._penpal.store, name)
        if record is None:
            raise RefusedError(
                404,
                f"There is no voice '{name}': 'GET /v1/models' lists them, '{PERSONAL}' is yours.",
                "not_found_error",
            )
        return record

    # --- requests ---------------------------------------------------------------------------------------------

    def _check(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token.encode()):
            raise RefusedError(401, "The token is missing or wrong: 'penpal serve' shows it.", "authentication_error")

    async def _read(self, request: Request, schema: type[T]) -> T:
        self._check(request)
        body = b""
        try:
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise RefusedError(413, f"The request is larger than {MAX_BODY_BYTES // 1000} kB.")
        except ClientDisconnect as error:
            raise RefusedError(400, "The client went away.") from error
        try:
            return schema.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RefusedError(400, f"{where}: {first['msg']}." if where else f"{first['msg']}.") from error


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "you"}


def refusal(status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> Response:
    """An error in OpenAI's form."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, headers={"Retry-After": "2"} if status == 429 else None)

"""Propose, edit, record: what chat, rate, write and demo do with drafts, whoever asks.

Every draft's row exists before its first token, its partial text is saved at most a second apart, and what the
person does is appended. Knows neither a screen nor a tensor library.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.contexts import clean_tag, context_of
from core.errors import PromptTooLongError, UsageError
from core.feedback import Draft, hints
from core.protocols import Chunk, Decoder, DraftRequest, Latent, Message, PersonalEncoder, Sampling
from core.recorder import Recorder
from core.store import Origin, Store, Turn

SAVE_EVERY_S = 1.0
TITLE_CHARACTERS = 48
SEED_STRIDE = 0x9E3779B1
"""Between the drafts of one batch, so that the second draft of seed 5 is not the first of seed 6."""
LEAST_KEPT = 0.01
"""Of a prompt that is cut: with less it is not the prompt that is too long."""
HINTS = "Important: {}."
"""How the decoder is told what should be different this time."""


@dataclass(frozen=True)
class Voice:
    """Who is writing: a personal encoder and its id (None: generic)."""

    encoder: PersonalEncoder | None
    """None: the untouched backbone, without any latent."""
    encoder_id: str | None


class Proposal:
    """Drafts of one turn that are about to be written."""

    def __init__(
        self,
        store: Store,
        decoder: Decoder,
        *,
        turn_id: int,
        messages: Sequence[Message],
        draft_ids: Sequence[int],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
    ) -> None:
        self._store, self._decoder, self._sampling = store, decoder, sampling
        self._messages, self._requests = messages, requests
        self.turn_id = turn_id
        self.draft_ids = tuple(draft_ids)

    def stream(
        self,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        """Yields text as it is written and stores it. However this ends, no draft stays 'writing'."""
        texts = ["" for _ in self.draft_ids]
        tokens = [0 for _ in self.draft_ids]
        finished = [False for _ in self.draft_ids]
        started = saved = time.monotonic()

        def finish(i: int, reason: Chunk) -> None:
            elapsed_ms = int(1000 * (time.monotonic() - started))
            self._store.finish_draft(
                self.draft_ids[i], texts[i], tokens=tokens[i], finish=reason.finish, duration_ms=elapsed_ms
            )
            finished[i] = True

        try:
            for chunk in self._decoder.generate(
                self._messages, self._requests, self._sampling, cancelled=cancelled, on_prefill=on_prefill
            ):
                texts[chunk.draft] += chunk.text
                tokens[chunk.draft] = chunk.tokens
                if chunk.finish:
                    finish(chunk.draft, chunk)
                elif time.monotonic() - saved > SAVE_EVERY_S:
                    saved = time.monotonic()
                    for i, draft_id in enumerate(self.draft_ids):
                        self._store.save_partial(draft_id, texts[i], tokens[i])
                yield chunk
        finally:
            for i, done in enumerate(finished):
                if not done:
                    finish(i, Chunk(i, "", tokens[i], "cancelled" if texts[i] else ""))

    def run(self, *, cancelled: Callable[[], bool] = lambda: False) -> list[Draft]:
        """Writes all drafts to the end, or until cancelled, and returns them."""
        for _ in self.stream(cancelled=cancelled):
            pass
        return [self._store.draft(draft_id) for draft_id in self.draft_ids]


class Writer:
    """Drafts in one voice; `recorder` records what the person does with the drafts."""

    def __init__(self, store: Store, decoder: Decoder, voice: Voice, *, sampling: Sampling) -> None:
        self.store, self.decoder, self.voice, self.sampling = store, decoder, voice, sampling
        self.recorder = Recorder(store)

    def conversation(self, prompt: str, *, origin: Origin) -> int:
        """A new conversation, titled by its first prompt."""
        return self.store.add_conversation(title_of(prompt), origin=origin)

    def propose(
        self,
        prompt: str,
        *,
        conversation_id: int | None = None,
        origin: Origin = "chat",
        drafts: int = 2,
        explore: bool = True,
        cut: bool = False,
        context: str | None = None,
        seed: int | None = None,
    ) -> Proposal:
        """A new turn, of a new conversation if none is named.

        `explore` draws a latent per draft, so that choices teach; else all use the mean.
        `context` tags the kind of writing ('mail', 'review'); without it the kind is inferred from the prompt.
        Raises UsageError for an empty prompt and PromptTooLongError, unless `cut` lets the prompt lose its middle.
        """
        if not prompt.strip():
            raise UsageError("There is nothing to write about: type what you want first.")
        turns = self.store.thread(conversation_id) if conversation_id is not None else []
        messages = self._messages(turns, prompt, cut=cut)
        if conversation_id is None:
            conversation_id = self.conversation(prompt, origin=origin)
        turn_id = self.store.add_turn(conversation_id, messages[-1].content, messages, context=clean_tag(context))
        turn = self.store.turn(turn_id)
        return self._draft(turn, drafts=drafts, explore=explore, seed=seed)

    def propose_to(
        self,
        messages: Sequence[Message],
        *,
        drafts: int = 1,
        explore: bool = False,
        context: str | None = None,
        seed: int | None = None,
    ) -> Proposal:
        """A new turn of a conversation that comes whole, from another program; nothing of it is left out.

        Raises UsageError when there is nothing to answer, PromptTooLongError when it does not fit.
        """
        if not messages or not messages[-1].content.strip():
            raise UsageError("There is nothing to write about: the last message is empty.")
        tokens, room = self.decoder.count_tokens(messages), self.decoder.room_tokens(self.sampling)
        if tokens > room:
            raise PromptTooLongError(
                f"The messages are too long: {tokens} tokens, {room} fit.", tokens=tokens, room_tokens=room
            )
        prompt = messages[-1].content
        turn_id = self.store.add_turn(
            self.conversation(prompt, origin="write"), prompt, messages, context=clean_tag(context)
        )
        return self._draft(self.store.turn(turn_id), drafts=drafts, explore=explore, seed=seed)

    def propose_again(
        self, turn_id: int, *, hint: str | None = None, drafts: int = 2, explore: bool = True, seed: int | None = None
    ) -> Proposal:
        """Redo: new drafts for the same prompt; the ones before are marked as not good enough.

        `hint`: what should be different, such as 'shorter'. It is kept as the redo's note, and the decoder reads it
        after the prompt, as it reads those of the redos before.
        """
        for draft in self.recorder.latest_drafts(turn_id):
            self.recorder.redo(draft.id, note=" ".join(hint.split()) if hint and hint.strip() else None)
        return self._draft(self.store.turn(turn_id), drafts=drafts, explore=explore, seed=seed)

    def warm(
        self,
        typed: str,
        *,
        conversation_id: int | None,
        choice: tuple[int, str] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Reads ahead the conversation and what is being typed, so that drafts start sooner; False if not to the end.

        `choice`: a turn that is not settled yet, and the text that is kept there once the prompt is sent.
        """
        turns = self.store.thread(conversation_id) if conversation_id is not None else []
        try:
            messages = self._messages(turns, typed, cut=False, choice=choice)
        except PromptTooLongError:
            return False
        return self.decoder.warm(messages, cancelled=cancelled)

    def fitting(self, prompt: str, sampling: Sampling) -> list[Message]:
        """A conversation of this prompt alone, without its middle when it is too long."""
        return Writer(self.store, self.decoder, self.voice, sampling=sampling)._that_fit([], prompt, cut=True)

    # --- inner ------------------------------------------------------------------------------------------------

    def _draft(self, turn: Turn, *, drafts: int, explore: bool, seed: int | None) -> Proposal:
        messages = self._with_hints(turn)
        first_seed = secrets.randbelow(2**31) if seed is None else seed
        seeds = [(first_seed + i * SEED_STRIDE) % 2**31 for i in range(drafts)]
        requests = [DraftRequest(seed, self._latent(turn, seed, explore=explore)) for seed in seeds]
        draft_ids = [
            self.store.add_draft(
                turn.id,
                side=side,
                z=None if request.z is None else [float(v) for v in request.z],
                encoder_id=self.voice.encoder_id,
                backbone_id=self.decoder.backbone_id,
                sampling=self.sampling,
                seed=request.seed,
            )
            for side, request in enumerate(requests)
        ]
        return Proposal(
            self.store,
            self.decoder,
            turn_id=turn.id,
            messages=messages,
            draft_ids=draft_ids,
            requests=requests,
            sampling=self.sampling,
        )

    def _latent(self, turn: Turn, seed: int, *, explore: bool) -> Latent | None:
        encoder = self.voice.encoder
        if encoder is None:
            return None
        context = turn.context or context_of(turn.prompt)
        return encoder.sample(turn.messages, context, seed) if explore else encoder.mean(turn.messages, context)

    def _messages(
        self, turns: Sequence[Turn], prompt: str, *, cut: bool, choice: tuple[int, str] | None = None
    ) -> list[Message]:
        """The conversation so far and the prompt; the oldest exchanges go first when it gets too long."""
        exchanges: list[list[Message]] = []
        for turn in turns:
            kept = choice[1] if choice and choice[0] == turn.id else self.store.accepted_text(turn.id)
            if kept:
                exchanges.append([Message("user", turn.prompt), Message("assistant", kept)])
        return self._that_fit(exchanges, prompt, cut=cut)

    def _with_hints(self, turn: Turn) -> Sequence[Message]:
        """What the decoder reads. The turn itself stays as it was: all its drafts are compared as answers to it."""
        wanted = hints(self.store.acts(turn.id))
        if not wanted:
            return turn.messages
        *before, last = turn.messages
        exchanges = [before[i : i + 2] for i in range(0, len(before), 2)]
        return self._that_fit(exchanges, last.content, cut=True, ending=f"\n\n{HINTS.format(', '.join(wanted))}")

    def _that_fit(self, exchanges: list[list[Message]], prompt: str, *, cut: bool, ending: str = "") -> list[Message]:
        """The newest exchanges that fit before the prompt, and the prompt, without its middle if need be.

        `ending` comes after the prompt and is never cut.
        """
        room = self.decoder.room_tokens(self.sampling)
        whole, keep = prompt, 1.0
        while True:
            messages = [m for exchange in exchanges for m in exchange] + [Message("user", prompt + ending)]
            tokens = self.decoder.count_tokens(messages)
            if tokens <= room:
                return messages
            if exchanges:
                exchanges = self._newest(exchanges, spare=tokens - room, step=room // 2)
            elif cut and keep > LEAST_KEPT:
                keep *= 0.95 * room / tokens
                prompt = without_middle(whole, keep=keep)
            else:
                raise PromptTooLongError(
                    f"The text is too long: {tokens} tokens, {room} fit. Shorten it, or let PenPal cut its middle.",
                    tokens=tokens,
                    room_tokens=room,
                )

    def _newest(self, exchanges: list[list[Message]], *, spare: int, step: int) -> list[list[Message]]:
        """Leaves out the oldest exchanges: so many tokens, rounded up to whole steps.

        In steps, because the decoder has to read everything anew whenever the start changes.
        """
        wanted, left_out = -(-spare // max(step, 1)) * max(step, 1), 0
        frame = self.decoder.count_tokens([Message("user", "")])
        for i, exchange in enumerate(exchanges):
            if left_out >= wanted:
                return exchanges[i:]
            left_out += max(self.decoder.count_tokens(exchange) - frame, 1)
        return []


def title_of(prompt: str) -> str:
    """The start of a prompt, on one line."""
    title = " ".join(prompt.split())
    return title if len(title) <= TITLE_CHARACTERS else title[: TITLE_CHARACTERS - 1] + "…"


def without_middle(text: str, *, keep: float) -> str:
    """The start and the end of a text: the instruction often stands at one of them."""
    half = int(len(text) * keep / 2)
    return f"{text[:half].rstrip()}\n[…]\n{text[len(text) - half :].lstrip()}"

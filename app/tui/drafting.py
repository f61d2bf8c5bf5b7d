"""From a sent prompt to two drafts on the screen: starts the decoder, shows how far it is, stops it, ends it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.tui.acts import settle
from app.tui.draft_stream import DraftStream
from app.tui.key_names import with_keys
from app.tui.screens.too_long import TooLongScreen
from app.tui.turn_view import DraftView, TurnView
from app.tui.wording import in_words
from core.errors import PromptTooLongError
from core.session import Proposal, Writer

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen

Prepare = Callable[[Writer], Awaitable[Callable[[], Proposal]]]
"""Does what comes before drafts are written; what it returns makes their rows."""


@dataclass(frozen=True)
class Choice:
    """A draft that the person prefers, and the text that they would keep."""

    turn: TurnView
    draft: DraftView
    text: str


class Drafting:
    """The drafts that are being written on a chat screen; at most one pair at a time."""

    def __init__(self, screen: ChatScreen, *, context: str | None) -> None:
        """`context` tags the kind of writing of all prompts."""
        self._screen, self._context = screen, context
        self._conversation = screen.conversation
        self.stream: DraftStream | None = None
        """None while nothing is being written."""
        self.stopped = False
        """The last drafts were stopped by the person, who has done nothing since."""
        self._sent = ""

    def forget_sent(self) -> None:
        """What was sent last belongs to another conversation."""
        self.stopped, self._sent = False, ""

    def send(self, prompt: str) -> None:
        """Has drafts written for what the person typed, or says why not."""
        screen = self._screen
        if not prompt.strip():
            screen.notice.say("There is nothing to write about yet: type what you want first.")
        elif self.stream is not None:
            screen.notice.say(with_keys(screen, "PenPal is still writing: {chat.back} stops it. Your text stays here."))
        else:
            # What was typed right after Enter, as it may be on a slow line, is the start of the next prompt.
            screen.composer.replace_text(screen.composer.text.removeprefix(prompt))
            self.write(prompt)

    def write(self, prompt: str, *, cut: bool = False) -> None:
        """Has two drafts written; `cut`: a prompt that is too long loses its middle."""
        self._conversation.pending = self._sent = prompt
        self._screen.typed.note_composer()

        async def prepare(writer: Writer) -> Callable[[], Proposal]:
            if await self._settle():
                await self._conversation.read()
            conversation_id = await self._screen.need_conversation(writer, prompt)
            self._screen.pair.show(None)
            return lambda: writer.propose(prompt, conversation_id=conversation_id, cut=cut, context=self._context)

        self._start(prepare)

    def write_again(self, turn: TurnView, *, hint: str | None = None) -> None:
        """Has two other drafts written for the same prompt; `hint`: what should be different."""

        async def prepare(writer: Writer) -> Callable[[], Proposal]:
            return lambda: writer.propose_again(turn.turn.id, hint=hint)  # teaches once another draft is kept

        self._start(prepare)

    def _start(self, prepare: Prepare) -> None:
        self._screen.notice.clear()
        self._screen.news.clear()
        self.stopped = False
        self._loop = asyncio.get_running_loop()
        self.stream = DraftStream(begun=self._look_now)
        self._screen.run_worker(self._run(self.stream, prepare), name="write drafts", group="write")

    async def _run(self, stream: DraftStream, prepare: Prepare) -> None:
        screen, conversation = self._screen, self._conversation
        try:
            if conversation.pending and not screen.app.loaded:
                await screen.thread.show(conversation.turns, pending=conversation.pending)
            writer = await screen.app.writer_of_next_drafts()
            if self.stream is not stream:
                return  # taken back while the backbone was loading
            async with conversation.in_order:
                propose = await prepare(writer)
            # Drawing takes as long as reading the prompt, so the decoder does not wait for it.
            drawing = asyncio.create_task(self._show_sent(conversation.pending))
            await screen.leaning.caught_up()
            gc.disable()  # or keys would wait for 100 ms and more, now and then, while drafts stream
            try:
                await asyncio.to_thread(stream.run, propose)
            finally:
                gc.enable()
                await drawing
            screen.app.next_is_generic = False
            if self.stream is not stream and (turn_id := stream.look().turn_id) is not None:
                conversation.recorder.judge(turn_id, "skip")  # taken back just while it was being stored
        except PromptTooLongError as error:
            fits = error.room_tokens / error.tokens
            screen.app.push_screen(
                TooLongScreen(fits, back="your text stays, and you can shorten it"), self._answer_too_long
            )
        except Exception as error:
            screen.notice.say(in_words(error))
        if self.stream is stream:
            await self._ended(stream)

    async def _show_sent(self, prompt: str) -> None:
        """Shows what was sent, before the decoder has read it; nothing new after a redo."""
        if prompt:
            await self._screen.thread.show(self._conversation.turns, pending=prompt)
            await self._screen.show_conversations()

    async def _ended(self, stream: DraftStream) -> None:
        """The decoder has ended: shows what is stored, and lets the person choose."""
        screen = self._screen
        stored = self._note_stored(stream)
        self.stream = None
        self.stopped = stream.stopped and stored
        if self.stopped:
            screen.status.show("stopped")  # at once; what can be done now comes when the drafts are read
        await screen.refresh_turns(choose=stored)
        if not stored and not isinstance(screen.app.screen, TooLongScreen):
            self.give_back(self._conversation.pending)

    def _answer_too_long(self, cut: bool | None) -> None:
        prompt, self._conversation.pending = self._conversation.pending, ""
        if cut:
            self.write(prompt, cut=True)
        else:
            self.give_back(prompt)

    def look(self) -> None:
        """Shows how far the decoder is."""
        stream, status = self.stream, self._screen.status
        if stream is None:
            return
        view = stream.look()
        if view.turn_id is None:
            phase = view.phase if self._screen.app.loaded else "loading the backbone"
            status.show(phase, busy=True, hint=with_keys(status, "{chat.back} takes the prompt back"))
            return
        self._note_stored(stream)
        self._screen.pair.show_stream(view)
        hint = with_keys(status, "{chat.back} stops")
        status.show("stopping" if stream.stopped else view.phase, busy=True, hint=hint)

    def _look_now(self) -> None:
        """Called by the decoder's thread."""
        with suppress(RuntimeError):  # the app has ended meanwhile
            self._loop.call_soon_threadsafe(self.look)

    def _note_stored(self, stream: DraftStream) -> bool:
        """Once the turn is stored, its prompt need not be kept as unsaved text any more."""
        stored = stream.look().turn_id is not None
        if stored and self._conversation.pending:
            self._conversation.pending = ""
            self._screen.typed.note_composer()
        return stored

    @property
    def choice(self) -> Choice | None:
        """What is kept of the turn that waits once the person goes on; None before they picked or edited."""
        turn, card = self._conversation.waiting, self._screen.pair.editing
        draft = card.view if card is not None else turn.picked if turn is not None else None
        if turn is None or draft is None:
            return None
        return Choice(turn, draft, card.editor.text if card is not None and card.editor is not None else draft.shown)

    async def _settle(self) -> bool:
        """Keeps what the person chose in the turn before, edited or picked, so that going on loses nothing.

        False when there was nothing to keep.
        """
        if (choice := self.choice) is None:
            return False
        await self._screen.choosing.record(choice.turn, lambda recorder: settle(recorder, choice.draft, choice.text))
        self._screen.typed.forget_edit(choice.draft)
        if (card := self._screen.pair.editing) is not None:
            await card.close_editor()
        return True

    # --- stopping and taking back -----------------------------------------------------------------------------

    async def stop_or_take_back(self) -> bool:
        """Stops; the second time it takes the turn back. False when there was neither to do."""
        conversation = self._conversation
        if self.stream is not None:
            self.stream.stop()
            self.look()
            if conversation.pending:
                self.stream = None
                self.give_back(conversation.pending)
                await self._screen.refresh_turns()
        elif self.stopped and conversation.waiting:
            self.stopped = False
            self._screen.choosing.take_back(conversation.waiting, prompt=self._sent)
        else:
            return False
        return True

    def give_back(self, prompt: str) -> None:
        """Puts a prompt back where it was typed, before what was typed since."""
        composer = self._screen.composer
        self._conversation.pending = ""
        typed = composer.text
        composer.replace_text(f"{prompt}\n\n{typed}" if typed.strip() else prompt)
        composer.focus()

    def stop(self) -> None:
        """Stops and does not look any more."""
        if self.stream is not None:
            self.stream.stop()

    async def stop_and_wait(self) -> None:
        """Stops, and returns once the last words are stored."""
        if self.stream is not None:
            self.stream.stop()
            if self.stream.look().turn_id is not None:
                await asyncio.to_thread(self.stream.ended.wait)

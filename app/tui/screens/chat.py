"""Writing with PenPal: a prompt, two drafts, a choice, an edit, and on. Knows not how drafts are made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Footer, OptionList, TextArea

from app.newest_run import fresh_run
from app.tui.acts import keep, pick, save_edit, settle, star, undo
from app.tui.app import PenPalApp
from app.tui.autosave import Autosave
from app.tui.draft_stream import DraftStream
from app.tui.leaning import Leaning
from app.tui.screens.too_long import TooLongScreen
from app.tui.starting_place import starting_place
from app.tui.turn_view import DraftView, TurnView, place_of_edit, read_conversation
from app.tui.unsaved_texts import SAVE_EVERY_S, UnsavedTexts
from app.tui.widgets.composer import Composer
from app.tui.widgets.conversation_list import ConversationList
from app.tui.widgets.desk import Desk
from app.tui.widgets.draft_editor import DraftEditor
from app.tui.widgets.draft_pair import DraftPair
from app.tui.widgets.notice import Notice
from app.tui.widgets.status_line import StatusLine
from app.tui.widgets.thread import Thread
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import as_news, count_words, counted, in_words
from core.errors import PromptTooLongError
from core.evidence import lessons
from core.recorder import Recorder
from core.session import Proposal, Writer
from core.store import Store

LOOK_EVERY_S = 0.05
"""How often the screen looks at what the decoder has written: 20 times a second reads as flowing text."""


class ChatScreen(Screen[None]):
    """The conversations, the thread, two drafts and the composer."""

    HELP_TITLE = "Writing"
    BINDINGS = [
        Binding("ctrl+q", "app.quit", "quit", id="app.quit", key_display="^q", tooltip="Leave; nothing is lost"),
        Binding(
            "escape", "back", "stop", show=False, id="chat.back",
            tooltip="Stop writing, keep what is there; once more: take the prompt back",
        ),
        Binding("ctrl+n", "new", "new", show=False, id="chat.new", tooltip="Start a new conversation"),
        Binding(
            "ctrl+b", "sidebar", "list", show=False, id="chat.sidebar", tooltip="Show or hide the conversations"
        ),
    ]  # fmt: skip

    app = getters.app(PenPalApp)
    desk = getters.query_one(Desk)
    composer = getters.query_one(Composer)
    pair = getters.query_one(DraftPair)
    thread = getters.query_one(Thread)
    status = getters.query_one(StatusLine)
    notice = getters.query_one("#notice", Notice)
    news = getters.query_one("#news", Notice)
    sidebar = getters.query_one(ConversationList)

    def __init__(self, store: Store, *, context: str | None = None) -> None:
        super().__init__()
        self.store, self.recorder, self.context = store, Recorder(store), context
        self.unsaved = UnsavedTexts(store)
        self.conversation_id: int | None = None
        self.turns: tuple[TurnView, ...] = ()
        self.stream: DraftStream | None = None
        self.pending = ""
        """A prompt that was sent and is not stored yet."""
        self._sent = ""
        self._stopped = False
        self._in_order = asyncio.Lock()

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield Notice(id="latents-off")
        yield Desk()
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        self.autosave = Autosave(self.unsaved, self.notice.say)
        self.leaning = Leaning(self.store, self.app.learn_now, mention=self.status.mention, complain=self.news.say)
        self.set_interval(LOOK_EVERY_S, self._look)
        self.set_interval(SAVE_EVERY_S, self._save_soon)
        await self._open(starting_place(self.store))
        if (run := fresh_run(self.store)) is not None:
            self.news.say(as_news(run))
        self.run_worker(self._load(), name="load the backbone")

    def on_unmount(self) -> None:
        self.leaning.stop()
        if self.stream is not None:
            self.stream.stop()

    @property
    def turn(self) -> TurnView | None:
        return self.turns[-1] if self.turns else None

    @property
    def waiting(self) -> TurnView | None:
        """The turn that waits for a choice."""
        return self.turn if self.turn is not None and self.turn.kept is None and self.turn.drafts else None

    # --- sending and writing ----------------------------------------------------------------------------------

    @on(Composer.Sent)
    def send(self, event: Composer.Sent) -> None:
        if not event.prompt.strip():
            self.notice.say("There is nothing to write about yet: type what you want first.")
        elif self.stream is not None:
            self.notice.say("PenPal is still writing: Esc stops it. Your text stays here.")
        else:
            self.composer.replace_text("")
            self._write_prompt(event.prompt)

    def _write_prompt(self, prompt: str, *, cut: bool = False) -> None:
        self.pending = self._sent = prompt

        async def prepare(writer: Writer) -> Callable[[], Proposal]:
            await self._settle()
            self.turns = await self._read_turns()
            self.pair.show(None)
            await self.thread.show(self.turns, pending=prompt)
            conversation_id = await self._need_conversation(writer, prompt)
            return lambda: writer.propose(prompt, conversation_id=conversation_id, cut=cut, context=self.context)

        self._write(prepare)

    def _write_again(self, turn: TurnView) -> None:
        async def prepare(writer: Writer) -> Callable[[], Proposal]:
            return lambda: writer.propose_again(turn.turn.id)  # teaches once another draft is kept

        self._write(prepare)

    def _write(self, prepare: Callable[[Writer], Awaitable[Callable[[], Proposal]]]) -> None:
        self.notice.clear()
        self.news.clear()
        self._stopped = False
        self.stream = DraftStream()
        self.run_worker(self._writing(self.stream, prepare), name="write drafts", group="write")

    async def _writing(
        self, stream: DraftStream, prepare: Callable[[Writer], Awaitable[Callable[[], Proposal]]]
    ) -> None:
        try:
            if self.pending:
                await self.thread.show(self.turns, pending=self.pending)
            writer = await self.app.writer()
            if self.stream is not stream:
                return  # taken back while the backbone was loading
            async with self._in_order:
                propose = await prepare(writer)
            await self.leaning.caught_up()
            await asyncio.to_thread(stream.run, propose)
            if self.stream is not stream and (turn_id := stream.look().turn_id) is not None:
                self.recorder.judge(turn_id, "skip")  # taken back just while it was being stored; teaches nothing
        except PromptTooLongError as error:
            self.app.push_screen(TooLongScreen(error), self._answer_too_long)
        except Exception as error:
            self.notice.say(in_words(error))
        if self.stream is stream:
            await self._written(stream)

    async def _written(self, stream: DraftStream) -> None:
        """The decoder has ended: shows what is stored, and lets the person choose."""
        stored = self._note_stored(stream)
        self.stream = None
        self._stopped = stream.stopped and stored
        await self._refresh()
        if not stored and not isinstance(self.app.screen, TooLongScreen):
            self._give_back(self.pending)
        if stored and self.waiting and not self.composer.text:
            self.pair.focus_draft(0)

    def _answer_too_long(self, cut: bool | None) -> None:
        prompt, self.pending = self.pending, ""
        if cut:
            self._write_prompt(prompt, cut=True)
        else:
            self._give_back(prompt)

    def _look(self) -> None:
        """Shows how far the decoder is."""
        stream = self.stream
        if stream is None:
            return
        view = stream.look()
        if view.turn_id is None:
            phase = "reading the prompt" if self.app.loaded else "loading the backbone"
            self.status.show(phase, busy=True, hint="esc takes the prompt back")
            return
        self._note_stored(stream)
        self.pair.show_stream(view)
        self.status.show("stopping" if stream.stopped else view.phase, busy=True, hint="esc stops")

    def _note_stored(self, stream: DraftStream) -> bool:
        """Once the turn is stored, its prompt need not be kept as unsaved text any more."""
        stored = stream.look().turn_id is not None
        if stored and self.pending:
            self.pending = ""
            self._note_composer()
        return stored

    async def _settle(self) -> None:
        """Keeps what the person chose in the turn before, edited or picked, so that going on loses nothing."""
        turn, card = self.waiting, self.pair.editing
        draft = card.view if card is not None else turn.picked if turn is not None else None
        if turn is None or draft is None:
            return
        text = card.editor.text if card is not None and card.editor is not None else draft.shown
        await self._record(turn, lambda recorder: settle(recorder, draft, text))
        self.unsaved.changed(place_of_edit(draft.id), "")
        if card is not None:
            await card.close_editor()

    async def _need_conversation(self, writer: Writer, prompt: str) -> int:
        if self.conversation_id is None:
            self.unsaved.changed(self._composer_place, "")
            self.conversation_id = await asyncio.to_thread(writer.conversation, prompt, origin="chat")
            self._note_composer()
            await self._show_conversations()
        return self.conversation_id

    # --- choosing ---------------------------------------------------------------------------------------------

    @on(DraftPair.Wished)
    def act_on_draft(self, event: DraftPair.Wished) -> None:
        turn = self.waiting
        if turn is None or event.side >= len(turn.drafts) or self.stream is not None:
            return
        self.notice.clear()
        side = event.side
        match event.wish:
            case "pick":
                self._act(lambda recorder: pick(recorder, self._draft(side)), then=lambda: self.pair.focus_draft(side))
            case "edit":
                self._act(lambda recorder: pick(recorder, self._draft(side)), then=lambda: self._open_editor(side))
            case "keep":
                self._act(lambda recorder: keep(recorder, self._draft(side)), then=self.composer.focus)
            case "star":
                self._act(lambda recorder: star(recorder, self._draft(side)))
            case "undo":
                self.undo()
            case "redo":
                self._write_again(turn)
            case "copy":
                self._copy(turn.drafts[side].shown)

    @on(Thread.UndoWished)
    def undo(self) -> None:
        """Takes the last act of the last turn back; a kept draft comes back for another choice."""
        turn = self.turn
        if turn is None or not turn.last_acts:
            self.notice.say("There is nothing to take back here.")
            return
        kinds = {act.kind for act in turn.last_acts}
        said = f"Taken back: {kinds.pop()}."
        self._act(lambda recorder: undo(recorder, self.turn), then=lambda: self._after_undo(said))

    def _after_undo(self, said: str) -> None:
        self.notify(said, timeout=2)
        if self.waiting:
            self.pair.focus_draft()

    @on(Thread.CopyWished)
    def copy_last_kept(self) -> None:
        kept = [turn.kept for turn in self.turns if turn.kept]
        if kept:
            self._copy(kept[-1])

    @on(DraftEditor.Saved)
    def save_edited(self, event: DraftEditor.Saved) -> None:
        card = self.pair.editing
        if self.waiting is None or card is None or card.view is None:
            return
        draft = card.view

        async def close() -> None:
            self.unsaved.changed(place_of_edit(draft.id), "")
            await asyncio.to_thread(self.unsaved.save)
            await card.close_editor()

        self._act(lambda recorder: save_edit(recorder, draft, event.text), first=close, then=lambda: card.focus())

    @on(DraftEditor.Left)
    def leave_edit(self, event: DraftEditor.Left) -> None:
        card = self.pair.editing
        if card is None or card.view is None:
            return
        changed = event.text.rstrip() != card.view.shown.rstrip()
        self.unsaved.changed(place_of_edit(card.view.id), event.text if changed else "")
        self._act(lambda recorder: self.unsaved.save(), first=card.close_editor, then=card.focus)

    def _open_editor(self, side: int) -> None:
        draft = self._draft(side)
        self.pair.cards[side].open_editor(self.unsaved.read(place_of_edit(draft.id)) or draft.shown)
        self.pair.refresh_bindings()
        self._show_ready()

    def _draft(self, side: int) -> DraftView:
        assert self.turn is not None
        return self.turn.drafts[side]

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        self.notify(f"Copied {count_words(text)}.", timeout=2)

    def _act(
        self,
        act: Callable[[Recorder], object],
        *,
        first: Callable[[], Awaitable[None]] | None = None,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        """Records an act in a thread, after all acts before it, then shows the turn as it is now."""

        async def acting() -> None:
            async with self._in_order:
                try:
                    await self._record(self.turn, act)
                    if first is not None:
                        await first()
                    await self._refresh()
                    then()
                except Exception as error:
                    self.notice.say(in_words(error))

        self.run_worker(acting(), name="record an act", group="record")

    async def _record(self, turn: TurnView | None, act: Callable[[Recorder], object]) -> None:
        """Records an act in a thread, and lets the next drafts lean on what the turn says then."""
        await asyncio.to_thread(act, self.recorder)
        self.news.clear()
        if turn is not None:
            self.leaning.learn(turn.turn.id)

    # --- going back, conversations, panes ---------------------------------------------------------------------

    async def action_back(self) -> None:
        """Esc: stops; the second time it takes the turn back; else it goes between composer and drafts."""
        self.notice.clear()
        if self.stream is not None and self.pending:
            self.stream.stop()
            self.stream = None
            self._give_back(self.pending)
            await self._refresh()
        elif self.stream is not None:
            self.stream.stop()
        elif self._stopped and self.waiting:
            self._stopped = False
            self._take_back(self.waiting)
        elif self.composer.has_focus:
            self.desk.focus_pane("drafts")
        else:
            self.composer.focus()

    def _take_back(self, turn: TurnView) -> None:
        if turn.redone:
            self._act(lambda recorder: undo(recorder, turn), then=self.pair.focus_draft)
        else:
            self._act(lambda recorder: recorder.judge(turn.turn.id, "skip"), then=lambda: self._give_back(self._sent))

    def _give_back(self, prompt: str) -> None:
        self.pending = ""
        typed = self.composer.text
        self.composer.replace_text(f"{prompt}\n\n{typed}" if typed.strip() else prompt)
        self.composer.focus()

    async def action_new(self) -> None:
        await self._switch(None)

    @on(OptionList.OptionSelected)
    async def open_selected(self, event: OptionList.OptionSelected) -> None:
        self.desk.remove_class("-sidebar-open")  # on a narrow screen it covers the thread
        await self._switch(int(event.option.id or 0))

    async def _switch(self, conversation_id: int | None) -> None:
        if self.stream is not None:
            self.notice.say("PenPal is still writing: Esc stops it, then you can go elsewhere.")
            return
        self._note_composer()
        await self._open(conversation_id)

    async def _open(self, conversation_id: int | None) -> None:
        self._stopped = False
        self.notice.clear()
        if (card := self.pair.editing) is not None:
            await card.close_editor()
        self.conversation_id = conversation_id
        self._sent = ""
        self.composer.replace_text(self.unsaved.read(self._composer_place))
        await self._refresh()
        await self._show_conversations()
        if self.waiting and not self.composer.text:
            self.pair.focus_draft()
        else:
            self.composer.focus()

    def action_sidebar(self) -> None:
        self.desk.toggle_sidebar()

    # --- showing ----------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Loads the backbone while the person reads or types."""
        self.status.show("loading the backbone", busy=True, hint="you can type already")
        try:
            await self.app.writer()
        except Exception as error:
            self.notice.say(in_words(error))
            self.status.show("not ready", hint="sending a prompt tries again")
        else:
            await self._show_voice()
            if self.stream is None:
                self.status.show("ready")

    async def _read_turns(self) -> tuple[TurnView, ...]:
        if self.conversation_id is None:
            return ()
        return await asyncio.to_thread(read_conversation, self.store, self.conversation_id)

    async def _refresh(self) -> None:
        """Shows the conversation as the store has it now."""
        self.turns = await self._read_turns()
        await self.thread.show(self.turns, pending=self.pending)
        if self.stream is None:
            self.pair.show(self.waiting)
        if self.stream is None and self.app.loaded:
            self._show_ready()
            await self._show_voice()

    def _show_ready(self) -> None:
        editing = self.pair.editing is not None
        hint = self.waiting.hint(stopped=self._stopped, editing=editing) if self.waiting is not None else ""
        self.status.show("stopped" if self._stopped else "ready", hint=hint)

    async def _show_voice(self) -> None:
        writer = await self.app.writer()
        evidence = await asyncio.to_thread(self.store.evidence, backbone_id=writer.decoder.backbone_id)
        voice = f"your voice {writer.voice.encoder_id[:8]}" if writer.voice.encoder_id else "generic voice"
        self.query_one(TitleBar).show_side_note(f"{voice} · {counted(lessons(evidence), 'pair')}")
        self.query_one("#latents-off", Notice).say(
            f"Drafts are generic for now: {self.app.penpal.latents_off}" if self.app.penpal.latents_off else ""
        )

    async def _show_conversations(self) -> None:
        conversations = await asyncio.to_thread(self.store.conversations, origin="chat")
        self.sidebar.show(conversations, current=self.conversation_id)
        title = next((c.title for c in conversations if c.id == self.conversation_id), "new conversation")
        self.query_one(TitleBar).show_title(title)

    # --- text that is being typed -----------------------------------------------------------------------------

    @property
    def _composer_place(self) -> str:
        return "composer" if self.conversation_id is None else f"composer of conversation {self.conversation_id}"

    def _note_composer(self) -> None:
        texts = [text for text in (self.pending, self.composer.text) if text.strip()]
        self.unsaved.changed(self._composer_place, "\n\n".join(texts))

    @on(TextArea.Changed)
    def note_typing(self, event: TextArea.Changed) -> None:
        card = self.pair.editing
        if event.text_area is self.composer:
            self._note_composer()
        elif card is not None and card.view is not None and event.text_area is card.editor:
            changed = event.text_area.text != card.view.shown
            self.unsaved.changed(place_of_edit(card.view.id), event.text_area.text if changed else "")

    def _save_soon(self) -> None:
        if self.unsaved.dirty and not any(w.group == "save" and w.is_running for w in self.workers):
            self.run_worker(self.autosave.save(), name="save what was typed", group="save")

    async def leave(self) -> bool:
        """Stops the decoder, waits until its last words are stored, and saves what was typed."""
        if self.stream is not None:
            self.stream.stop()
            if self.stream.look().turn_id is not None:
                await asyncio.to_thread(self.stream.ended.wait)
        async with self._in_order:
            self._note_composer()
            left = await self.autosave.save_before_leaving()
        if left:
            self.workers.cancel_node(self)  # or one of them would look for widgets that are gone
        return left

"""Writing with PenPal: a prompt, two drafts, a choice, an edit, and on. Knows neither how drafts are made nor stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, OptionList, TextArea

from app.tui.acts import in_words, keep, pick, save_edit, star, undo
from app.tui.app import PenPalApp
from app.tui.draft_stream import DraftStream
from app.tui.screens.too_long import TooLongScreen
from app.tui.turn_view import DraftView, TurnView, place_of_edit, read_conversation
from app.tui.unsaved_texts import SAVE_EVERY_S, UnsavedTexts
from app.tui.widgets.composer import Composer
from app.tui.widgets.conversation_list import ConversationList
from app.tui.widgets.draft_card import count_words
from app.tui.widgets.draft_editor import DraftEditor
from app.tui.widgets.draft_pair import DraftPair
from app.tui.widgets.notice import Notice
from app.tui.widgets.status_line import StatusLine
from app.tui.widgets.thread import Thread
from app.tui.widgets.title_bar import TitleBar
from core.errors import PromptTooLongError, StoreError
from core.session import Proposal, Writer
from core.store import Store

LOOK_EVERY_S = 0.05
"""How often the screen looks at what the decoder has written: 20 times a second reads as flowing text."""


class ChatScreen(Screen[None]):
    """The conversations, the thread, two drafts and the composer."""

    HELP_TITLE = "Writing"
    BINDINGS = [
        Binding("tab", "next_pane", "drafts/prompt", id="chat.next", tooltip="Go between the drafts and the prompt"),
        Binding(
            "shift+tab", "previous_pane", "other pane", show=False, id="chat.previous", tooltip="Go through all panes"
        ),
        Binding(
            "escape", "back", "stop", show=False, id="chat.back",
            tooltip="Stop writing and keep what is there; again: take the prompt back",
        ),
        Binding("ctrl+n", "new", "new", id="chat.new", key_display="^n", tooltip="Start a new conversation"),
        Binding(
            "ctrl+b", "sidebar", "list", id="chat.sidebar", key_display="^b", tooltip="Show or hide the conversations"
        ),
    ]  # fmt: skip

    app = getters.app(PenPalApp)
    composer = getters.query_one(Composer)
    pair = getters.query_one(DraftPair)
    thread = getters.query_one(Thread)
    status = getters.query_one(StatusLine)
    notice = getters.query_one("#notice", Notice)
    sidebar = getters.query_one(ConversationList)

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.unsaved = UnsavedTexts(store)
        self.conversation_id: int | None = None
        self.turns: tuple[TurnView, ...] = ()
        self.stream: DraftStream | None = None
        self.pending = ""
        """A prompt that was sent and is not stored yet."""
        self._sent = ""
        self._stopped = False
        self._in_order = asyncio.Lock()
        self._quit_refused = False

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield Notice(id="latents-off")
        with Horizontal(id="panes"):
            yield ConversationList(id="sidebar")
            with Vertical(id="desk"):
                yield Thread(id="thread")
                yield DraftPair(id="drafts")
                yield Notice(id="notice")
                yield StatusLine(id="status")
                yield Composer(id="composer")
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        self.set_interval(LOOK_EVERY_S, self._look)
        self.set_interval(SAVE_EVERY_S, self._save_unsaved)
        await self._open(self._where_the_person_was())
        self.run_worker(self._load(), name="load the backbone")

    def on_unmount(self) -> None:
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
            await self._settle(writer)
            self.turns = await self._read_turns()
            self.pair.show(None)
            await self.thread.show(self.turns, pending=prompt)
            conversation_id = await self._need_conversation(writer, prompt)
            return lambda: writer.propose(prompt, conversation_id=conversation_id, cut=cut)

        self._write(prepare)

    def _write_again(self, turn: TurnView) -> None:
        async def prepare(writer: Writer) -> Callable[[], Proposal]:
            return lambda: writer.propose_again(turn.turn.id)

        self._write(prepare)

    def _write(self, prepare: Callable[[Writer], Awaitable[Callable[[], Proposal]]]) -> None:
        self.notice.clear()
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
            async with self._in_order:
                propose = await prepare(writer)
            await asyncio.to_thread(stream.run, propose)
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

    async def _settle(self, writer: Writer) -> None:
        """Keeps what the person chose in the turn before, edited or picked, so that going on loses nothing."""
        turn, card = self.waiting, self.pair.editing
        if turn is None:
            return
        draft = card.view if card is not None and card.editor is not None else turn.picked
        if draft is None:
            return
        text = card.editor.text if card is not None and card.editor is not None else draft.shown
        if card is not None and text.strip():
            await asyncio.to_thread(save_edit, writer, turn, draft, text)
            self.unsaved.changed(place_of_edit(draft.id), "")
            await card.close_editor()
        if text.strip():
            await asyncio.to_thread(writer.accept, draft.id, text)

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
                self._act(lambda writer: pick(writer, self._draft(side)), then=lambda: self.pair.focus_draft(side))
            case "edit":
                self._act(lambda writer: pick(writer, self._draft(side)), then=lambda: self._open_editor(side))
            case "keep":
                self._act(lambda writer: keep(writer, self._draft(side)), then=self.composer.focus)
            case "star":
                self._act(lambda writer: star(writer, turn, self._draft(side)))
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
        self._act(lambda writer: undo(writer, self.turn), then=lambda: self._after_undo(said))

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
        turn, card = self.waiting, self.pair.editing
        if turn is None or card is None or card.view is None:
            return
        draft = card.view

        async def close() -> None:
            self.unsaved.changed(place_of_edit(draft.id), "")
            await asyncio.to_thread(self.unsaved.save)
            await card.close_editor()

        self._act(lambda writer: save_edit(writer, turn, draft, event.text), first=close, then=lambda: card.focus())

    @on(DraftEditor.Left)
    async def leave_edit(self, event: DraftEditor.Left) -> None:
        card = self.pair.editing
        if card is None or card.view is None:
            return
        changed = event.text.rstrip() != card.view.shown.rstrip()
        self.unsaved.changed(place_of_edit(card.view.id), event.text if changed else "")
        card.focus()
        await card.close_editor()
        await self._save_unsaved()
        await self._refresh()

    def _open_editor(self, side: int) -> None:
        draft = self._draft(side)
        self.pair.cards[side].open_editor(self.unsaved.read(place_of_edit(draft.id)) or draft.shown)
        self.pair.refresh_bindings()

    def _draft(self, side: int) -> DraftView:
        assert self.turn is not None
        return self.turn.drafts[side]

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        self.notify(f"Copied {count_words(text)}.", timeout=2)

    def _act(
        self,
        act: Callable[[Writer], object],
        *,
        first: Callable[[], Awaitable[None]] | None = None,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        """Records an act in a thread, after all acts before it, then shows the turn as it is now."""

        async def acting() -> None:
            async with self._in_order:
                try:
                    await asyncio.to_thread(act, await self.app.writer())
                    if first is not None:
                        await first()
                    await self._refresh()
                    then()
                except Exception as error:
                    self.notice.say(in_words(error))

        self.run_worker(acting(), name="record an act", group="record")

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
            self._focus_pane("drafts" if self.pair.display else "thread")
        else:
            self.composer.focus()

    def _take_back(self, turn: TurnView) -> None:
        if turn.redone:
            self._act(lambda writer: undo(writer, turn), then=self.pair.focus_draft)
        else:
            self._act(lambda writer: writer.judge(turn.turn.id, "skip"), then=lambda: self._give_back(self._sent))

    def _give_back(self, prompt: str) -> None:
        self.pending = ""
        typed = self.composer.text
        self.composer.replace_text(f"{prompt}\n\n{typed}" if typed.strip() else prompt)
        self.composer.focus()

    async def action_new(self) -> None:
        await self._switch(None)

    @on(OptionList.OptionSelected)
    async def open_selected(self, event: OptionList.OptionSelected) -> None:
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

    def _where_the_person_was(self) -> int | None:
        """The conversation of the text typed last; else the newest one while it waits for a choice; else a new one."""
        kind, _, number = self.store.last_unsaved_place().rpartition(" ")
        if kind == "composer of conversation":
            return int(number)
        if kind == "edit of draft":
            return self.store.turn(self.store.draft(int(number)).turn_id).conversation_id
        for conversation in self.store.conversations(limit=1):
            turns = read_conversation(self.store, conversation.id)
            if turns and turns[-1].kept is None:
                return conversation.id
        return None

    def action_sidebar(self) -> None:
        shown = self.sidebar.display
        self.set_class(shown, "-sidebar-closed")
        self.set_class(not shown, "-sidebar-open")
        if not shown:
            self.sidebar.focus()
        elif self.focused is None or self.focused is self.sidebar:
            self.composer.focus()

    def action_next_pane(self) -> None:
        order = {"composer": "drafts", "drafts": "composer", "thread": "composer", "sidebar": "composer"}
        target = order.get(self._pane, "composer")
        self._focus_pane("thread" if target == "drafts" and not self.pair.display else target)

    def action_previous_pane(self) -> None:
        shown = {"sidebar": self.sidebar.display, "drafts": self.pair.display}
        panes = [pane for pane in ("sidebar", "thread", "drafts", "composer") if shown.get(pane, True)]
        self._focus_pane(panes[panes.index(self._pane) - 1])

    @property
    def _pane(self) -> str:
        """Where the focus is."""
        panes = {"sidebar": self.sidebar, "thread": self.thread, "drafts": self.pair}
        return next((name for name, pane in panes.items() if pane.has_focus_within), "composer")

    def _focus_pane(self, pane: str) -> None:
        if pane == "drafts":
            card = self.pair.editing
            (card.editor or card).focus() if card is not None else self.pair.focus_draft()
        else:
            {"sidebar": self.sidebar, "thread": self.thread, "composer": self.composer}[pane].focus()

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
            self.status.show("stopped" if self._stopped else "ready", hint=self._hint())
            await self._show_voice()

    def _hint(self) -> str:
        if self._stopped and self.waiting:
            return "esc brings the drafts before back" if self.waiting.redone else "esc gives your prompt back"
        if self.waiting is None:
            return ""
        return "enter keeps it, e edits it" if self.waiting.picked else "which draft is more like you?"

    async def _show_voice(self) -> None:
        writer = await self.app.writer()
        pairs = await asyncio.to_thread(self.store.pairs, backbone_id=writer.decoder.backbone_id)
        voice = f"your voice {writer.voice.encoder_id[:8]}" if writer.voice.encoder_id else "generic voice"
        self.query_one(TitleBar).show_side_note(f"{voice} · {len(pairs)} pair{'s' * (len(pairs) != 1)}")
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

    async def _save_unsaved(self) -> bool:
        """Saves what was typed; says so when it cannot, and tries again."""
        if not self.unsaved.dirty:
            return True
        try:
            await asyncio.to_thread(self.unsaved.save)
        except StoreError as error:
            self.notice.say(str(error))
            return False
        return True

    async def leave(self) -> bool:
        """Stops the decoder, waits until its last words are stored, and saves what was typed."""
        if self.stream is not None:
            self.stream.stop()
            if self.stream.look().turn_id is not None:
                await asyncio.to_thread(self.stream.ended.wait)
        async with self._in_order:
            self._note_composer()
            saved = await self._save_unsaved()
        if saved or self._quit_refused:
            return True
        self._quit_refused = True
        self.notice.say(f"{self.notice.text} ctrl+q again leaves without your last words.")
        return False

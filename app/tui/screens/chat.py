"""Writing with PenPal: a prompt, two drafts, a choice, an edit, and on. Knows not how drafts are made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import OptionList, TextArea

from app.attachments import Attachment
from app.newest_run import fresh_run
from app.tui.app import PenPalApp
from app.tui.beginnings import Beginnings
from app.tui.choosing import Choosing
from app.tui.conversations import Conversations
from app.tui.draft_stream import DraftStream
from app.tui.drafting import Drafting
from app.tui.editing_outside import EditingOutside
from app.tui.handing_out import HandingOut
from app.tui.key_names import key_name, with_keys
from app.tui.leaning import Leaning
from app.tui.learning_here import LearningHere
from app.tui.open_conversation import OpenConversation
from app.tui.reading_ahead import ReadingAhead
from app.tui.starting_place import starting_place
from app.tui.turn_view import TurnView
from app.tui.typed_text import TypedText
from app.tui.unsaved_texts import SAVE_EVERY_S, UnsavedTexts
from app.tui.widgets.composer import OTHERWISE, PROMPT, Composer
from app.tui.widgets.conversation_list import ConversationList
from app.tui.widgets.desk import Desk
from app.tui.widgets.draft_card import DraftCard
from app.tui.widgets.draft_editor import DraftEditor
from app.tui.widgets.draft_pair import DraftPair
from app.tui.widgets.fitting_footer import FittingFooter
from app.tui.widgets.notice import Notice
from app.tui.widgets.status_line import StatusLine
from app.tui.widgets.thread import Thread
from app.tui.widgets.title_bar import TitleBar
from app.tui.window import Window
from app.tui.wording import as_news, in_words
from core.session import Writer, title_of
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
        Binding(
            "ctrl+o", "edit_outside", "own editor", show=False, id="chat.edit-outside",
            tooltip="Open the prompt or the draft in your own editor ($VISUAL, $EDITOR)",
        ),
        Binding(
            "ctrl+f", "search", "search", id="chat.search", key_display="^f", priority=True,
            tooltip="Search everything that you asked, PenPal drafted, and you edited",
        ),
        Binding(
            "ctrl+l", "learning", "learning", show=False, id="chat.learning",
            tooltip="Learn nothing from this conversation, or learn from it again",
        ),
        Binding("f4", "morning", "questions", show=False, id="chat.morning", key_display="F4",
                tooltip="Three short questions, the morning after PenPal found a better voice"),
        Binding("ctrl+n", "new", "new", show=False, id="chat.new", tooltip="Start a new conversation"),
        Binding(
            "ctrl+b", "sidebar", "list", show=False, id="chat.sidebar", tooltip="Show or hide the conversations"
        ),
        Binding(
            "ctrl+t", "start", "begin with", id="chat.start", key_display="^t",
            tooltip="Reply to a message, rewrite or continue a text",
        ),
        Binding("f5", "tour", "tour", show=False, id="chat.tour", key_display="F5", tooltip="Be shown around"),
    ]  # fmt: skip

    AUTO_FOCUS = "Composer"

    app = getters.app(PenPalApp)
    desk = getters.query_one(Desk)
    composer = getters.query_one(Composer)
    pair = getters.query_one(DraftPair)
    thread = getters.query_one(Thread)
    status = getters.query_one(StatusLine)
    notice = getters.query_one("#notice", Notice)
    news = getters.query_one("#news", Notice)
    sidebar = getters.query_one(ConversationList)

    def __init__(
        self,
        store: Store,
        *,
        context: str | None = None,
        attached: Sequence[Attachment] = (),
        welcome: bool = False,
    ) -> None:
        """`attached` goes below the first prompt; `welcome`: whoever is here for the first time is shown around."""
        super().__init__()
        self.store = store
        self.conversation = OpenConversation(store)
        self.drafting = Drafting(self, context=context)
        self.choosing = Choosing(self)
        self.conversations = Conversations(self)
        self.handing_out = HandingOut(self)
        self.editing_outside = EditingOutside(self)
        self.reading_ahead = ReadingAhead(self)
        self.learning_here = LearningHere(self)
        self.beginnings = Beginnings(self, attached, welcome=welcome)

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield Notice(id="latents-off")
        yield Desk()
        yield FittingFooter()

    async def on_mount(self) -> None:
        self.window = Window(self.app.penpal.home, self.store)
        self.typed = TypedText(self.conversation, self.composer, self.window, complain=self.notice.say)
        self.leaning = Leaning(self.store, self.app.learn_now, mention=self.status.mention, complain=self.news.say)
        self.set_interval(LOOK_EVERY_S, self.drafting.look)
        self.set_interval(SAVE_EVERY_S, self._save_soon)
        await self._open(starting_place(self.store, self.window))
        if (run := fresh_run(self.store)) is not None:
            self.news.say(with_keys(self, as_news(run)))
        elif not self.window.alone:
            self.news.say("PenPal is open in another window too. Both work, and each keeps what is typed in it.")
        self.run_worker(self._load(), name="load the backbone")
        await self.beginnings.begin()

    async def on_screen_resume(self) -> None:
        await self.learning_here.come_back()

    def on_unmount(self) -> None:
        self.leaning.stop()
        self.reading_ahead.stop()
        self.beginnings.stop()
        self.drafting.stop()
        self.window.close()

    # --- what is true now -------------------------------------------------------------------------------------

    @property
    def conversation_id(self) -> int | None:
        return self.conversation.id

    @property
    def turns(self) -> tuple[TurnView, ...]:
        return self.conversation.turns

    @property
    def turn(self) -> TurnView | None:
        return self.conversation.turn

    @property
    def waiting(self) -> TurnView | None:
        """The turn that waits for a choice."""
        return self.conversation.waiting

    @property
    def stream(self) -> DraftStream | None:
        """The drafts that are being written."""
        return self.drafting.stream

    @property
    def unsaved(self) -> UnsavedTexts:
        return self.typed.unsaved

    # --- what the person asks for -----------------------------------------------------------------------------

    @on(Composer.Sent)
    def send(self, event: Composer.Sent) -> None:
        self.drafting.send(event.prompt)

    @on(DraftPair.Wished)
    def act_on_draft(self, event: DraftPair.Wished) -> None:
        self.choosing.fulfil(event.wish, event.side)

    @on(Thread.UndoWished)
    def undo(self) -> None:
        self.choosing.undo()

    @on(Thread.CopyWished)
    def copy_kept(self, event: Thread.CopyWished) -> None:
        self.handing_out.copy(event.text)

    @on(Thread.SaveWished)
    def save_kept(self, event: Thread.SaveWished) -> None:
        self.handing_out.save(event.text)

    @on(DraftEditor.Saved)
    def save_edited(self, event: DraftEditor.Saved) -> None:
        self.choosing.save_edit(event.text)

    @on(DraftEditor.Left)
    def leave_edit(self, event: DraftEditor.Left) -> None:
        self.choosing.leave_edit(event.text)

    @on(DraftCard.ChangesChosen)
    def choose_changes(self, event: DraftCard.ChangesChosen) -> None:
        self.choosing.choose_changes(event.card, event.text)

    async def action_edit_outside(self) -> None:
        await self.editing_outside.start()

    @on(TextArea.Changed)
    def note_typing(self, event: TextArea.Changed) -> None:
        card = self.pair.editing
        if event.text_area is self.composer:
            self.typed.note_composer()
            self.reading_ahead.soon()
        elif card is not None and card.view is not None and event.text_area is card.editor:
            self.typed.note_edit(card.view, event.text_area.text)

    @on(OptionList.OptionSelected)
    async def open_selected(self, event: OptionList.OptionSelected) -> None:
        self.desk.remove_class("-sidebar-open")  # on a narrow screen it covers the thread
        await self.switch_to(int(event.option.id or 0))

    @on(ConversationList.Wished)
    def act_on_conversation(self, event: ConversationList.Wished) -> None:
        self.conversations.fulfil(event.wish, event.conversation_id)

    @on(Thread.BranchWished)
    def branch_off(self, event: Thread.BranchWished) -> None:
        turn = next((turn for turn in self.turns if turn.turn.id == event.turn_id), None)
        if turn is not None:
            self.conversations.branch_off(turn)

    @on(Thread.OriginWished)
    def open_origin(self) -> None:
        self.conversations.open_origin()

    def action_search(self) -> None:
        self.conversations.search()

    async def action_back(self) -> None:
        """Esc: stops; the second time it takes the turn back; else it goes between composer and drafts."""
        self.notice.clear()
        if await self.drafting.stop_or_take_back():
            return
        if self.conversation.is_unsent_branch:
            await self.conversations.leave_unsent_branch()
        elif self.composer.has_focus:
            self.desk.focus_pane("drafts")
        else:
            self.composer.focus()

    async def action_learning(self) -> None:
        await self.learning_here.toggle()

    async def action_morning(self) -> None:
        await self.learning_here.ask_questions()

    async def action_new(self) -> None:
        await self.switch_to(None)

    def action_start(self) -> None:
        self.beginnings.offer()

    def action_tour(self) -> None:
        self.beginnings.show_tour()

    def action_sidebar(self) -> None:
        self.desk.toggle_sidebar()

    # --- between conversations --------------------------------------------------------------------------------

    async def switch_to(self, conversation_id: int | None) -> bool:
        """Opens another conversation, None a new one. False while drafts are being written, which it says."""
        if self.stream is not None:
            said = "PenPal is still writing: {chat.back} stops it, then you can go elsewhere."
            self.notice.say(with_keys(self, said))
            return False
        self.typed.note_composer()
        await self._open(conversation_id)
        return True

    async def _open(self, conversation_id: int | None) -> None:
        self.notice.clear()
        if (card := self.pair.editing) is not None:
            await card.close_editor()
        self.conversation.id = conversation_id
        self.drafting.forget_sent()
        self.composer.replace_text(self.typed.composer_text())
        await self.refresh_turns()
        await self.show_conversations()
        if self.waiting and not self.composer.text:
            self.pair.focus_draft()
        else:
            self.composer.focus()

    async def need_conversation(self, writer: Writer, prompt: str) -> int:
        """The open conversation; the first prompt makes one."""
        if self.conversation.id is None:
            made = await asyncio.to_thread(writer.conversation, prompt, origin="chat")
            self.typed.forget_composer()  # no sooner: until here, keys are noted for a new conversation
            self.conversation.id = made
            self.learning_here.note_new(self.conversation.id)
            self.typed.note_composer()
            await self.conversation.read()
        elif self.conversation.is_unsent_branch:
            await asyncio.to_thread(self.store.rename_conversation, self.conversation.id, title_of(prompt))
        return self.conversation.id

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
            await self.learning_here.show_standing()
            if self.stream is None:
                self.status.show("ready")
            self.reading_ahead.soon()
            await self.learning_here.begin()
            with suppress(Exception):  # the first answer tries again, and says what is wrong
                await self.app.ready_to_learn()

    async def refresh_turns(self, *, choose: bool = False) -> None:
        """Shows the conversation as the store has it now; `choose` goes to the drafts unless something is typed."""
        await self.conversation.read()
        about = self.conversation.about
        is_branch = about is not None and about.branch_of is not None
        await self.thread.show(self.turns, pending=self.conversation.pending, is_branch=is_branch)
        self.composer.border_title = with_keys(self, OTHERWISE) if self.conversation.is_unsent_branch else PROMPT
        if self.turn is not None and not self.sidebar.lists(self.turn.turn.conversation_id):
            await self.show_conversations()  # the first prompt of a branch lists it
        if self.stream is None:
            self.pair.show(self.waiting)
        if choose and self.waiting and not self.composer.text:
            self.pair.focus_draft(0)  # before the hint asks for a choice: the answer must not land in the prompt
        if self.stream is None and self.app.loaded:
            self.show_ready()
            await self.learning_here.show_standing()
            self.reading_ahead.soon()

    def show_ready(self) -> None:
        """Says that it is the person's turn, and what they can do."""
        editing, stopped = self.pair.editing is not None, self.drafting.stopped
        hint = ""
        if self.waiting is not None:
            hint = self.waiting.hint(stopped=stopped, editing=editing, key=partial(key_name, self))
        self.status.show("stopped" if stopped else "ready", hint=hint)

    async def show_conversations(self, *, cursor: int | None = None) -> None:
        """Lists the conversations with the cursor on one of them, else on the open one, and says which one is open."""
        conversations = await asyncio.to_thread(self.store.conversations, origin="chat")
        self.sidebar.show(conversations, cursor=self.conversation.id if cursor is None else cursor)
        about = self.conversation.about
        self.query_one(TitleBar).show_title(about.title if about is not None else "new conversation")
        self.learning_here.show_badge()

    # --- leaving ----------------------------------------------------------------------------------------------

    def _save_soon(self) -> None:
        if self.typed.dirty and not any(w.group == "save" and w.is_running for w in self.workers):
            self.run_worker(self.typed.save(), name="save what was typed", group="save")

    async def leave(self) -> bool:
        """Stops the decoder, waits until its last words are stored, and saves what was typed."""
        await self.drafting.stop_and_wait()
        async with self.conversation.in_order:
            left = await self.typed.save_before_leaving()
        if left:
            self.workers.cancel_node(self)  # or one of them would look for widgets that are gone
        return left

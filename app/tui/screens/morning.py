"""Three of the person's own prompts, each in the new voice and in the one before it: which one is more like them?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from app.morning import (
    Question,
    Review,
    decline,
    make_question,
    preference_of,
    questions_so_far,
    reopen,
    settle,
)
from app.tui.app import PenPalApp
from app.tui.key_names import key_names, with_keys
from app.tui.learning_words import voice_name
from app.tui.widgets.draft_card import DraftCard
from app.tui.widgets.fitting_footer import FittingFooter
from app.tui.widgets.notice import Notice
from app.tui.widgets.status_line import StatusLine
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import counted, in_words
from core.comparison import QUESTIONS, Preference, Verdict
from core.feedback import ActKind
from core.recorder import Recorder
from core.store import Store

WAITING = """\
Three of your own prompts come back, each with two drafts.
One is in the new voice, one in the voice before it.

Pick the one that is more like you. Two votes for the voice before,
and PenPal goes back to it."""
LATER = "{morning.later}: another time"
ANSWERED = "{morning.undo} takes the last answer back, {morning.later} goes on"
NO_MORE = "No more questions about this voice. {app.learning} shows how to go back to the one before it."
NOTHING_TO_ASK = (
    "Both voices write the same for your latest prompts: there is nothing to choose. PenPal keeps the new one."
)


@dataclass(frozen=True)
class Answered:
    """A question that was answered here, with the act that says so."""

    question: Question
    act_id: int


class MorningScreen(Screen[None]):
    """Blind: nothing on it tells the voices apart until all is answered."""

    HELP_TITLE = "Old or new, blind"
    BINDINGS = [
        Binding("left,1", "pick(0)", "left", id="morning.left", key_display="←/1", tooltip="The left one"),
        Binding("right,2", "pick(1)", "right", id="morning.right", key_display="→/2", tooltip="The right one"),
        Binding("t,0", "neither('tie')", "tie", id="morning.tie", tooltip="Both are equally good"),
        Binding("b", "neither('both_bad')", "both bad", id="morning.both-bad", tooltip="Neither will do"),
        Binding("u", "undo", "undo", id="morning.undo", tooltip="Take the last answer back, and what came of it"),
        Binding("x", "decline", "don't ask", id="morning.decline", tooltip="Ask no more about this voice, and keep it"),
        Binding("escape,q", "dismiss", "back", key_display="esc", id="morning.later", tooltip="Go on another time"),
        Binding("down,j", "scroll_both(1)", "down", show=False, id="morning.down", tooltip="Scroll both drafts down"),
        Binding("up,k", "scroll_both(-1)", "up", show=False, id="morning.up", tooltip="Scroll both drafts up"),
    ]
    AUTO_FOCUS = ""
    """No draft has the focus: that would favour it."""

    app = getters.app(PenPalApp)
    status = getters.query_one(StatusLine)
    notice = getters.query_one("#notice", Notice)

    def __init__(self, store: Store, review: Review) -> None:
        super().__init__()
        self._store, self._review, self._recorder = store, review, Recorder(store)
        self._waiting: list[Question] = []
        self._answered: list[Answered] = []
        self._made_all = False
        self._asked_before, self._possible = 0, QUESTIONS
        """Questions that were answered another time, and how many there can be."""
        self._left = threading.Event()
        self.question: Question | None = None
        """What is asked now."""
        self.verdict: Verdict | None = None
        """What came of it, once all is answered."""

    def compose(self) -> ComposeResult:
        yield TitleBar()
        with Vertical(id="morning", classes="-waiting"):
            with VerticalScroll(id="morning-prompt", can_focus=False):
                yield Static("", id="morning-prompt-text", markup=False)
            with Container(id="drafts"):
                yield DraftCard(" ".join(key_names(self, "morning.left")[:2]), id="draft-0")
                yield DraftCard(" ".join(reversed(key_names(self, "morning.right")[:2])), id="draft-1")
            yield Static(WAITING, id="morning-words", markup=False)
            yield Notice(id="notice")
            yield StatusLine(id="status")
        yield FittingFooter()

    def on_mount(self) -> None:
        self.query_one(TitleBar).show_title("the new voice, or the one before?")
        self.status.show("writing the first two drafts", busy=True, hint=with_keys(self, LATER))
        self.run_worker(self._make(), name="make questions", group="make")

    def on_unmount(self) -> None:
        self._left.set()

    # --- asking -----------------------------------------------------------------------------------------------

    async def _make(self) -> None:
        """Brings the questions that are open already, then makes the others while the person reads."""
        try:
            await self.app.writer()
            so_far = await asyncio.to_thread(questions_so_far, self._store, self._review)
            asked = {question.comparison.asked_turn_id for question in so_far}
            prompts = [turn for turn in self._review.prompts if turn.id not in asked]
            self._possible = len(so_far) + len(prompts)
            for question in so_far:
                if await asyncio.to_thread(preference_of, self._store, question) is None:
                    self._bring(question)
                else:
                    self._asked_before += 1
            missing = QUESTIONS - len(so_far)
            for turn in prompts:
                if missing <= 0 or self._left.is_set():
                    break
                question_made = await asyncio.to_thread(
                    make_question, self.app.penpal, self._review, turn, cancelled=self._left.is_set
                )
                if question_made is not None:
                    missing -= 1
                    self._bring(question_made)
            if not self._left.is_set():
                self._made_all = True
                await self._go_on()
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception, more: str = "{morning.later} goes back.") -> None:
        """In one line, unless the person has gone already."""
        for notice in self.query("#notice").results(Notice):
            notice.say(f"{in_words(error)} {with_keys(self, more)}")
            self.status.show("something went wrong")

    def _bring(self, question: Question) -> None:
        self._waiting.append(question)
        if self.question is None and self.verdict is None:
            self._show_next()

    def _show_next(self) -> None:
        self.question = self._waiting.pop(0) if self._waiting else None
        self.query_one("#morning").set_class(self.question is None, "-waiting").remove_class("-over")
        self.query_one(TitleBar).show_title("which draft is more like you?")
        if self.question is None:
            self.query_one("#morning-words", Static).update(WAITING)
            self.status.show("writing the next two drafts", busy=True, hint=with_keys(self, LATER))
            return
        self.query_one("#morning-prompt-text", Static).update(self.question.prompt)
        for card, draft in zip(self.query(DraftCard), self.question.drafts, strict=True):
            card.show_blind(draft.text.strip())
        number, all_of_them = self._asked_before + len(self._answered) + 1, min(QUESTIONS, self._possible)
        self.status.show(f"question {number} of {all_of_them}", hint=with_keys(self, LATER))
        self.refresh_bindings()

    async def _go_on(self) -> None:
        """Shows the next question, or what all the answers say."""
        if self.question is not None:
            return
        if self._waiting or not self._made_all:
            self._show_next()
            return
        verdict, preferences = await asyncio.to_thread(settle, self._store, self.app.penpal.home, self._review)
        self.verdict = verdict
        if verdict == "rolled back":
            await self.app.take_up_voice()
        self.query_one("#morning").add_class("-waiting", "-over")
        self.query_one(TitleBar).show_title("thank you")
        self.query_one("#morning-words", Static).update(self._words(verdict, preferences))
        self.status.show("answered", hint=with_keys(self, ANSWERED))
        self.refresh_bindings()

    def _words(self, verdict: Verdict, preferences: Sequence[Preference]) -> str:
        if not preferences:
            return NOTHING_TO_ASK
        new, old, neither = (preferences.count(which) for which in ("new", "old", "neither"))
        told = f"You chose the new voice {counted(new, 'time')} and the one before it {counted(old, 'time')}"
        told += f"; {counted(neither, 'time')} neither." if neither else "."
        if verdict == "rolled back":
            return (
                f"{told}\n\nPenPal writes in {voice_name(self._review.old)} again. Nothing that you answered is lost."
            )
        return f"{told}\n\nPenPal keeps the new voice."

    # --- answering --------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "pick" | "neither":
                return self.question is not None
            case "undo":
                return bool(self._answered)
            case "decline":
                return self.verdict is None
        return True

    def action_pick(self, side: int) -> None:
        if (question := self.question) is not None:
            left = question.drafts[0].id
            self._record(lambda: self._recorder.pick(question.drafts[side].id, left_draft_id=left))

    def action_neither(self, kind: str) -> None:
        if (question := self.question) is not None:
            turn_id, left = question.comparison.turn_id, question.drafts[0].id
            judged: ActKind = "tie" if kind == "tie" else "both_bad"
            self._record(lambda: self._recorder.judge(turn_id, judged, left_draft_id=left))

    def _record(self, act: Callable[[], int]) -> None:
        """Records an answer in a thread; a key that is held down answers one question only."""
        question, self.question = self.question, None

        async def recording() -> None:
            assert question is not None
            try:
                act_id = await asyncio.to_thread(act)
            except Exception as error:
                self.question = question
                self._complain(error, "This question is not answered yet.")
                return
            self.notice.clear()
            self._answered.append(Answered(question, act_id))
            await self._learn(question)
            await self._go_on()

        self.run_worker(recording(), name="record an answer", group="record")

    async def _learn(self, question: Question) -> None:
        with suppress(Exception):  # the answer is on record: the next run learns from it all the same
            await self.app.learn_now(question.comparison.turn_id)

    def action_undo(self) -> None:
        """Takes the last answer back, with the verdict if there was one."""
        last = self._answered.pop()
        if self.question is not None:
            self._waiting.insert(0, self.question)
        self.question = None
        self._waiting.insert(0, last.question)

        async def undoing() -> None:
            try:
                await asyncio.to_thread(self._recorder.undo, last.question.comparison.turn_id, last.act_id)
                if self.verdict is not None:
                    self.verdict = None
                    await asyncio.to_thread(reopen, self._store, self._review)
                    await self.app.take_up_voice()
                await self._learn(last.question)
                self._show_next()
            except Exception as error:
                self._complain(error)

        self.run_worker(undoing(), name="take an answer back", group="record")

    async def action_decline(self) -> None:
        await asyncio.to_thread(decline, self._store, self._review)
        self.notify(with_keys(self, NO_MORE))
        self.dismiss()

    def action_scroll_both(self, lines: int) -> None:
        for card in self.query(DraftCard):
            card.scroll_relative(y=lines, animate=False)

"""Pair after pair: which of two drafts is better? Blind, one key each, the next pair ready before it is asked for."""

from __future__ import annotations

import asyncio
import time

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical, VerticalScroll
from textual.getters import app as getters_app
from textual.getters import query_one
from textual.screen import Screen
from textual.widgets import Static, TextArea

from app.newest_run import fresh_run
from app.pair_choice import PairChoice
from app.pair_sources import PairSource
from app.tui.answering import Answering
from app.tui.app import PenPalApp
from app.tui.editing_instead import EditingInstead
from app.tui.key_names import key_name, key_names, with_keys
from app.tui.leaning import Leaning
from app.tui.pair_maker import PairMaker, RatedPair
from app.tui.rating_session import Answer, AnswerKind, History, RatingSession, Reply, history_of
from app.tui.rating_words import details, foresight, goal_words, said, summary, until_it_matters
from app.tui.screens.rating_panel import RatingPanelScreen
from app.tui.screens.why import WhyScreen
from app.tui.widgets.draft_card import DraftCard
from app.tui.widgets.draft_editor import DraftEditor
from app.tui.widgets.fitting_footer import FittingFooter
from app.tui.widgets.notice import Notice
from app.tui.widgets.status_line import StatusLine
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import as_news, in_words
from app.until_it_matters import how_much_more
from core.feedback import Strength
from core.store import Store

LOOK_EVERY_S = 0.05
SAVE_EVERY_S = 0.5
MIN_LOOK_S = 0.2
"""An answer sooner than this after a pair has shown is a key held down, not a choice."""
GOAL = 20
WAITING = """\
Two drafts are on their way.

Read both, then press {rate.left} or {rate.right} for the one that is more like you,
{rate.clearly-left} or {rate.clearly-right} if it clearly is. There is no right answer:
PenPal learns your taste from it."""
WHICH = "{rate.left} or {rate.right}, {rate.quit} neither"
EDITING = "{editor.save} keeps your version, {editor.leave} goes back to the pair"
ALL_ANSWERED = """\
That was the last pair.

Everything you answered is kept. {rate.quit} leaves."""


class RateScreen(Screen[None]):
    """The prompt, two drafts, and a key for each answer."""

    HELP_TITLE = "Choosing"
    BINDINGS = [
        Binding(
            "left,1,a", "answer('left')", "left", id="rate.left", key_display="←",
            tooltip="The left one is a little better",
        ),
        Binding(
            "right,2,d", "answer('right')", "right", id="rate.right", key_display="→",
            tooltip="The right one is a little better",
        ),
        Binding(
            "shift+left,A", "answer('left', 'clear')", "clearly", id="rate.clearly-left", key_display="⇧←→",
            tooltip="The left one is clearly better: counts twice as much",
        ),
        Binding(
            "shift+right,D", "answer('right', 'clear')", "clearly right", show=False, id="rate.clearly-right",
            tooltip="The right one is clearly better: counts twice as much",
        ),
        Binding("t,0", "answer('tie')", "tie", id="rate.tie", tooltip="Both are equally good"),
        Binding("b,x", "answer('both_bad')", "both bad", id="rate.both-bad", tooltip="Neither will do"),
        Binding("s,space", "answer('skip')", "skip", id="rate.skip", tooltip="No opinion: teaches nothing"),
        Binding("e", "edit", "edit", id="rate.edit", tooltip="Write one of them as it should have been"),
        Binding("w", "why", "why", id="rate.why", tooltip="Say why, before you choose"),
        Binding("u,z,backspace", "undo", "undo", id="rate.undo", tooltip="Go back to the pair before"),
        Binding("i", "panel", "how it goes", show=False, id="rate.panel", tooltip="See how well PenPal foresees you"),
        Binding("down,j", "scroll_both(1)", "down", show=False, id="rate.down", tooltip="Scroll both drafts down"),
        Binding("up,k", "scroll_both(-1)", "up", show=False, id="rate.up", tooltip="Scroll both drafts up"),
        Binding("r", "retry", "try again", show=False, id="rate.retry", tooltip="Try again after an error"),
        Binding("q,escape", "go_back", "quit", id="rate.quit", key_display="q", tooltip="Stop; all answers are kept"),
    ]  # fmt: skip

    AUTO_FOCUS = ""
    """No draft has the focus at first: that would favour it."""

    app = getters_app(PenPalApp)
    status = query_one(StatusLine)
    notice = query_one("#notice", Notice)
    news = query_one("#news", Notice)

    def __init__(self, store: Store, source: PairSource, *, goal: int = GOAL) -> None:
        super().__init__()
        self.store, self.source = store, source
        self.session = RatingSession(goal)
        self.history = History()
        self.pair: RatedPair | None = None
        self.why: str | None = None
        """The reason for the answer that comes next."""
        self.which_to_edit = False
        self._matters = ""
        self._shown_at = 0.0
        self._making = False

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield Notice(id="latents-off")
        with Vertical(id="question"):
            with VerticalScroll(id="rate-prompt", can_focus=False) as box:
                box.border_title = "prompt"
                yield Static("", id="prompt-text", markup=False)
            with Container(id="drafts"):
                yield DraftCard(" ".join(key_names(self, "rate.left")[:2]), id="draft-0")
                yield DraftCard(" ".join(reversed(key_names(self, "rate.right")[:2])), id="draft-1")
            yield Static(with_keys(self, WAITING), id="rate-waiting", markup=False)
            yield Notice(id="notice")
            yield Notice(id="news", quiet=True)
            yield Static("", id="rating-line", markup=False)
            yield StatusLine(id="status")
        yield FittingFooter()

    @property
    def answers(self) -> list[Answer]:
        """Those of this session."""
        return self.session.answers

    @property
    def leaning(self) -> Leaning:
        """What follows from the answers at once."""
        return self.answering.leaning

    def on_mount(self) -> None:
        self.maker = PairMaker(self.source, PairChoice(self.app.penpal))
        self.editing = EditingInstead(self.store, self.notice.say)
        self.answering = Answering(self)
        if (run := fresh_run(self.store)) is not None:
            self.news.say(with_keys(self, as_news(run)))
        self.query_one(TitleBar).show_title("which draft is more like you?")
        self.set_interval(LOOK_EVERY_S, self.look)
        self.set_interval(SAVE_EVERY_S, self.editing.save)
        if (left := self.editing.left_half_made()) is not None:
            self._show(left[0])
            self._open_editor(left[1])
        self.action_retry()

    def on_unmount(self) -> None:
        self.maker.stop()
        self.leaning.stop()

    # --- pairs ------------------------------------------------------------------------------------------------

    def action_retry(self) -> None:
        """Loads what is needed and makes pairs, unless that is going on already."""
        if not self._making:
            self._making = True
            self.notice.clear()
            self.run_worker(self._make_pairs(), name="make pairs", group="make")

    async def _make_pairs(self) -> None:
        try:
            writer = await self.app.writer()
            self.history = await asyncio.to_thread(history_of, self.store)
            await self.show_progress()
            if self.app.penpal.latents_off:
                self.query_one("#latents-off", Notice).say(f"Drafts are generic: {self.app.penpal.latents_off}")
            await asyncio.to_thread(self.maker.run, writer)
        except Exception as error:
            self.notice.say(f"{in_words(error)} ({key_name(self, 'rate.retry')} tries again)")
        self._making = False

    def look(self) -> None:
        """Shows the next pair when the person is free and one is ready."""
        if self.pair is None and not self.answering.busy and (pair := self.maker.take()) is not None:
            self._show(pair)
        if self.pair is None:
            self._show_waiting()
        self._show_goal()

    def _show(self, pair: RatedPair) -> None:
        self.pair = pair
        self._shown_at = time.monotonic()
        if self.session.started is None:
            self.session.started = self._shown_at
        self.query_one("#question").remove_class("-waiting")
        self.query_one("#prompt-text", Static).update(pair.prompt)
        for card, draft, cut in zip(self.query(DraftCard), pair.shown, pair.cut, strict=True):
            card.show_blind(f"{draft.text.strip()}{' …' * cut}")
        self._show_choice()

    def _show_choice(self) -> None:
        """What the person can do now."""
        if self.editing.card is not None:
            self.status.show("write it as you would", hint=with_keys(self, EDITING))
        elif self.which_to_edit:
            self.status.show("which one will you edit?", hint=with_keys(self, WHICH))
        elif self.why:
            self.status.show(f"because: {self.why}", hint="now choose")
        else:
            undo = with_keys(self, "{rate.undo} takes it back")
            last = f"last answer: {said(self.answers[-1])}; {undo}" if self.answers else ""
            self.status.show("your choice", hint=last)

    def _show_waiting(self) -> None:
        self.query_one("#question").add_class("-waiting")
        over = self.maker.exhausted and not self._making
        self.query_one("#rate-waiting", Static).update(with_keys(self, ALL_ANSWERED if over else WAITING))
        if over:
            self.status.show("all pairs are answered", hint=with_keys(self, "{rate.undo} goes back, {rate.quit} quits"))
        elif not self._making:
            self.status.show("no pair", hint=with_keys(self, "{rate.retry} tries again, {rate.quit} quits"))
        elif not self.app.loaded:
            self.status.show("loading the backbone", busy=True)
        else:
            self.status.show(self.maker.phase, busy=True, hint="the next pair is on its way")

    # --- answers ----------------------------------------------------------------------------------------------

    def action_answer(self, kind: AnswerKind, strength: Strength | None = None) -> None:
        if self.pair is None or self.answering.busy or self.editing.card is not None:
            return
        if self.which_to_edit:
            if kind in ("left", "right"):
                self._open_editor(int(kind == "right"))
            return
        if time.monotonic() - self._shown_at >= MIN_LOOK_S:
            self.answering.answer(self.pair, Reply(kind, strength, self.why))

    async def done_with(self, answer: Answer) -> None:
        """On to the next pair."""
        if self._making:
            self.notice.clear()
        if self.editing.draft is not None:
            self.editing.forget(self.editing.draft)
            await self.editing.close()
        self.answers.append(answer)
        self.pair = self.why = None
        self.maker.perhaps_ask_again(self.session.to_ask_again)
        if len(self.session) == self.session.goal:
            go_on = with_keys(self, "Go on as long as you like; {rate.quit} sums up.")
            self.news.say(f"{self.session.goal} answered: that was your goal. {go_on}")

    def action_undo(self) -> None:
        if self.editing.card is None:
            self.answering.undo()

    def back_to(self, pair: RatedPair) -> None:
        """Shows an old pair; the present one comes after it."""
        if self.pair is not None:
            self.maker.put_back(self.pair)
        self.why, self.which_to_edit = None, False
        self._show(pair)

    # --- why, and editing instead -----------------------------------------------------------------------------

    def action_why(self) -> None:
        if self.pair is not None and self.editing.card is None:
            self.which_to_edit = False
            self.app.push_screen(WhyScreen(), self._because)

    def _because(self, reason: str | None) -> None:
        self.why = reason or None
        self._show_choice()

    def action_edit(self) -> None:
        """Asks which one, unless one of them has the focus."""
        if self.pair is None or self.answering.busy or self.editing.card is not None:
            return
        focused = next((side for side, card in enumerate(self.query(DraftCard)) if card.has_focus), None)
        if focused is not None:
            self._open_editor(focused)
        else:
            self.which_to_edit = True
            self._show_choice()

    def _open_editor(self, side: int) -> None:
        assert self.pair is not None
        self.which_to_edit = False
        self.editing.open(list(self.query(DraftCard))[side], self.pair.shown[side])
        self._show_choice()

    @on(TextArea.Changed)
    def _typed(self, event: TextArea.Changed) -> None:
        self.editing.note(event.text_area.text)

    @on(DraftEditor.Saved)
    def _save_edit(self, event: DraftEditor.Saved) -> None:
        if self.pair is not None and self.editing.draft is not None and not self.answering.busy:
            edited = (self.editing.draft.id, event.text)
            self.answering.answer(self.pair, Reply("edit", note=self.why, edited=edited))

    @on(DraftEditor.Left)
    async def _leave_edit(self) -> None:
        await self.editing.close()
        self.set_focus(None)
        self._show_choice()

    # --- how it goes ------------------------------------------------------------------------------------------

    def action_scroll_both(self, lines: int) -> None:
        for card in self.query(DraftCard):
            card.scroll_relative(y=lines, animate=False)

    def action_panel(self) -> None:
        self.app.push_screen(RatingPanelScreen(details(self.session, self.history, self._matters)))

    def _show_goal(self) -> None:
        self.query_one(TitleBar).show_side_note(goal_words(self.session))

    async def show_progress(self) -> None:
        writer = await self.app.writer()
        lessons = await asyncio.to_thread(self.store.count_lessons, backbone_id=writer.decoder.backbone_id)
        more = await asyncio.to_thread(how_much_more, self.app.penpal, writer)
        self._matters = until_it_matters(lessons, more)
        parts = [self._matters, foresight(self.session.tally())]
        if self.maker.random_because:
            parts.append("pairs come in random order")
        self.query_one("#rating-line", Static).update(" · ".join(part for part in parts if part))

    async def action_go_back(self) -> None:
        """Out of what was begun with the pair; else out of the program."""
        if self.which_to_edit or self.why:
            self.which_to_edit, self.why = False, None
            self._show_choice()
        else:
            await self.app.action_quit()

    async def leave(self) -> bool:
        """Stops the maker, waits until nothing is on its way to the store, and sums up."""
        if not await self.editing.save_before_leaving():
            return False
        self.maker.stop()
        while self.answering.busy or (self._making and self.app.loaded):
            await asyncio.sleep(0.01)
        history = await asyncio.to_thread(history_of, self.store)
        self.app.exit(message=summary(self.session, history.days_in_a_row))
        return True

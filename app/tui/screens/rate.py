"""Pair after pair: which of two drafts is better? Blind, one key each, the next pair ready before it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from app.newest_run import fresh_run
from app.tui.app import PenPalApp
from app.tui.leaning import Leaning
from app.tui.pair_maker import PairMaker, RatedPair
from app.tui.widgets.draft_card import DraftCard
from app.tui.widgets.notice import Notice
from app.tui.widgets.status_line import StatusLine
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import as_news, counted, in_words
from core.evidence import lessons
from core.feedback import ActKind
from core.session import Writer
from core.store import Store

LOOK_EVERY_S = 0.05
MIN_LOOK_S = 0.2
"""An answer sooner than this after a pair has shown is a key held down, not a choice."""
AGAIN_AFTER_ANSWERS, AGAIN_AFTER_PAIRS = 8, 6
"""A pair is asked again once so many are answered, and so many after it: nobody should remember it."""

SAID = {"left": "left", "right": "right", "tie": "a tie", "both_bad": "both bad", "skip": "skipped"}
WAITING = """\
Two drafts are on their way.

Read both, then press ← or → for the one that is more like you.
There is no right answer: PenPal learns your taste from it."""


@dataclass(frozen=True)
class Answer:
    """A pair that was answered, with the act that says so."""

    pair: RatedPair
    kind: str
    act_id: int

    @property
    def chosen_id(self) -> int | None:
        """The draft that was chosen, if one was."""
        return self.pair.shown[self.kind == "right"].id if self.kind in ("left", "right") else None


class RateScreen(Screen[None]):
    """The prompt, two drafts, and a key for each answer."""

    HELP_TITLE = "Choosing"
    BINDINGS = [
        Binding("left,1", "answer('left')", "left", id="rate.left", key_display="←/1", tooltip="The left one (1)"),
        Binding("right,2", "answer('right')", "right", id="rate.right", key_display="→/2", tooltip="The right one (2)"),
        Binding("t,0", "answer('tie')", "tie", id="rate.tie", tooltip="Both are equally good"),
        Binding("b", "answer('both_bad')", "both bad", id="rate.both-bad", tooltip="Neither will do"),
        Binding("s,space", "answer('skip')", "skip", id="rate.skip", tooltip="No opinion: teaches nothing"),
        Binding("u", "undo", "undo", id="rate.undo", tooltip="Go back to the pair before and answer it again"),
        Binding("down,j", "scroll_both(1)", "down", show=False, id="rate.down", tooltip="Scroll both drafts down"),
        Binding("up,k", "scroll_both(-1)", "up", show=False, id="rate.up", tooltip="Scroll both drafts up"),
        Binding("r", "retry", "try again", show=False, id="rate.retry", tooltip="Try again after an error"),
        Binding("q,escape", "app.quit", "quit", id="rate.quit", tooltip="Stop; all answers are kept"),
    ]

    AUTO_FOCUS = ""
    """No draft has the focus at first: that would favour it."""

    app = getters.app(PenPalApp)
    status = getters.query_one(StatusLine)
    notice = getters.query_one("#notice", Notice)
    news = getters.query_one("#news", Notice)

    def __init__(self, store: Store, prompts: Sequence[str], *, context: str | None = None) -> None:
        super().__init__()
        self.store = store
        self.maker = PairMaker(prompts, context=context)
        self.pair: RatedPair | None = None
        self.answers: list[Answer] = []
        self._shown_at = 0.0
        self._recording = False
        self._making = False

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield Notice(id="latents-off")
        with Vertical(id="question"):
            with VerticalScroll(id="rate-prompt", can_focus=False) as box:
                box.border_title = "prompt"
                yield Static("", id="prompt-text", markup=False)
            with Container(id="drafts"):
                yield DraftCard("← 1", id="draft-0")
                yield DraftCard("2 →", id="draft-1")
            yield Static(WAITING, id="rate-waiting", markup=False)
            yield Notice(id="notice")
            yield Notice(id="news", quiet=True)
            yield StatusLine(id="status")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.leaning = Leaning(self.store, self.app.learn_now, mention=self.status.mention, complain=self.news.say)
        if (run := fresh_run(self.store)) is not None:
            self.news.say(as_news(run))
        self.query_one(TitleBar).show_title("which draft is more like you?")
        self.set_interval(LOOK_EVERY_S, self._look)
        self.action_retry()

    def on_unmount(self) -> None:
        self.maker.stop()
        self.leaning.stop()

    def action_retry(self) -> None:
        """Loads what is needed and makes pairs, unless that is going on already."""
        if not self._making:
            self._making = True
            self.notice.clear()
            self.run_worker(self._make_pairs(), name="make pairs", group="make")

    async def _make_pairs(self) -> None:
        try:
            writer = await self.app.writer()
            await self._show_progress()
            if self.app.penpal.latents_off:
                self.query_one("#latents-off", Notice).say(f"Drafts are generic: {self.app.penpal.latents_off}")
            await asyncio.to_thread(self.maker.run, writer)
        except Exception as error:
            self.notice.say(f"{in_words(error)} ('r' tries again)")
        self._making = False

    def _look(self) -> None:
        """Shows the next pair when the person is free and one is ready."""
        if self.pair is None and not self._recording and (pair := self.maker.take()) is not None:
            self._show(pair)
        if self.pair is None:
            self._show_waiting()

    def _show(self, pair: RatedPair) -> None:
        self.pair = pair
        self._shown_at = time.monotonic()
        self.query_one("#question").remove_class("-waiting")
        self.query_one("#prompt-text", Static).update(pair.prompt)
        for card, draft in zip(self.query(DraftCard), pair.shown, strict=True):
            card.show_blind(draft.text.strip())
        last = f"last answer: {SAID[self.answers[-1].kind]}, u takes it back" if self.answers else ""
        self.status.show("your choice", hint=last)

    def _show_waiting(self) -> None:
        self.query_one("#question").add_class("-waiting")
        if not self._making:
            self.status.show("no pair", hint="r tries again, q quits")
        elif not self.app.loaded:
            self.status.show("loading the backbone", busy=True)
        else:
            self.status.show(self.maker.phase, busy=True, hint="the next pair is on its way")

    def action_answer(self, kind: str) -> None:
        if self.pair is None or self._recording or time.monotonic() - self._shown_at < MIN_LOOK_S:
            return
        self._recording = True
        self.run_worker(self._record(self.pair, kind), name="record an answer", group="record")

    async def _record(self, pair: RatedPair, kind: str) -> None:
        try:
            act_id = await self._recorded(pair, lambda writer: answer(writer, pair, kind))
        except Exception as error:
            self.notice.say(f"{in_words(error)} This pair is not answered yet.")
        else:
            if self._making:
                self.notice.clear()
            self.answers.append(Answer(pair, kind, act_id))
            self.pair = None
            if len(self.answers) >= AGAIN_AFTER_ANSWERS:
                old = self.answers[:-AGAIN_AFTER_PAIRS]
                self.maker.perhaps_ask_again([a.pair for a in old if a.chosen_id is not None and not a.pair.again])
        self._recording = False
        self._look()
        await self._show_progress()

    async def _recorded(self, pair: RatedPair, act: Callable[[Writer], int]) -> int:
        """Records an act about a pair in a thread, lets the voice lean on it, and returns the act's id."""
        act_id = await asyncio.to_thread(act, await self.app.writer())
        self.news.clear()
        self.leaning.learn(pair.turn_id)
        return act_id

    def action_scroll_both(self, lines: int) -> None:
        for card in self.query(DraftCard):
            card.scroll_relative(y=lines, animate=False)

    def action_undo(self) -> None:
        if self.answers and not self._recording:
            self._recording = True
            self.run_worker(self._undo(self.answers[-1]), name="take an answer back", group="record")

    async def _undo(self, last: Answer) -> None:
        try:
            await self._recorded(last.pair, lambda writer: writer.recorder.undo(last.pair.turn_id, last.act_id))
        except Exception as error:
            self.notice.say(in_words(error))
        else:
            self.answers.pop()
            if self.pair is not None:
                self.maker.put_back(self.pair)
            self._show(last.pair)
            self.status.show(f"taken back: {SAID[last.kind]}", hint="answer it again")
        self._recording = False
        await self._show_progress()

    async def _show_progress(self) -> None:
        writer = await self.app.writer()
        evidence = await asyncio.to_thread(self.store.evidence, backbone_id=writer.decoder.backbone_id)
        self.query_one(TitleBar).show_side_note(
            f"{len(self.answers)} answered this session · {counted(lessons(evidence), 'pair')} in all"
        )

    async def leave(self) -> bool:
        """Stops the maker, waits until the draft it was writing is stored, and sums up."""
        self.maker.stop()
        while self._recording or (self._making and self.app.loaded):
            await asyncio.sleep(0.01)
        self.app.exit(message=summary(self.answers))
        return True


def answer(writer: Writer, pair: RatedPair, kind: str) -> int:
    """Records an answer and returns its act."""
    left, again = pair.shown[0].id, pair.again
    if kind in ("left", "right"):
        return writer.recorder.pick(pair.shown[kind == "right"].id, left_draft_id=left, again=again)
    judged: ActKind = "tie" if kind == "tie" else "both_bad" if kind == "both_bad" else "skip"
    return writer.recorder.judge(pair.turn_id, judged, left_draft_id=left, again=again)


def summary(answers: Sequence[Answer]) -> str:
    """The closing line."""
    if not answers:
        return "Nothing answered this time."
    kinds = Counter("choice" if a.kind in ("left", "right") else a.kind for a in answers)
    parts = ", ".join(f"{n} both bad" if kind == "both_bad" else counted(n, kind) for kind, n in kinds.items())
    chosen = [a for a in answers if a.chosen_id is not None]
    first = {a.pair.turn_id: a.chosen_id for a in chosen if not a.pair.again}
    same = [a.chosen_id == first[a.pair.turn_id] for a in chosen if a.pair.again and a.pair.turn_id in first]
    again = f" Asked again, you chose the same {sum(same)} of {counted(len(same), 'time')}." if same else ""
    return f"{len(answers)} answered ({parts}).{again} 'penpal personalize' learns from them."

"""What PenPal has learned, for the person whose voice it is: last night, the curves, the voice, and the way back."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from app.morning import Review, due_review
from app.progress import Portraits, Progress, read_portraits, read_progress
from app.tui.app import PenPalApp
from app.tui.key_names import with_keys
from app.tui.learning_words import (
    ABOUT_QUESTIONS,
    about_generic,
    about_going_back,
    about_next_generic,
    standing,
    summary,
    voice_name,
)
from app.tui.screens.morning import MorningScreen
from app.tui.screens.report import ReportScreen
from app.tui.widgets.explained_button import ExplainedButton
from app.tui.widgets.fitting_footer import FittingFooter
from app.tui.widgets.notice import Notice
from app.tui.widgets.page import Page
from app.tui.widgets.title_bar import TitleBar
from app.tui.widgets.trait_bars import TraitBars
from app.tui.wording import in_words
from core.store import EncoderRecord, Store
from core.voices import GENERIC, TAKEN_BACK, roll_back, use_encoder

NO_NIGHTS = """\
After two nights of learning, a curve here shows
how many of your choices PenPal foresees."""
NO_WEEKS = """\
Keep drafts for two weeks, and a curve here shows
how much of them you change first. Less is better."""
NO_TRAITS = """\
Keep a few drafts, and bars here show what is typical of you:
short sentences, a warm tone, many questions."""


class LearningScreen(Screen[None]):
    """Words and curves; the numbers are one key deeper."""

    HELP_TITLE = "What PenPal learned"
    BINDINGS = [
        Binding("escape,q", "dismiss", "back", key_display="esc", id="learning.back", tooltip="Back to where you were"),
        Binding("n", "numbers", "numbers", id="learning.numbers", tooltip="The numbers behind this"),
        Binding("o", "next_generic", "try generic", id="learning.next-generic",
                tooltip="Write the next drafts without your voice, once"),
        Binding("b", "go_back", "go back", id="learning.roll-back", tooltip="Go back to the voice before"),
        Binding("w", "use_generic", "generic", show=False, id="learning.generic",
                tooltip="Write without your voice from now on"),
        Binding("f4", "ask", "questions", show=False, id="chat.morning", key_display="F4",
                tooltip="Three short questions, the morning after PenPal found a better voice"),
        Binding("u", "undo", "undo", id="learning.undo", tooltip="Take the last change of voice back"),
    ]  # fmt: skip
    AUTO_FOCUS = "Page"

    app = getters.app(PenPalApp)
    notice = getters.query_one("#notice", Notice)
    said = getters.query_one("#said", Notice)

    def __init__(self, store: Store, *, writing: bool) -> None:
        """`writing`: the person comes from writing, and may want a draft without their voice there."""
        super().__init__()
        self._store, self._writing = store, writing
        self.progress: Progress | None = None
        """None until it is read."""
        self.portraits: Portraits | None = None
        self._review: Review | None = None
        self._was_away = False
        """The person went from here to another screen, where they may have changed something."""
        self._changed_from: list[EncoderRecord | None] = []
        """The voices that were changed here, the latest last."""

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield Notice(id="notice")
        with Page(id="learning"):
            yield Static("", id="summary", markup=False)
            yield Notice(id="said", quiet=True)
            with Container(id="curves"):
                with Vertical(id="foresight", classes="panel") as panel:
                    panel.border_title = "choices of yours that PenPal foresees"
                with Vertical(id="edits", classes="panel") as panel:
                    panel.border_title = "words you change before keeping a draft"
            with Vertical(id="traits", classes="panel") as panel:
                panel.border_title = "how you write"
                yield TraitBars()
                yield Static(NO_TRAITS, classes="nothing", markup=False)
            with Vertical(id="choices"):
                yield ExplainedButton("Three short questions", action="ask")
                yield ExplainedButton("Once without my voice", action="next_generic")
                yield ExplainedButton("The voice before", action="go_back")
                yield ExplainedButton("Without my voice", action="use_generic")
        yield FittingFooter()

    async def on_mount(self) -> None:
        self.query_one(TitleBar).show_title("what PenPal learned")

        self._read_again()

    def on_screen_suspend(self) -> None:
        self._was_away = True

    def on_screen_resume(self) -> None:
        if self._was_away:
            self._read_again()

    def _read_again(self) -> None:
        self.run_worker(self._show(), name="read what was learned", group="read", exclusive=True)

    # --- showing ----------------------------------------------------------------------------------------------

    async def _show(self) -> None:
        """Shows what the store knows now: the words first, then curves and bars, which take longer."""
        try:
            backbone_id = (await self.app.writer()).decoder.backbone_id if self.app.loaded else None
            progress, self._review = await asyncio.to_thread(self._read, backbone_id)
            self._show_words(progress)
            portraits = await asyncio.to_thread(read_portraits, self._store, progress.active)
            await self._show_curves(progress)
            self._show_traits(progress, portraits)
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """In one line, unless the person has gone already."""
        for notice in self.query("#notice").results(Notice):
            notice.say(in_words(error))

    def _read(self, backbone_id: str | None) -> tuple[Progress, Review | None]:
        penpal = self.app.penpal
        asks = penpal.settings.learning.morning and not penpal.latents_off
        progress = read_progress(self._store, penpal.home, backbone_id=backbone_id)
        return progress, due_review(self._store, penpal.home) if asks else None

    def _show_words(self, progress: Progress) -> None:
        self.progress = progress
        self.query_one(TitleBar).show_side_note(standing(progress))
        self.query_one("#summary", Static).update(summary(progress))
        ask, once, before, without = self.query(ExplainedButton)
        ask.show(ABOUT_QUESTIONS if self._review is not None else "")
        own = progress.active is not None
        once.show(about_next_generic(self.app.next_is_generic) if own and self._writing else "")
        before.show(about_going_back(progress) if progress.can_roll_back else "")
        without.show(about_generic() if own and progress.before is not None else "")
        self.refresh_bindings()

    async def _show_curves(self, progress: Progress) -> None:
        # Not sooner: it imports plotext, which takes as long as everything else here.
        curves = await asyncio.to_thread(importlib.import_module, "app.tui.widgets.curve")
        await self._fill("#foresight", curves.foresight(progress.nights) or NO_NIGHTS, "● put to use   ○ not used")
        await self._fill("#edits", curves.edits(progress.weeks) or NO_WEEKS, "● in your voice   ○ generic")

    async def _fill(self, panel_id: str, content: Widget | str, legend: str) -> None:
        panel = self.query_one(panel_id)
        nothing = isinstance(content, str)
        panel.border_subtitle = "" if nothing else legend
        async with panel.batch():
            await panel.remove_children()
            await panel.mount(Static(content, classes="nothing", markup=False) if isinstance(content, str) else content)

    def _show_traits(self, progress: Progress, portraits: Portraits) -> None:
        panel, bars = self.query_one("#traits"), self.query_one(TraitBars)
        self.portraits = portraits
        own = portraits.voice if progress.active is not None and portraits.voice else portraits.kept
        shown = bool(own and portraits.generic)
        panel.set_class(not shown, "-nothing")
        if own is portraits.kept:
            bars.show(own, portraits.generic, {}, who="what you keep")
            panel.border_title = "how you write, beside the generic voice"
        else:
            bars.show(own, portraits.generic, portraits.kept, who="your voice")
            panel.border_title = "your voice, beside the generic one"

    @property
    def changing(self) -> bool:
        """Another voice is being taken up."""
        return any(worker.group == "change" and worker.is_running for worker in self.workers)

    # --- what the person asks for -----------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What cannot be done now is neither in the footer nor done."""
        progress = self.progress
        match action:
            case "ask":
                return self._review is not None
            case "next_generic":
                return self._writing and progress is not None and progress.active is not None
            case "go_back":
                return progress is not None and progress.can_roll_back
            case "use_generic":
                return progress is not None and progress.active is not None and progress.before is not None
            case "undo":
                return bool(self._changed_from)
        return True

    def action_numbers(self) -> None:
        self.app.push_screen(ReportScreen(self._store, self.app.penpal.home))

    def action_ask(self) -> None:
        if self._review is not None:
            self.app.push_screen(MorningScreen(self._store, self._review))

    def action_next_generic(self) -> None:
        self.app.next_is_generic = not self.app.next_is_generic
        if self.progress is not None:
            self._show_words(self.progress)

    def action_go_back(self) -> None:
        self._change(lambda: roll_back(self._store, self.app.penpal.home.encoders))

    def action_use_generic(self) -> None:
        self._change(lambda: use_encoder(self._store, GENERIC, self.app.penpal.home.encoders))

    def action_undo(self) -> None:
        if self.changing:
            return
        before = self._changed_from.pop()

        def take_back() -> EncoderRecord | None:
            self._store.activate_encoder(before.id if before else None, TAKEN_BACK)
            return before

        self._change(take_back, undoes=True)

    async def _take_up(self, before: EncoderRecord | None) -> None:
        """Lets the next drafts be written in the new voice. When it cannot be read, the one before stays."""
        try:
            await self.app.take_up_voice()
        except Exception:
            await asyncio.to_thread(self._store.activate_encoder, before.id if before else None, TAKEN_BACK)
            raise

    def _change(self, change: Callable[[], EncoderRecord | None], *, undoes: bool = False) -> None:
        """Changes the voice, and lets the next drafts be written in it; one change at a time."""
        if self.changing:
            return

        async def changing() -> None:
            before = self.progress.active if self.progress is not None else None
            try:
                now = await asyncio.to_thread(change)
                await self._take_up(before)
                if not undoes:
                    self._changed_from.append(before)
                way_out = "" if undoes else with_keys(self, " {learning.undo} takes that back.")
                self.said.say(f"From the next draft on, PenPal writes in {voice_name(now)}.{way_out}")
            except Exception as error:
                self._complain(error)
            await self._show()

        self.run_worker(changing(), name="change the voice", group="change")

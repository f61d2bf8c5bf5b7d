"""Three picks to begin with: the keys of every day, on made-up tasks."""

from __future__ import annotations

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widgets import Static

from app.tui.app import PenPalApp
from app.tui.key_names import key_name, with_keys
from app.tui.warm_up import PICKS, WarmUp, WarmUpPair
from app.tui.widgets.draft_card import DraftCard
from app.tui.widgets.fitting_footer import FittingFooter
from app.tui.widgets.notice import Notice
from app.tui.widgets.status_line import StatusLine
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import in_words

LOOK_EVERY_S = 0.05
WAITING = "Two short drafts are on their way.\n\nThere is no right answer: pick the one that is more like you."


class WarmUpScreen(Screen[int]):
    """A made-up task, two drafts, one key. Returns how many were picked."""

    CSS_PATH = "../start.tcss"
    HELP_TITLE = "Warming up"
    BINDINGS = [
        Binding("1,left", "pick(0)", "first", key_display="1", id="warm-up.left", tooltip="Pick the first"),
        Binding("2,right", "pick(1)", "second", key_display="2", id="warm-up.right", tooltip="Pick the second"),
        Binding("s,space", "skip", "skip", id="warm-up.skip", tooltip="No opinion: teaches nothing"),
        Binding("escape,q", "leave", "to writing", key_display="esc", id="warm-up.leave", tooltip="Write"),
    ]
    AUTO_FOCUS = ""
    """No draft has the focus: that would favour it."""

    app = getters.app(PenPalApp)

    def __init__(self, warm_up: WarmUp) -> None:
        super().__init__()
        self._warm_up = warm_up
        self._shown: WarmUpPair | None = None

    def compose(self) -> ComposeResult:
        yield TitleBar()
        with Vertical(id="warm-up", classes="-waiting"):
            yield Static("", id="warm-up-task", markup=False)
            with Container(id="drafts"):
                yield DraftCard(key_name(self, "warm-up.left"), id="draft-0")
                yield DraftCard(key_name(self, "warm-up.right"), id="draft-1")
            yield Static(WAITING, id="warm-up-waiting", markup=False)
            yield Notice(id="notice")
            yield StatusLine(id="status")
        yield FittingFooter()

    def on_mount(self) -> None:
        self.query_one(TitleBar).show_title("three quick picks: which one is more like you?")
        self.set_interval(LOOK_EVERY_S, self._look)
        self._look()

    def _look(self) -> None:
        """Shows the pair whose turn it is."""
        warm_up, status = self._warm_up, self.query_one(StatusLine)
        if warm_up.over or warm_up.failed is not None:
            self.action_leave()
            return
        self.query_one("#warm-up").set_class(warm_up.pair is None, "-waiting")
        if warm_up.pair is None:
            status.show("writing" if self.app.loaded else "loading the backbone", busy=True)
        elif warm_up.pair is not self._shown:
            self._show(warm_up.pair)
            hint = with_keys(self, "{warm-up.left} or {warm-up.right}, {warm-up.skip} skips")
            status.show(f"pick {len(warm_up.picked) + warm_up.skipped + 1} of {PICKS}", hint=hint)

    def _show(self, pair: WarmUpPair) -> None:
        self._shown = pair
        self.query_one("#warm-up-task", Static).update(pair.prompt)
        for card, draft in zip(self.query(DraftCard), pair.drafts, strict=True):
            card.show_blind(draft.text.strip())

    def action_pick(self, side: int) -> None:
        if not any(worker.group == "record" and worker.is_running for worker in self.workers):
            self.run_worker(self._pick(side), name="record a pick", group="record")

    async def _pick(self, side: int) -> None:
        try:
            await self._warm_up.pick(side)
        except Exception as error:
            self.query_one(Notice).say(in_words(error))

    def action_skip(self) -> None:
        self._warm_up.skip()

    def action_leave(self) -> None:
        if self.is_current:
            self.dismiss(len(self._warm_up.picked))

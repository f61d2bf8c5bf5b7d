"""Ways to begin a text: a list of them, and a short form for what each needs."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static, TextArea
from textual.widgets.option_list import Option

from app.starting_points import STARTING_POINTS, StartingPoint
from app.tui.key_names import with_keys
from app.tui.unsaved_texts import UnsavedTexts
from app.tui.widgets.writing_area import WritingArea
from app.tui.wording import count_words
from core.errors import UsageError

WISH, TEXT = "wish of a start", "text of a start"
"""Where the store keeps what is typed into the form until it is sent."""


class StartScreen(ModalScreen[StartingPoint]):
    """Asks how to begin; nothing when the person would rather not."""

    CSS_PATH = "../start.tcss"
    HELP_TITLE = "Ways to begin"
    BINDINGS = [
        Binding("escape,q", "dismiss", "back", id="start.back", tooltip="Back to where you were"),
        *(
            Binding(str(number), f"choose({number})", point.title, show=False, id=f"start.{point.name}")
            for number, point in enumerate(STARTING_POINTS, 1)
        ),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(classes="start-box") as box:
            box.border_title = "how would you like to begin?"
            box.border_subtitle = with_keys(self, "a key, or ↑↓ and enter · {start.back} back")
            yield OptionList(
                *(Option(with_keys(self, f"{{start.{point.name}}}  {point.title}")) for point in STARTING_POINTS),
                compact=True,
            )

    def action_choose(self, number: int) -> None:
        self.dismiss(STARTING_POINTS[number - 1])

    @on(OptionList.OptionSelected)
    def choose(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(STARTING_POINTS[event.option_index])


class StartFormScreen(ModalScreen[str]):
    """A wish in one line and a pasted text; returns the prompt. What is typed is kept until it is sent."""

    CSS_PATH = "../start.tcss"
    HELP_TITLE = "In the form"
    BINDINGS = [
        Binding("escape", "dismiss", "later", id="form.back", tooltip="Back; what you typed stays here for next time"),
        Binding("ctrl+s", "write", "write", id="form.write", priority=True, tooltip="Have two drafts written"),
    ]

    def __init__(self, point: StartingPoint, unsaved: UnsavedTexts, *, text: str = "") -> None:
        """`text` is there already, unless a text was typed here before and not sent."""
        super().__init__()
        self._point, self._unsaved = point, unsaved
        self._text = unsaved.read(TEXT) or text

    def compose(self) -> ComposeResult:
        point = self._point
        with Vertical(classes="start-box -form") as box:
            box.border_title = point.title
            box.border_subtitle = with_keys(self, "{form.write} writes two drafts · ⇥ next · {form.back} later")
            yield Static(point.wish, classes="start-label", markup=False)
            yield Input(self._unsaved.read(WISH), placeholder=f"for example: {point.example}", compact=True, id="wish")
            yield Static("", classes="start-label", id="text-label", markup=False)
            yield WritingArea(self._text, placeholder="Paste it here.", compact=True, highlight_cursor_line=False)
            yield Static("", id="start-notice", markup=False)

    def on_mount(self) -> None:
        self.note_text()

    @on(Input.Changed)
    def note_wish(self, event: Input.Changed) -> None:
        self._unsaved.changed(WISH, event.value)
        self._say("")

    @on(TextArea.Changed)
    def note_text(self) -> None:
        text = self.query_one(TextArea).text
        self._unsaved.changed(TEXT, text)
        counted = f" · {count_words(text)}" if text.strip() else ""
        self.query_one("#text-label", Static).update(f"{self._point.material}{counted}")
        self._say("")

    @on(Input.Submitted)
    def go_on(self) -> None:
        """Enter in the wish: to the text while there is none, else it is all there."""
        if self.query_one(TextArea).text.strip():
            self.action_write()
        else:
            self.query_one(TextArea).focus()

    def action_write(self) -> None:
        try:
            self.dismiss(self._point.prompt(self.query_one(Input).value, self.query_one(TextArea).text))
        except UsageError as error:
            self._say(f"⚠ {error}")
            self.query_one(TextArea).focus()

    def _say(self, text: str) -> None:
        self.query_one("#start-notice", Static).update(text)

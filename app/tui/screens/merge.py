"""One text out of two drafts: sentences of both on top, the text that they make below, open for editing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import TextArea

from app.tui.key_names import with_keys
from app.tui.widgets.draft_editor import DraftEditor
from app.tui.widgets.fitting_footer import FittingFooter
from app.tui.widgets.sentence_list import SentenceList
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import count_words
from core.sentences import take_in, take_out


class MergeScreen(Screen[str]):
    """The text that the person saved; empty when they left it for later."""

    HELP_TITLE = "Putting two drafts together"
    BINDINGS = [
        Binding("left,h", "go(0)", "left", show=False, id="merge.left", tooltip="Go to the sentences of draft 1"),
        Binding("right,l", "go(1)", "right", show=False, id="merge.right", tooltip="Go to the sentences of draft 2"),
        Binding("ctrl+s", "save", "save", id="editor.save", key_display="^s", tooltip="Save the text as your version"),
        Binding("escape", "dismiss('')", "leave", id="merge.leave", tooltip="Leave; the text is kept for later"),
        Binding(
            "tab", "app.focus_next", "switch", id="merge.next", key_display="⇥",
            tooltip="To the other draft, to the text",
        ),
    ]  # fmt: skip

    editor = getters.query_one(DraftEditor)

    def __init__(self, drafts: Sequence[str], text: str, *, side: int, typed: Callable[[str], object]) -> None:
        """`text`: what was put together before. `side`: the draft to begin with. `typed` hears of each change."""
        super().__init__()
        self._drafts, self._text, self._side, self._typed = drafts, text, side, typed

    def compose(self) -> ComposeResult:
        yield TitleBar()
        with Container(id="merge"):
            with Container(id="sources"):
                for i, draft in enumerate(self._drafts):
                    yield SentenceList(f"draft {i + 1}", draft, id=f"sentences-{i}")
            yield DraftEditor(self._text)
        yield FittingFooter()

    def on_mount(self) -> None:
        self.query_one(TitleBar).show_title("one text out of both drafts")
        self.editor.border_title = "your text"
        self.editor.placeholder = "The sentences that you take come together here; then change what you like."
        self.editor.move_cursor(self.editor.document.end)
        self._follow()
        self.action_go(self._side)

    @property
    def lists(self) -> list[SentenceList]:
        return list(self.query(SentenceList))

    # --- taking sentences -------------------------------------------------------------------------------------

    def on_sentence_list_taken(self, event: SentenceList.Taken) -> None:
        """They come in where the cursor of the text is, one after the other."""
        text, at = self.editor.text, self.editor.cursor_index
        for sentence in event.sentences:
            text, at = take_in(text, at, sentence, after=self._gap_after(text[:at]))
        self.editor.replace_all(text, at)

    def on_sentence_list_returned(self, event: SentenceList.Returned) -> None:
        text = take_out(self.editor.text, event.sentence.text)
        self.editor.replace_all(text, len(text))

    def _gap_after(self, text: str) -> str:
        """What stood behind the sentence that this text ends with, in the draft that it comes from."""
        every = [sentence for one in self.lists for sentence in one.sentences]
        return next((one.after for one in every if text.rstrip().endswith(one.text)), "")

    # --- the text ---------------------------------------------------------------------------------------------

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        self._follow()
        self._typed(self.editor.text)

    def _follow(self) -> None:
        for one in self.lists:
            one.follow(self.editor.text)
        self.editor.border_subtitle = count_words(self.editor.text)

    def on_draft_editor_saved(self) -> None:
        self.action_save()

    def on_draft_editor_left(self) -> None:
        self.dismiss("")

    def action_save(self) -> None:
        if self.editor.text.strip():
            self.dismiss(self.editor.text)
        else:
            said = "There is nothing to save yet: take a sentence with {sentences.take}, or write one."
            self.notify(with_keys(self, said), timeout=4)

    def action_go(self, side: int) -> None:
        self.lists[side].focus()

"""A draft as a list of its sentences, each to be taken over or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.sentences import Sentence, takes_over, with_breaks

TAKEN, NOT_TAKEN = "✓ ", "· "


class SentenceList(OptionList):
    """Which sentences are taken is read from the text they are taken into, so the two can never differ."""

    HELP_TITLE = "On the sentences of a draft"
    BINDINGS = [
        Binding(
            "space", "select", "take", id="sentences.take", key_display="space",
            tooltip="Take this sentence into your text, or out again (Enter too)",
        ),
        Binding(
            "a", "take_all", "all", show=False, id="sentences.all",
            tooltip="Take all sentences that are not in your text yet",
        ),
        Binding("k", "cursor_up", "up", show=False, id="sentences.up", tooltip="Go to the sentence above"),
        Binding("j", "cursor_down", "down", show=False, id="sentences.down", tooltip="Go to the sentence below"),
    ]  # fmt: skip

    @dataclass
    class Taken(Message):
        """These sentences go into the text."""

        sentences: Sequence[Sentence]

    @dataclass
    class Returned(Message):
        """This sentence goes out of the text again."""

        sentence: Sentence

    def __init__(self, title: str, text: str, *, id: str) -> None:
        self.sentences = with_breaks(text)
        super().__init__(*(Option(sentence.text) for sentence in self.sentences), id=id)
        self.border_title = title
        self._taken = [False] * len(self.sentences)

    def on_resize(self) -> None:
        for i in range(len(self.sentences)):
            self._mark(i)

    def follow(self, text: str) -> None:
        """Marks what stands in this text."""
        for i, sentence in enumerate(self.sentences):
            taken = takes_over(text, sentence.text)
            if taken != self._taken[i]:
                self._taken[i] = taken
                self._mark(i)
        self.border_subtitle = f"{sum(self._taken)} of {len(self.sentences)} taken"

    def _mark(self, i: int) -> None:
        """Writes a sentence anew: its mark, and its lines below each other."""
        padding = self.get_component_styles("option-list--option").padding.width
        columns = max(1, self.scrollable_content_region.width - padding - len(TAKEN))
        mark = (TAKEN, "$accent bold") if self._taken[i] else (NOT_TAKEN, "$dim")
        lines = Content.styled(self.sentences[i].text, "bold" if self._taken[i] else "").wrap(columns)
        self.replace_option_prompt_at_index(i, Content.assemble(mark, Content("\n" + " " * len(TAKEN)).join(lines)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        i = event.option_index
        self.post_message(self.Returned(self.sentences[i]) if self._taken[i] else self.Taken([self.sentences[i]]))

    def action_take_all(self) -> None:
        self.post_message(
            self.Taken([one for one, taken in zip(self.sentences, self._taken, strict=True) if not taken])
        )

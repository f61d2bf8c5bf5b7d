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
        super().__init__(*(Option(_unmarked(sentence)) for sentence in self.sentences), id=id)
        self.border_title = title
        self._taken = [False] * len(self.sentences)

    def follow(self, text: str) -> None:
        """Marks what stands in this text."""
        for i, sentence in enumerate(self.sentences):
            taken = takes_over(text, sentence.text)
            if taken != self._taken[i]:
                self._taken[i] = taken
                self.replace_option_prompt_at_index(i, _marked(sentence) if taken else _unmarked(sentence))
        self.border_subtitle = f"{sum(self._taken)} of {len(self.sentences)} taken"

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        i = event.option_index
        self.post_message(self.Returned(self.sentences[i]) if self._taken[i] else self.Taken([self.sentences[i]]))

    def action_take_all(self) -> None:
        self.post_message(
            self.Taken([one for one, taken in zip(self.sentences, self._taken, strict=True) if not taken])
        )


def _marked(sentence: Sentence) -> Content:
    return Content.assemble(("✓ ", "$accent bold"), (sentence.text, "bold"))


def _unmarked(sentence: Sentence) -> Content:
    return Content.assemble(("· ", "$dim"), sentence.text)

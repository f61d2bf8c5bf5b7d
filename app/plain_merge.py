"""One text out of two drafts, line by line: sentences of both under numbers, paragraphs under p1, p2, ..."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.plain import InputEnded, Lines
from app.plain_drafting import written_by_hand
from app.tui.turn_view import TurnView, place_of_merge
from core.sentences import Sentence, take_in, with_breaks
from core.store import Store

WANTED = re.compile(r"p?\d+(?:-\d+)?")


@dataclass(frozen=True)
class Parts:
    """The sentences of all drafts, one after the other, counted from 1 on."""

    sentences: tuple[Sentence, ...]
    side_of: tuple[int, ...]
    """Of each sentence, its draft: 0 or 1."""
    paragraphs: tuple[range, ...]
    """Numbers of the sentences in each paragraph."""

    def said(self) -> str:
        """To be read out."""
        lines = []
        for number, paragraph in enumerate(self.paragraphs, 1):
            lines.append(f"Draft {self.side_of[paragraph[0] - 1] + 1}, paragraph p{number}:")
            lines += [f"{one}  {self.sentences[one - 1].text}" for one in paragraph]
        return "\n".join(lines)

    def numbers(self, said: str) -> list[int]:
        """'1 3-4 p2' as numbers of sentences, in this order; empty when it is something else or out of range."""
        wanted = said.replace(",", " ").split()
        if not all(WANTED.fullmatch(one) for one in wanted):
            return []
        found = [number for one in wanted for number in self._of(one)]
        return found if all(0 < number <= len(self.sentences) for number in found) else []

    def _of(self, wanted: str) -> Sequence[int]:
        if wanted.startswith("p"):
            at = int(wanted[1:].partition("-")[0])
            return self.paragraphs[at - 1] if 0 < at <= len(self.paragraphs) else [0]
        first, _, last = wanted.partition("-")
        return range(int(first), int(last or first) + 1)

    def together(self, numbers: Sequence[int]) -> str:
        """The text that these sentences make, parted as they were in their drafts."""
        text, at, after = "", 0, ""
        for number in numbers:
            text, at = take_in(text, at, self.sentences[number - 1], after=after)
            after = self.sentences[number - 1].after
        return text


def parts_of(texts: Sequence[str]) -> Parts:
    """The sentences of some drafts."""
    found = [(side, sentence) for side, text in enumerate(texts) for sentence in with_breaks(text)]
    begins = [
        number
        for number, (_, sentence) in enumerate(found, 1)
        if not sentence.before or sentence.before.count("\n") > 1  # the first of a draft, or after an empty line
    ]
    ends = [*begins[1:], len(found) + 1]
    return Parts(
        tuple(sentence for _, sentence in found),
        tuple(side for side, _ in found),
        tuple(range(begin, end) for begin, end in zip(begins, ends, strict=True)),
    )


@dataclass(frozen=True)
class Merged:
    """A text put together, and the draft that it has most of."""

    text: str
    side: int


def ask_for_merge(lines: Lines, store: Store, turn: TurnView) -> Merged | None:
    """Asks which sentences to take; None when the person leaves it. What is put together is kept meanwhile."""
    parts, place = parts_of(turn.sources), place_of_merge(turn.turn.id)
    text, side = store.unsaved(place), 0
    lines.say(parts.said())
    lines.say("Type numbers in the order that you want, such as 1 5-6 p2. e edits the text, /no leaves it for later.")
    if text:
        lines.say(f"You had put this together:\n{text}")
    while True:
        heard = _heard(lines, "Which ones? Enter alone saves the text." if text else "Which ones?")
        if heard in ("/no", "no", "q"):
            return None
        if not heard and text.strip():
            store.keep_unsaved(place, "")
            return Merged(text, side)
        if heard in ("e", "edit"):
            text = written_by_hand(lines, store, place, text or "\n\n".join(turn.sources), anew=True) or text
        elif numbers := parts.numbers(heard):
            text = parts.together(numbers)
            sides = [parts.side_of[number - 1] for number in numbers]
            side = int(sides.count(1) > sides.count(0))
        else:
            last = f"The last sentence is {len(parts.sentences)}, the last paragraph p{len(parts.paragraphs)}."
            lines.say(f"That is no choice of sentences. {last}")
            continue
        store.keep_unsaved(place, text)
        lines.say(f"Your text:\n{text}")


def _heard(lines: Lines, question: str) -> str:
    try:
        return lines.ask(f"\n{question}\n").strip().lower()
    except InputEnded as end:  # half-typed numbers are no prompt to be kept
        raise InputEnded(exit_code=end.exit_code) from None

"""Which wording of a starting point the backbone follows best: drafts of each for the same wishes and texts.

python -m benchmarks.starting_points [--drafts 32]

Off: drafts that speak about themselves as an assistant, or about the task. Copied: share of four-word runs that stand
in the given text. Said: share of the wish's words that the draft has. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from app.wiring import open_penpal
from core.paths import Home
from core.session import Writer

OFF = re.compile(
    r"\b(AI|chatbot|assist\w*|happy to help|here to help|language model|user|provide me|your request|response)\b", re.I
)
EMPTY_WORDS = frozenset(("a", "am", "an", "at", "her", "i", "in", "is", "it", "of", "on", "say", "so", "the", "to"))
DRAFT_TOKENS, BATCH = 64, 8

WORDINGS = {
    "reply": (
        'Reply to this message: "{text}"\n\n{Wish}.',
        'Write a reply to this message. {Wish}.\n\n"{text}"',
        'Write an email in reply to this message. In the reply, {wish}.\n\n"{text}"',
        'Write a short reply that says: {wish}. It answers this message:\n\n"{text}"',
        'I received this message:\n\n"{text}"\n\nWrite a short email to the sender. Say: {wish}.',
    ),
    "rewrite": (
        'Rewrite this: "{text}"\n\n{Wish}.',
        'Rewrite this text. {Wish}.\n\n"{text}"',
        '"{text}"\n\nRewrite this text: {wish}.',
        "Rewrite the following text: {wish}.\n\n{text}",
    ),
    "continue": (
        'Continue this text: "{text}" {Wish}.',
        'Continue this text. {Wish}.\n\n"{text}"',
        '"{text}"\n\nWrite the next sentences of this text. {Wish}.',
        'Continue this story: "{text}" {Wish}.',
    ),
}
GIVEN = {
    "reply": (
        (
            "yes, I will be at home on Thursday",
            "Hi Sam,\n\nthe plumber can come on Thursday between 9 and 11. Will you be "
            "at home? If not, could you leave the key with Mrs Novak?\n\nBest,\nPaula",
        ),
        (
            "I cannot come, I am on holiday",
            "Dear colleagues,\nour summer party is on 12 July in the garden behind the "
            "office. Please tell me by Friday whether you come and what you could bring to eat.\nMartin",
        ),
        (
            "it is sold already, sorry",
            "Hello, I saw your bicycle online. Is it still for sale? Would you take 80 for it? "
            "I could pick it up tonight. Ken",
        ),
        (
            "thank her, I come in March",
            "Hi, it was so nice to see you on Sunday! The children still talk about the boat. "
            "When do you come again? Love, Mum",
        ),
    ),
    "rewrite": (
        (
            "make it shorter and friendlier",
            "Due to the fact that the delivery was delayed we are unfortunately not in a "
            "position to ship your order before the end of the month, for which we would like to offer our apologies.",
        ),
        (
            "correct the mistakes",
            "me and my brother we went to the lake and it was really really nice and we swum and then "
            "we eat fish and it was the best day of the summer i think",
        ),
        ("make it polite", "The meeting is moved to Monday. Bring your numbers. Do not be late."),
        (
            "make it sound like a friend talking",
            "Our cafe offers a broad selection of hot beverages and pastries of "
            "superior quality in a comfortable environment.",
        ),
    ),
    "continue": (
        (
            "she is not alone",
            "The station was empty when the last train came in. Only one door opened, and an old woman "
            "with a red suitcase stepped out.",
        ),
        (
            "say when it will work again",
            "Dear neighbours, as some of you have noticed, the lift has been out of order since Monday.",
        ),
        (
            "it went better than I thought",
            "I never liked running. Last spring my doctor said I should try it for a month.",
        ),
        ("name the other two", "Three things make a good market stall. The first is a smile."),
    ),
}


@dataclass(frozen=True)
class Followed:
    """How a draft follows its prompt."""

    off: bool
    copied: float
    said: float


def followed(draft: str, wish: str, text: str) -> Followed:
    """Of one draft."""
    runs, wanted = _runs(draft), _words(wish) - EMPTY_WORDS
    copied = len(runs & _runs(text)) / max(1, len(runs))
    return Followed(bool(OFF.search(draft)), copied, len(wanted & _words(draft)) / len(wanted))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _runs(text: str, length: int = 4) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def measure(writer: Writer, name: str, wording: str, drafts: int) -> list[Followed]:
    """So many drafts for each wish."""
    found = []
    for wish, text in GIVEN[name]:
        prompt = wording.format(wish=wish, Wish=wish[:1].upper() + wish[1:], text=text)
        for seed in range(0, drafts, BATCH):
            written = writer.propose(prompt, drafts=min(BATCH, drafts - seed), seed=seed, origin="demo").run()
            found += [followed(draft.text, wish, text) for draft in written]
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drafts", type=int, default=32, help="per wording and wish")
    drafts = parser.parse_args().drafts
    print("| starting point | wording | off | copied | said |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, closing(open_penpal(Home(Path(folder)))) as penpal:
        writer = penpal.writer(sampling=replace(penpal.settings.drafts.sampling(), max_tokens=DRAFT_TOKENS))
        for name, wordings in WORDINGS.items():
            for wording in wordings:
                each = measure(writer, name, wording, drafts)
                numbers = (
                    mean(one.off for one in each),
                    mean(one.copied for one in each),
                    mean(one.said for one in each),
                )
                shown = wording.replace("\n", "⏎")
                print(f"| {name} | `{shown}` | " + " | ".join(f"{number:.2f}" for number in numbers) + " |", flush=True)


if __name__ == "__main__":
    main()

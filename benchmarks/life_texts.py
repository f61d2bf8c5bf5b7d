"""What somebody writes in years: prompts, drafts and own versions by a seed, with the words of a language.

A few thousand words come up everywhere and most are rare, as in any language: a search meets both. Nothing here is
worth reading.
"""

from __future__ import annotations

import random

from models.writing_tasks import AUDIENCES, FOLLOW_UPS, HELD_OUT_TOPICS, STYLE_HINTS, TOPICS, writing_tasks

SENTENCES = (
    "I wanted to write to you about {what}.", "It has been on my mind since {name} mentioned {what} last week.",
    "Could you let me know whether {who} can help with it?", "We talked about {what} with {name} for quite a while.",
    "Thank you for your patience, and for {what}.", "I am sorry that {what} took so much longer than we had planned.",
    "Please bring {thing} when you come.", "The short version: {what}, {thing} and a great deal of {other}.",
    "{name} from {other} says hello to {who}.", "Would you rather hear about it from {name} or from {who}?",
    "There is nothing that I would like better than {what}!", "Nobody told {who} about {thing}, which is a pity.",
    "If that does not suit you, {name} will find another time.", "Let us speak about {what} before the month is over.",
    "In the meantime I have put {thing} beside {other}.", "It was, all in all, a surprisingly good {thing}.",
    "I hope that this finds you well.", "With kind regards, {name}",
)  # fmt: skip
SYLLABLES = (
    "ba", "dor", "el", "fin", "gra", "hol", "is", "jun", "ka", "lor", "mi", "nev", "os", "per", "qui", "ros", "sta",
    "tur", "ul", "ven", "wil", "xan", "yor", "zel",
)  # fmt: skip
RARE_WORDS = 30_000
SENTENCES_IN_DRAFT = (4, 9)


class Texts:
    """A writer's texts; the same seed writes the same."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"texts {seed}")
        self._tasks = writing_tasks("train", seed=seed) + writing_tasks("held_out", seed=seed)
        self._asked = 0
        words = {"".join(self._rng.choices(SYLLABLES, k=self._rng.randint(2, 4))) for _ in range(2 * RARE_WORDS)}
        self._rare = sorted(words)[:RARE_WORDS]
        self._rng.shuffle(self._rare)
        self._fields = {"what": (*TOPICS, *HELD_OUT_TOPICS), "who": AUDIENCES}

    def new_prompt(self) -> str:
        """One that was not asked before, as long as there are such."""
        task = self._tasks[self._asked % len(self._tasks)]
        again, self._asked = self._asked // len(self._tasks), self._asked + 1
        return f"{task} {self._rng.choice(STYLE_HINTS)}" if again else task

    def old_prompt(self) -> str:
        """One that was asked before, as `rate` takes them; newer ones more often."""
        back = int((self._asked or 1) * self._rng.random() ** 2)
        return self._tasks[(self._asked - 1 - back) % len(self._tasks)]

    def follow_up(self) -> str:
        """What is asked next about a text."""
        return f"{self._rng.choice(FOLLOW_UPS)} And mention {self.rare_word()}."

    def draft(self) -> str:
        """Some sentences."""
        return " ".join(self._sentence() for _ in range(self._rng.randint(*SENTENCES_IN_DRAFT)))

    def own_version(self, draft: str) -> str:
        """A draft with some of its words changed."""
        words = draft.split()
        for at in self._rng.sample(range(len(words)), len(words) // 5):
            words[at] = self.rare_word()
        return " ".join(words)

    def rare_word(self) -> str:
        """Half of all are among the first sixteenth of the words, and most come up a few times at most."""
        return self._rare[int(len(self._rare) * self._rng.random() ** 4)]

    def _sentence(self) -> str:
        sentence, rng = self._rng.choice(SENTENCES), self._rng
        return sentence.format(
            what=rng.choice(self._fields["what"]), who=rng.choice(self._fields["who"]),
            name=self.rare_word().capitalize(), thing=self.rare_word(), other=self.rare_word(),
        )  # fmt: skip

"""Which two of several texts a person is shown next: the pair that teaches most, now and then any pair."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.candidates import Candidates, KeptPair
from core.errors import PenPalError
from core.feedback import edit_distance
from core.session import Writer

if TYPE_CHECKING:
    from app.wiring import PenPal
    from models.learner import Rows
    from models.pair_information import Texts

EXPLORE = 0.2
"""So many pairs are drawn at random: what PenPal believes may be wrong, and then it asks the wrong questions."""
NEARLY_THE_SAME = 0.2
"""Texts that differ in fewer of their words are not worth a question."""
TYPICAL_PROMPTS = 16
"""The newest ones, whose pairs are taken for typical."""
SIDES_AT_ONCE = 6
Pair = tuple[int, int]


class Offer:
    """Texts for one prompt, and the pairs of them that can still be shown; each text is shown once at most."""

    def __init__(self, candidates: Candidates, texts: Texts | None) -> None:
        """`texts`: as the encoder reads them; None when it cannot."""
        self.candidates, self.texts = candidates, texts
        written = [made.text.strip() for made in candidates.texts]
        # A small backbone now and then writes a row of emoji, which says nothing about anybody's style.
        usable = [any(letter.isalpha() for letter in text) for text in written]
        alike = texts.alike() if texts is not None else None
        self.numbers = {pair: at for at, pair in enumerate(_pairs_of(len(written)))}
        """The pairs' rows."""
        self.open = [
            (i, j)
            for (i, j), at in self.numbers.items()
            if usable[i]
            and usable[j]
            and edit_distance(written[i], written[j]) >= NEARLY_THE_SAME
            and not (alike is not None and alike[at])
        ]

    def use(self, pair: Pair) -> None:
        """Both texts are shown."""
        self.open = [other for other in self.open if not set(other) & set(pair)]


@dataclass(frozen=True)
class Choice:
    """The pair to be shown, and which of the two the person is expected to choose."""

    offer: Offer
    pair: Pair
    expected: int | None
    """0 or 1; None when PenPal has no idea yet."""


class PairChoice:
    """Chooses with what is known of the person at that moment. Belongs to one thread."""

    def __init__(self, penpal: PenPal, *, chance: random.Random | None = None) -> None:
        self._penpal = penpal
        self._chance = chance or random.SystemRandom()
        self._typical: deque[Rows] = deque(maxlen=TYPICAL_PROMPTS)
        self.random_because = ""
        """Why every pair is drawn at random; empty when all is well."""

    def read(self, candidates: Candidates, writer: Writer) -> Offer:
        """Lets the encoder read the texts, if this writer leans on what it says."""
        if writer.voice.encoder is None:
            return Offer(candidates, None)
        texts = None
        try:
            path = self._penpal.fast_path()
            texts = path.read(candidates.messages, [made.text for made in candidates.texts], candidates.context)
            self._typical.append(texts.rows())
            self.random_because = ""
        except PenPalError as error:
            self.random_because = str(error)
        return Offer(candidates, texts)

    def choose(self, offers: Sequence[Offer]) -> Choice | None:
        """The pair that teaches most; None when none is left."""
        pairs = [(offer, pair) for offer in offers for pair in offer.open]
        if not pairs:
            return None
        if self._chance.random() < EXPLORE or any(offer.texts is None for offer in offers):
            offer, pair = self._chance.choice(pairs)
            return Choice(offer, pair, self._expected(offer, pair))
        gains = self._gains(offers)
        offer, pair = max(pairs, key=lambda one: gains[id(one[0])][one[0].numbers[one[1]]])
        return Choice(offer, pair, self._expected(offer, pair))

    def shown(self, kept: KeptPair, offer: Offer) -> None:
        """Keeps what the encoder says about two texts: the answer about them will need it at once."""
        if offer.texts is None:
            return
        try:
            self._penpal.text_vectors().posteriors([(offer.candidates.messages, draft.text) for draft in kept.drafts])
        except PenPalError as error:
            self.random_because = str(error)

    def _gains(self, offers: Sequence[Offer]) -> dict[int, Sequence[float]]:
        from models.pair_information import typical_of

        belief, typical = self._penpal.fast_path().belief(), typical_of(self._typical)
        return {id(o): belief.gains(o.texts.rows(), typical).tolist() for o in offers if o.texts is not None}

    def _expected(self, offer: Offer, pair: Pair) -> int | None:
        if offer.texts is None:
            return None
        margin = float(self._penpal.fast_path().belief().margins(offer.texts.rows())[offer.numbers[pair]])
        return None if margin == 0 else int(margin < 0)


def balanced_sides(chance: random.Random) -> Iterator[bool]:
    """True as often as False, in an order that nobody can foresee: shuffled in small blocks."""
    while True:
        block = [True, False] * (SIDES_AT_ONCE // 2)
        chance.shuffle(block)
        yield from block


def _pairs_of(count: int) -> list[Pair]:
    return [(i, j) for i in range(count) for j in range(i + 1, count)]

"""Pairs made ahead of the person, so that the next one shows at once. Runs in a thread of its own."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.pair_choice import Choice, Offer, PairChoice, balanced_sides
from app.pair_sources import PairSource, Progress
from core.candidates import keep_pair
from core.errors import BackboneError
from core.feedback import Draft
from core.session import Writer

AHEAD = 2
"""Pairs that are chosen and wait; more would be chosen before the answers that they should build on."""
AHEAD_OF_THE_QUICK = 4
"""So many for somebody who had to wait: they last while the next prompt's drafts are written."""
PROMPTS_AHEAD = 2
"""Prompts whose drafts are written and wait for a pair of them to be chosen."""
PROMPTS_KEPT = 4
"""Of those already shown once: what is left of their drafts bridges the time when the person is faster."""
FAILURES = 5
"""So many prompts in a row without two drafts that differ, and something is wrong."""
AGAIN_SHARE = 1 / 12
"""So many answers are followed by an old pair; whether it is answered alike tells how noisy answers are."""


@dataclass(frozen=True)
class RatedPair:
    """Two drafts as they stand on the screen; which is which is known only here."""

    turn_id: int
    prompt: str
    shown: tuple[Draft, Draft]
    """Left and right."""
    again: bool = False
    """It was answered before, with its sides swapped; the person is not told."""
    cut: tuple[bool, bool] = (False, False)
    """Which of them ends where the room for it ended."""
    expected: int | None = None
    """Which one PenPal expects to be chosen, 0 or 1: told to nobody before the answer."""

    @property
    def swapped(self) -> RatedPair:
        """The same pair the other way round, as it is asked again."""
        other = None if self.expected is None else 1 - self.expected
        return replace(self, shown=self.shown[::-1], cut=self.cut[::-1], expected=other, again=True)


class PairMaker:
    """Keeps `AHEAD` pairs ready. `run` belongs to a thread; everything else may be called from any."""

    def __init__(self, source: PairSource, choice: PairChoice, *, chance: random.Random | None = None) -> None:
        self._source, self._choice = source, choice
        self._chance = chance or random.SystemRandom()
        self._expected_left = balanced_sides(self._chance)
        self._asked_again: set[int] = set()
        self._ready: deque[RatedPair] = deque()
        self._fresh: list[Offer] = []
        self._left_over: deque[Offer] = deque(maxlen=PROMPTS_KEPT)
        self._changed = threading.Condition()
        self._stopped = False
        self._progress = Progress()
        self._writing_since: float | None = None
        self._made = 0
        self._waited_for = False
        """Somebody found nothing ready, and no prompts have been written ahead since."""

    def stop(self) -> None:
        """Ends the thread within one token."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self) -> RatedPair | None:
        """The next pair; None while it is being made."""
        with self._changed:
            pair = self._ready.popleft() if self._ready else None
            self._waited_for |= pair is None and self._made > 0
            self._changed.notify_all()
            return pair

    def put_back(self, pair: RatedPair) -> None:
        """Shows this pair next."""
        with self._changed:
            self._ready.appendleft(pair)

    def perhaps_ask_again(self, answered: Sequence[RatedPair]) -> None:
        """Now and then makes one of these the next pair, its sides swapped; each of them once at most."""
        fresh = [pair for pair in answered if pair.turn_id not in self._asked_again]
        if fresh and self._chance.random() < AGAIN_SHARE:
            pair = self._chance.choice(fresh)
            self._asked_again.add(pair.turn_id)
            self.put_back(pair.swapped)

    @property
    def random_because(self) -> str:
        """Why pairs are drawn at random; empty while they are chosen."""
        return self._choice.random_because

    @property
    def exhausted(self) -> bool:
        """No pair comes any more, but those that are put back."""
        return self._source.exhausted and not (self._ready or self._fresh or self._left_over)

    @property
    def phase(self) -> str:
        """What it is doing, in words."""
        progress, since = self._progress, self._writing_since
        if since is None:
            return "choosing the next pair"
        if not progress.tokens:
            return f"reading the prompt {progress.read:.0%}"
        return f"writing {progress.tokens / max(time.monotonic() - since, 0.2):.0f} tokens/s"

    def run(self, writer: Writer) -> None:
        """Makes pairs until it is stopped or there are no more. Raises BackboneError when drafts never differ."""
        failures = 0
        while self._wait():
            if (choice := self._next_choice()) is not None:
                self._deal(writer, choice)
                failures = 0
            elif not self._source.exhausted:
                offer = self._offer(writer)
                usable = offer is not None and bool(offer.open)
                failures = 0 if usable or self._stopped or not self._source.writes else failures + 1
                if failures >= FAILURES:
                    raise BackboneError(
                        "The drafts come out empty or the same every time: 'penpal doctor' looks into it."
                    )
            else:
                return

    def _wait(self) -> bool:
        """Until there is something to do; False when it is to end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or len(self._ready) < AHEAD or (not self._source.exhausted and self._short)
            )
            return not self._stopped

    @property
    def _short(self) -> bool:
        """More prompts should be written ahead."""
        return len(self._fresh) < max(PROMPTS_AHEAD, self._source.at_once)

    def _next_choice(self) -> Choice | None:
        """A pair of the prompts that wait; of those that were shown before only when the person would wait."""
        gathering = self._short and not self._source.exhausted and self._source.at_once > 1
        if self._fresh and not gathering:
            return self._choice.choose(self._fresh[: self._source.at_once]) if len(self._ready) < AHEAD else None
        bridging = not self._ready or self._source.exhausted or self._waited_for
        if bridging and len(self._ready) < AHEAD_OF_THE_QUICK:
            return self._choice.choose(self._left_over)
        return None

    def _offer(self, writer: Writer) -> Offer | None:
        """Texts for one more prompt."""
        self._progress = Progress()
        self._writing_since = time.monotonic()
        try:
            candidates = self._source.next(
                writer, self._progress, hurry=not self._made, cancelled=lambda: self._stopped
            )
        finally:
            self._writing_since = None
        if candidates is None:
            return None
        offer = self._choice.read(candidates, writer)
        if offer.open:
            self._fresh.append(offer)
        self._waited_for &= self._short
        return offer

    def _deal(self, writer: Writer, choice: Choice) -> None:
        """Stores the two texts, and puts the pair where the screen takes it from."""
        offer, (first, second) = choice.offer, choice.pair
        offer.use(choice.pair)
        if offer in self._fresh:
            self._fresh.remove(offer)
            self._left_over.append(offer)
        if not offer.open and offer in self._left_over:
            self._left_over.remove(offer)
        kept = keep_pair(writer, offer.candidates, choice.pair)
        self._choice.shown(kept, offer)
        ends = tuple(offer.candidates.texts[number].finish == "length" for number in (first, second))
        pair = RatedPair(kept.turn_id, offer.candidates.prompt, kept.drafts, cut=(ends[0], ends[1]))
        pair = replace(pair, expected=choice.expected)
        # Balanced is where PenPal expects the better one, so that a liking for one side cannot look like a good guess.
        left = next(self._expected_left)
        if left != (choice.expected != 1):
            pair = replace(pair.swapped, again=False)
        with self._changed:
            self._made += 1
            self._ready.append(pair)

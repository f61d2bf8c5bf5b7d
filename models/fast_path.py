"""Learning while the person writes: after each answer the shift moves, and the next draft leans the right way.

A few Newton steps on cached posteriors, from the active encoder, which is held to the firmer the more it was trained
on. Pairs and ties only; single marks, capacity and everything else wait for the overnight run, which supersedes this.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.evidence import Evidence
from core.protocols import Message
from models import learner, validation
from models.learner import Array, Design, LearnConfig, Parts, Rows
from models.pair_information import Belief, Texts, covariance_of
from models.personalize import rows_of
from models.text_vectors import TextVectors

LUCK_FLIPS = 500
"""A quarter of what the nightly run draws: a fiftieth is told from a tenth."""
PAIRS_PER_PRIOR = 10
"""So many pairs hold a trained shift as firmly as the prior holds an untrained one: 0.015 nats of curvature each."""


class FastPath:
    """The active encoder's parts, moved by what was heard since it was trained. Safe to ask from several threads."""

    def __init__(
        self, base: Parts, trained_on: int, vectors: TextVectors, config: LearnConfig, *, avoid: Array | None = None
    ) -> None:
        """`trained_on`: the pairs behind `base`; `avoid` [D]: a direction that is not taken."""
        self.base, self._vectors, self._avoid = base, vectors, avoid
        firmness = 1 + trained_on / PAIRS_PER_PRIOR
        self._config = replace(
            config,
            prior_weight=config.prior_weight * firmness,
            variant="expected",
            known_weight=0.0,
            loss="dpo" if config.loss == "kto" else config.loss,  # which has no place for ties
        )
        self._turns: dict[int, Rows] = {}
        self._told: dict[int, list[Evidence]] = {}
        self._moved: Parts | None = base
        self._lock = threading.RLock()

    @property
    def answered(self) -> int:
        """Turns that it leans on."""
        return len(self._turns)

    def hear(self, turn_id: int, evidence: Sequence[Evidence]) -> bool:
        """What one turn says now, in place of what it said before. False: it said just that before."""
        told = [e for e in evidence if e.weight > 0 and e.chosen is not None and e.rejected is not None]
        with self._lock:
            if told == self._told.get(turn_id, []):
                return False
            if told:
                self._turns[turn_id] = rows_of(told, self._vectors, self._config, features=self.base.head is not None)
            else:
                del self._turns[turn_id]
            self._told[turn_id] = told  # after the rows: what could not be read is heard anew the next time
            self._moved = None
            return True

    def parts(self) -> Parts:
        """The encoder for the next draft: `base` itself when nothing was heard."""
        with self._lock:
            if self._moved is None:
                self._moved = self._fitted() if self._turns else self.base
            return self._moved

    def belief(self) -> Belief:
        """The encoder for the next draft, and how sure its shift is."""
        with self._lock:
            parts = self.parts()
            rows = self._heard() if self._turns else None
            return Belief(parts, covariance_of(parts, rows, self._config), self._config)

    def read(self, messages: Sequence[Message], texts: Sequence[str], context: str) -> Texts:
        """What the encoder says about texts of which most are never shown, and so not worth keeping in the cache."""
        posteriors = self._vectors.encoder().posteriors([(messages, text) for text in texts])
        features = self._vectors.features([messages])[0] if self.base.head is not None else None
        return Texts(posteriors, context, features)

    def luck(self) -> float:
        """The chance that answers picked at random look as consistent as those that were heard."""
        with self._lock:
            rows = self._heard() if self._turns else None
        return 1.0 if rows is None else validation.luck(rows, self._config, flips=LUCK_FLIPS)

    def _heard(self) -> Rows:
        """All that was heard, as rows."""
        turns = list(self._turns.values())
        features = [turn.features for turn in turns if turn.features is not None]
        return Rows(
            difference=np.concatenate([turn.difference for turn in turns]),
            spread=np.concatenate([turn.spread for turn in turns]),
            weight=np.concatenate([turn.weight for turn in turns]),
            tie=np.concatenate([turn.tie for turn in turns]),
            turn=np.concatenate([turn.turn for turn in turns]),
            context=tuple(context for turn in turns for context in turn.context),
            features=np.concatenate(features) if features else None,
        )

    def _fitted(self) -> Parts:
        moved = learner.fit(self._heard(), Design(), self._config, start=self.base)
        varied = moved if self._avoid is None else learner.without(moved, self._avoid)
        return learner.within(varied, self._config.max_norm)

"""The conversation on the screen: its turns as the store has them now, and the way of the person's acts into the store.

Knows no widget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.tui.leaning import Leaning
from app.tui.turn_view import DraftView, TurnView, read_conversation
from core.recorder import Recorder
from core.store import Conversation, Store


class OpenConversation:
    """Which conversation is open, and what is true of it."""

    def __init__(self, store: Store) -> None:
        self.store, self.recorder = store, Recorder(store)
        self.id: int | None = None
        """None: a new one, which the store does not have yet."""
        self.about: Conversation | None = None
        self.turns: tuple[TurnView, ...] = ()
        """Of a branch, those that it shares come first."""
        self.pending = ""
        """A prompt that was sent and is not stored yet."""
        self.in_order = asyncio.Lock()
        """Held while an act is recorded: each is recorded after all acts before it."""

    @property
    def turn(self) -> TurnView | None:
        """The last turn of its own: what a branch shares belongs to another conversation."""
        last = self.turns[-1] if self.turns else None
        return last if last is not None and last.turn.conversation_id == self.id else None

    @property
    def is_unsent_branch(self) -> bool:
        """It goes on from another conversation, and nothing was sent in it yet."""
        return self.about is not None and self.about.branch_of is not None and self.turn is None

    @property
    def waiting(self) -> TurnView | None:
        """The turn that waits for a choice."""
        return self.turn if self.turn is not None and self.turn.kept is None and self.turn.drafts else None

    def draft(self, side: int) -> DraftView:
        """One of the drafts that wait for a choice."""
        assert self.turn is not None
        return self.turn.drafts[side]

    async def read(self) -> None:
        """Reads the turns again."""
        if self.id is None:
            self.about, self.turns = None, ()
        else:
            self.about = await asyncio.to_thread(self.store.conversation, self.id)
            self.turns = await asyncio.to_thread(read_conversation, self.store, self.id)

    async def record(self, turn: TurnView | None, act: Callable[[Recorder], object], leaning: Leaning) -> None:
        """Records an act in a thread, and lets the next drafts lean on what the turn says then."""
        await asyncio.to_thread(act, self.recorder)
        if turn is not None:
            leaning.learn(turn.turn.id)

"""Conversations, their turns and the drafts of each turn, as rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from core.database import DatabaseFile, now_utc
from core.errors import UsageError
from core.feedback import Draft
from core.protocols import Finish, Message, Sampling

DRAFTING = timedelta(minutes=3)
"""No draft takes longer to write."""
Origin = Literal["chat", "rate", "write", "demo"]
_LISTED = """
    SELECT id, title, origin, created_utc, deleted_utc,
        (SELECT conversation_id FROM turns WHERE turns.id = branched_before_turn_id) AS branch_of
    FROM conversations
"""


@dataclass(frozen=True)
class Conversation:
    """A thread of turns as the database lists it."""

    id: int
    title: str
    origin: str
    created_utc: str
    branch_of: int | None = None
    """The conversation whose first turns it shares."""
    deleted_utc: str | None = None


@dataclass(frozen=True)
class Turn:
    """One prompt of a conversation, with the messages the decoder saw."""

    id: int
    conversation_id: int
    prompt: str
    messages: tuple[Message, ...]
    created_utc: str
    context: str | None = None
    """What kind of writing it is, as the person tagged it; None: to be inferred from the prompt."""


NOT_LEARNED_FROM = "(NOT conversations.learning OR conversations.deleted_utc IS NOT NULL)"
"""Of conversations: the person switched learning off there, or deleted them."""


class ConversationRows(DatabaseFile):
    """What was asked and what was written. A draft's text is final once its status is no longer 'writing'."""

    def add_conversation(self, title: str, *, origin: Origin, branched_before_turn_id: int | None = None) -> int:
        """`branched_before_turn_id`: it goes on from what came before this turn of another conversation."""
        return self._insert(
            "conversations",
            {"title": title, "origin": origin, "branched_before_turn_id": branched_before_turn_id},
        )

    def conversations(self, *, origin: Origin = "chat", limit: int = 200) -> list[Conversation]:
        """Newest first, without those that were deleted and branches in which nothing was sent yet."""
        sent = "(branched_before_turn_id IS NULL OR id IN (SELECT conversation_id FROM turns))"
        sql = f"{_LISTED} WHERE origin = ? AND deleted_utc IS NULL AND {sent} ORDER BY id DESC LIMIT ?"
        rows = self._rows(sql, [origin, limit])
        return [Conversation(**row) for row in rows]

    def conversation(self, conversation_id: int) -> Conversation:
        """One conversation, deleted or not."""
        rows = self._rows(f"{_LISTED} WHERE id = ?", [conversation_id])
        if not rows:
            raise UsageError(f"There is no conversation {conversation_id}.")
        return Conversation(**rows[0])

    def unsent_branch(self, turn_id: int) -> int:
        """The branch off before a turn in which nothing was sent yet; a new one when there is none."""
        rows = self._rows(
            "SELECT id FROM conversations WHERE branched_before_turn_id = ? AND deleted_utc IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM turns WHERE conversation_id = conversations.id)",
            [turn_id],
        )
        if rows:
            return int(rows[0]["id"])
        source = self.conversation(self.turn(turn_id).conversation_id)
        branch = self.add_conversation(f"Branch of {source.title}", origin="chat", branched_before_turn_id=turn_id)
        if not self.is_learned_from(source.id):
            self.set_learning(branch, False)
        return branch

    def branched_before(self, conversation_id: int) -> Turn | None:
        """The turn before which it branched off; None when it is no branch."""
        sql = "SELECT branched_before_turn_id AS id FROM conversations WHERE id = ?"
        ids = [row["id"] for row in self._rows(sql, [conversation_id])]
        return self.turn(ids[0]) if ids and ids[0] is not None else None

    def rename_conversation(self, conversation_id: int, title: str) -> None:
        """Raises UsageError for a title without a visible character."""
        title = " ".join(title.split())
        if not title:
            raise UsageError("A name needs at least one letter: the conversation keeps its old one.")
        with self._transaction() as db:
            db.execute("UPDATE conversations SET title = ? WHERE id = ?", [title, conversation_id])

    def delete_conversation(self, conversation_id: int) -> None:
        """Hides it from lists, search and learning; nothing is erased."""
        with self._transaction() as db:
            db.execute(
                "UPDATE conversations SET deleted_utc = ? WHERE id = ? AND deleted_utc IS NULL",
                [now_utc(), conversation_id],
            )

    def restore_conversation(self, conversation_id: int) -> None:
        """Brings a deleted one back as it was."""
        with self._transaction() as db:
            db.execute("UPDATE conversations SET deleted_utc = NULL WHERE id = ?", [conversation_id])

    def last_deleted(self) -> Conversation | None:
        """The conversation that was deleted at last and has not come back."""
        rows = self._rows(f"{_LISTED} WHERE deleted_utc IS NOT NULL ORDER BY deleted_utc DESC, id DESC LIMIT 1", [])
        return Conversation(**rows[0]) if rows else None

    def set_learning(self, conversation_id: int, on: bool) -> None:
        """Whether PenPal learns from what is answered in this conversation, before and after."""
        with self._transaction() as db:
            db.execute("UPDATE conversations SET learning = ? WHERE id = ?", [on, conversation_id])

    def is_learned_from(self, conversation_id: int) -> bool:
        sql = f"SELECT 1 FROM conversations WHERE id = ? AND {NOT_LEARNED_FROM}"
        return not self._rows(sql, [conversation_id])

    def conversations_not_learned_from(self) -> set[int]:
        """Those in which the person switched learning off, and those that they deleted."""
        sql = f"SELECT id FROM conversations WHERE {NOT_LEARNED_FROM}"
        return {int(row["id"]) for row in self._rows(sql, [])}

    def add_turn(
        self, conversation_id: int, prompt: str, messages: Sequence[Message], *, context: str | None = None
    ) -> int:
        return self._insert(
            "turns",
            {
                "conversation_id": conversation_id,
                "prompt": prompt,
                "messages": json.dumps([asdict(m) for m in messages], ensure_ascii=False),
                "context": context,
            },
        )

    def thread(self, conversation_id: int) -> list[Turn]:
        """Its turns after those that it shares with the conversation it branched off, oldest first."""
        branched_before = self.branched_before(conversation_id)
        shared = self.thread(branched_before.conversation_id) if branched_before is not None else []
        own = self.turns(conversation_id)
        return [turn for turn in shared if branched_before is not None and turn.id < branched_before.id] + own

    def turns(self, conversation_id: int) -> list[Turn]:
        """Its own turns, oldest first."""
        return [turn_of(row) for row in self._rows("SELECT * FROM turns WHERE conversation_id = ?", [conversation_id])]

    def own_prompts(self, *, limit: int = 200) -> list[str]:
        """What the person asked for in chat and write, each once, newest first; not where nothing is learned."""
        rows = self._rows(
            "SELECT turns.prompt FROM turns JOIN conversations ON conversations.id = turns.conversation_id "
            f"WHERE conversations.origin IN ('chat', 'write') AND NOT {NOT_LEARNED_FROM} "
            "GROUP BY turns.prompt ORDER BY max(turns.id) DESC LIMIT ?",
            [limit],
        )
        return [str(row["prompt"]) for row in rows]

    def turn(self, turn_id: int) -> Turn:
        rows = self._rows("SELECT * FROM turns WHERE id = ?", [turn_id])
        if not rows:
            raise UsageError(f"There is no turn {turn_id}.")
        return turn_of(rows[0])

    def add_draft(
        self,
        turn_id: int,
        *,
        side: int,
        z: Sequence[float] | None,
        encoder_id: str | None,
        backbone_id: str,
        sampling: Sampling,
        seed: int,
    ) -> int:
        """A draft that is about to be written; its row exists before its first token."""
        return self._insert(
            "drafts",
            {
                "turn_id": turn_id,
                "side": side,
                "status": "writing",
                "z": None if z is None else json.dumps([round(float(v), 6) for v in z]),
                "encoder_id": encoder_id,
                "backbone_id": backbone_id,
                "sampling": json.dumps(asdict(sampling)),
                "seed": seed,
            },
        )

    def save_partial(self, draft_id: int, text: str, tokens: int) -> None:
        """Keeps what is written so far of a draft that is being written."""
        with self._transaction() as db:
            db.execute(
                "UPDATE drafts SET text = ?, tokens = ? WHERE id = ? AND status = 'writing'", [text, tokens, draft_id]
            )

    def finish_draft(self, draft_id: int, text: str, *, tokens: int, finish: Finish, duration_ms: int) -> None:
        """Makes a draft final. A cancelled one keeps its partial text."""
        status = {"cancelled": "cancelled", "": "failed"}.get(finish, "done")
        with self._transaction() as db:
            db.execute(
                "UPDATE drafts SET text = ?, tokens = ?, status = ?, finish = ?, duration_ms = ? "
                "WHERE id = ? AND status = 'writing'",
                [text, tokens, status, finish, duration_ms, draft_id],
            )

    def drafts(self, turn_id: int) -> list[Draft]:
        """Left before right; drafts of a redo after those they replace."""
        return [draft_of(row) for row in self._rows("SELECT * FROM drafts WHERE turn_id = ? ORDER BY id", [turn_id])]

    def draft(self, draft_id: int) -> Draft:
        rows = self._rows("SELECT * FROM drafts WHERE id = ?", [draft_id])
        if not rows:
            raise UsageError(f"There is no draft {draft_id}: 'penpal write --json' prints the ids of its drafts.")
        return draft_of(rows[0])

    def is_drafting(self) -> bool:
        """Whether some program writes a draft now. Rows that a killed one left behind count for three minutes."""
        now = datetime.now(UTC)
        span = [(now + sign * DRAFTING).isoformat(timespec="milliseconds") for sign in (-1, 1)]
        # What is being written is among the newest: a look at all drafts would cost as much as a step of a run.
        newest = "SELECT status, created_utc FROM drafts ORDER BY id DESC LIMIT 100"
        sql = f"SELECT 1 FROM ({newest}) WHERE status = 'writing' AND created_utc BETWEEN ? AND ?"
        return bool(self._rows(sql, span))


def turn_of(row: dict[str, Any]) -> Turn:
    """A row of `turns`."""
    messages = tuple(Message(**m) for m in json.loads(row["messages"]))
    return Turn(row["id"], row["conversation_id"], row["prompt"], messages, row["created_utc"], row["context"])


def draft_of(row: dict[str, Any]) -> Draft:
    """A row of `drafts`."""
    z = tuple(json.loads(row["z"])) if row["z"] else None
    return Draft(
        id=row["id"], turn_id=row["turn_id"], side=row["side"], text=row["text"], status=row["status"], z=z,
        encoder_id=row["encoder_id"], backbone_id=row["backbone_id"], seed=row["seed"], tokens=row["tokens"],
    )  # fmt: skip

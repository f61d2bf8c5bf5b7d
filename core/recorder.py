"""What a person does with drafts, appended to the store. Needs no decoder, so a script can answer in an instant."""

from __future__ import annotations

from core.errors import UsageError
from core.feedback import ActKind, Draft, beside_each_other
from core.store import Store


class Recorder:
    """Records answers about drafts; nothing is ever overwritten. Each returns the id of the act."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def latest_drafts(self, turn_id: int) -> list[Draft]:
        """The drafts now beside each other; after a redo is undone, those that it had replaced."""
        return beside_each_other(self._store.drafts(turn_id), self._store.acts(turn_id))

    def pick(self, draft_id: int) -> int:
        """The person prefers this draft to the one beside it."""
        draft = self._store.draft(draft_id)
        others = [d.id for d in self.latest_drafts(draft.turn_id) if d.id != draft_id]
        other = others[0] if others else None
        return self._store.add_act("pick", draft.turn_id, draft_id=draft_id, other_draft_id=other)

    def judge(self, turn_id: int, kind: ActKind) -> int:
        """A tie, both bad, or a skip: an answer about a turn that prefers no draft."""
        assert kind in ("tie", "both_bad", "skip")
        return self._store.add_act(kind, turn_id)

    def edit(self, draft_id: int, text: str) -> int | None:
        """The person's own version of a draft. Unchanged text (but for white space at its end) is no edit."""
        draft = self._store.draft(draft_id)
        if not text.strip():
            raise UsageError("The edited text is empty, so it was not kept: the draft is as it was.")
        if text.rstrip() == draft.text.rstrip():
            return None
        return self._store.add_act("edit", draft.turn_id, draft_id=draft_id, text=text)

    def accept(self, draft_id: int, text: str) -> int:
        """The person keeps this text, edited or not; the conversation goes on from it."""
        return self._store.add_act("accept", self._store.draft(draft_id).turn_id, draft_id=draft_id, text=text)

    def star(self, draft_id: int) -> int:
        return self._store.add_act("star", self._store.draft(draft_id).turn_id, draft_id=draft_id)

    def redo(self, draft_id: int) -> int:
        """This draft was not good enough: others were asked for."""
        return self._store.add_act("redo", self._store.draft(draft_id).turn_id, draft_id=draft_id)

    def undo(self, turn_id: int, act_id: int) -> int:
        """Takes an act back; both stay on record."""
        return self._store.add_act("undo", turn_id, undoes_id=act_id)

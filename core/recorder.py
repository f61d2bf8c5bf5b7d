"""What a person does with drafts, appended to the store. Needs no decoder, so a script can answer in an instant."""

from __future__ import annotations

from core.errors import UsageError
from core.feedback import ActKind, Draft, Strength, beside_each_other
from core.store import Store


class Recorder:
    """Records answers about drafts; nothing is ever overwritten. Each returns the id of the act."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def latest_drafts(self, turn_id: int) -> list[Draft]:
        """The drafts now beside each other; after a redo is undone, those that it had replaced."""
        return beside_each_other(self._store.drafts(turn_id), self._store.acts(turn_id))

    def pick(
        self,
        draft_id: int,
        *,
        left_draft_id: int | None = None,
        again: bool = False,
        note: str | None = None,
        strength: Strength | None = None,
    ) -> int:
        """The person prefers this draft to those beside it. `again`: the pair had been answered before."""
        draft = self._store.draft(draft_id)
        others = [d.id for d in self.latest_drafts(draft.turn_id) if d.id != draft_id]
        return self._store.add_act(
            "pick", draft.turn_id, draft_id=draft_id, other_draft_id=others[0] if others else None,
            left_draft_id=left_draft_id, again=again, note=note, strength=strength,
        )  # fmt: skip

    def judge(
        self,
        turn_id: int,
        kind: ActKind,
        *,
        left_draft_id: int | None = None,
        again: bool = False,
        note: str | None = None,
    ) -> int:
        """A tie, both bad, or a skip: an answer about a turn that prefers no draft."""
        assert kind in ("tie", "both_bad", "skip")
        beside = [draft.id for draft in self.latest_drafts(turn_id)]
        first, second = (*beside[:2], None, None)[:2]
        return self._store.add_act(
            kind, turn_id, draft_id=first, other_draft_id=second, left_draft_id=left_draft_id, again=again, note=note
        )

    def edit(self, draft_id: int, text: str, *, note: str | None = None) -> int | None:
        """The person's own version of a draft. Unchanged text (but for white space at its end) is no edit."""
        draft = self._store.draft(draft_id)
        if not text.strip():
            raise UsageError("The edited text is empty, so it was not kept: the draft is as it was.")
        if text.rstrip() == draft.text.rstrip():
            return None
        return self._store.add_act("edit", draft.turn_id, draft_id=draft_id, text=text, note=note)

    def merge(self, draft_id: int, other_draft_id: int, text: str, *, note: str | None = None) -> int:
        """The person put a text together out of two drafts of one turn."""
        draft, other = self._store.draft(draft_id), self._store.draft(other_draft_id)
        if draft.turn_id != other.turn_id or draft.id == other.id:
            raise UsageError(f"Drafts {draft_id} and {other_draft_id} are not two drafts of the same prompt.")
        if not text.strip():
            raise UsageError("The merged text is empty, so it was not kept: the drafts are as they were.")
        return self._store.add_act(
            "edit", draft.turn_id, draft_id=draft_id, other_draft_id=other_draft_id, text=text, note=note
        )

    def accept(self, draft_id: int, text: str) -> int:
        """The person keeps this text, edited or not; the conversation goes on from it."""
        return self._store.add_act("accept", self._store.draft(draft_id).turn_id, draft_id=draft_id, text=text)

    def star(self, draft_id: int) -> int:
        return self._store.add_act("star", self._store.draft(draft_id).turn_id, draft_id=draft_id)

    def redo(self, draft_id: int, *, note: str | None = None) -> int:
        """This draft was not good enough: others were asked for. `note`: what was wrong, such as 'shorter'."""
        return self._store.add_act("redo", self._store.draft(draft_id).turn_id, draft_id=draft_id, note=note)

    def undo(self, turn_id: int, act_id: int) -> int:
        """Takes an act back; both stay on record."""
        return self._store.add_act("undo", turn_id, undoes_id=act_id)

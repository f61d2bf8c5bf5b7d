"""What is now true of a turn: its drafts beside each other and what the person did with them. Read from the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.tui.wording import diff_words
from core.feedback import Act, beside_each_other, hints, in_force
from core.store import Store, Turn


@dataclass(frozen=True)
class DraftView:
    """One draft as the screen shows it."""

    id: int
    text: str
    """What PenPal wrote."""
    status: str
    edits: tuple[Act, ...] = ()
    """The person's versions, oldest first: edits, and merges with the draft beside it."""
    picked: bool = False
    """The person decided for it: it was picked, or the draft beside it was merged into it since."""
    star: Act | None = None
    unsaved_edit: str = ""
    """An edit that was left without saving it."""

    @property
    def edited(self) -> Act | None:
        """The person's version that counts."""
        return self.edits[-1] if self.edits else None

    @property
    def merged_with(self) -> int | None:
        """The draft that the person's version has parts of."""
        return self.edited.other_draft_id if self.edited is not None else None

    @property
    def shown(self) -> str:
        """The person's version when there is one."""
        return self.text if self.edited is None or self.edited.text is None else self.edited.text


@dataclass(frozen=True)
class TurnView:
    """One turn as the screen shows it."""

    turn: Turn
    drafts: tuple[DraftView, ...]
    last_acts: tuple[Act, ...] = ()
    """What one undo takes back: the last act, or the acts that one redo made."""
    kept: str | None = None
    """The accepted text; None while the person is still choosing."""
    put_aside: bool = False
    hints: tuple[str, ...] = ()
    """What these drafts were asked to do differently."""
    unsaved_merge: str = ""
    """A merge that was left without saving it."""

    @property
    def picked(self) -> DraftView | None:
        return next((draft for draft in self.drafts if draft.picked), None)

    @property
    def sources(self) -> list[str]:
        """What a merge takes sentences from: each draft as it is shown, unless that is put together already."""
        return [draft.shown if draft.merged_with is None else draft.text for draft in self.drafts]

    @property
    def redone(self) -> bool:
        """The last thing that happened was a redo."""
        return bool(self.last_acts) and self.last_acts[0].kind == "redo"

    def hint(self, *, stopped: bool, editing: bool, key: Callable[[str], str]) -> str:
        """What the person can do now, while it waits for a choice; `key` says which key does an action."""
        if stopped:
            return f"{key('chat.back')} {'brings the drafts before' if self.redone else 'gives your prompt'} back"
        if editing:
            return f"{key('editor.save')} saves it, {key('editor.leave')} leaves it for later"
        if self.picked:
            return f"{key('drafts.keep')} keeps it, {key('drafts.edit')} edits it"
        if self.unsaved_merge:
            return f"{key('drafts.merge')} goes on with your merge"
        asked = f"asked for: {', '.join(self.hints)} · " if self.hints else ""
        return f"{asked}which draft is more like you?"

    def about_kept(self) -> str:
        """How the kept text came about, in a few words."""
        if self.kept is None:
            return "nothing kept"
        source = self.picked
        if source is not None and source.merged_with is not None:
            return "kept, put together from both drafts"
        return "kept" if source is None or source.text == self.kept else f"kept, {diff_words(source.text, self.kept)}"


COMPOSER = "composer"
OF_CONVERSATION = f"{COMPOSER} of conversation"


def place_of_composer(conversation_id: int | None) -> str:
    """Where the store keeps a prompt that is being typed; None: of a conversation that is not there yet."""
    return COMPOSER if conversation_id is None else f"{OF_CONVERSATION} {conversation_id}"


def place_of_edit(draft_id: int) -> str:
    """Where the store keeps an edit that is being typed."""
    return f"edit of draft {draft_id}"


def place_of_merge(turn_id: int) -> str:
    """Where the store keeps a merge that is being put together."""
    return f"merge of turn {turn_id}"


def read_turn(store: Store, turn: Turn) -> TurnView:
    """The turn's state from its drafts and from all acts in force."""
    all_acts = store.acts(turn.id)
    acts = in_force(all_acts)
    answer = next((act for act in reversed(acts) if act.is_answer), None)
    decided = next((act for act in reversed(acts) if act.is_answer or act.is_merge), None)
    accepted = next((act for act in reversed(acts) if act.kind == "accept"), None)
    drafts = tuple(
        DraftView(
            draft.id,
            draft.text,
            draft.status,
            edits=tuple(act for act in acts if act.kind == "edit" and act.draft_id == draft.id),
            picked=decided is not None and decided.kind in ("pick", "edit") and decided.draft_id == draft.id,
            star=next((act for act in reversed(acts) if act.kind == "star" and act.draft_id == draft.id), None),
            unsaved_edit=store.unsaved(place_of_edit(draft.id)),
        )
        for draft in beside_each_other(store.drafts(turn.id), all_acts)
    )
    return TurnView(
        turn,
        drafts,
        last_acts=_undone_together(acts, len(drafts)),
        kept=accepted.text if accepted else None,
        put_aside=answer is not None and answer.kind == "skip",
        hints=tuple(hints(all_acts)),
        unsaved_merge=store.unsaved(place_of_merge(turn.id)),
    )


def _undone_together(acts: list[Act], sides: int) -> tuple[Act, ...]:
    if not acts or acts[-1].kind != "redo":
        return tuple(acts[-1:])
    redo: list[Act] = []
    for act in reversed(acts):
        if act.kind != "redo" or len(redo) == sides:
            break
        redo.append(act)
    return tuple(redo)


def read_conversation(store: Store, conversation_id: int) -> tuple[TurnView, ...]:
    """All turns but those put aside, oldest first."""
    turns = (read_turn(store, turn) for turn in store.thread(conversation_id))
    return tuple(turn for turn in turns if not turn.put_aside)

"""Forgetting for good: what is meant, what hangs on it, and how every trace of it leaves the home.

Deleting in chat can be undone; this cannot. Knows no screen and no tensors: how texts are keyed in the cache of vectors
is told by whoever calls.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from core.errors import UsageError
from core.feedback import Act
from core.forget_rows import WAIT_S, Marked
from core.home_files import copies, files_with, files_with_anything, remove_files
from core.paths import Home
from core.run_lock import run_lock
from core.store import Store
from core.traces import KeyOf, Traces

Kind = Literal["draft", "conversation", "range", "search", "deleted", "everything"]
ALWAYS, NEVER = "", "9999"
"""Ends of a span that has none, in the order of times as the store writes them."""
NUMBERED_PLACE = re.compile(r"(conversation|draft|turn) (\d+)")


@dataclass(frozen=True)
class Wanted:
    """What a person wants forgotten."""

    kind: Kind
    ids: tuple[int, ...] = ()
    """Of drafts, or of conversations."""
    after: str = ALWAYS
    before: str = NEVER
    """A span of time; the end is left out."""
    words: str = ""
    """All of them begin a word of the text."""

    def holds(self) -> Callable[[str], bool]:
        """Whether a text has what is searched for; none has, where it is not a search."""
        return words_of(self.words) if self.kind == "search" else lambda text: False


@dataclass(frozen=True)
class Forgotten:
    """What became of it."""

    marked: Marked
    files: tuple[Path, ...]
    """Removed, because they held copies or quotations."""
    choices: dict[str, int] = field(default_factory=dict)
    """By voice: how many of the choices it was trained on are forgotten now."""


def find(store: Store, wanted: Wanted) -> Marked:
    """Everything that goes. Raises UsageError for an unknown draft or conversation, or a search without words."""
    match wanted.kind:
        case "draft":
            return _with_drafts(store, wanted.ids)
        case "conversation":
            known = store.titles()
            if unknown := [number for number in wanted.ids if number not in known]:
                raise UsageError(f"There is no conversation {unknown[0]}.")
            return _with_conversations(store, set(wanted.ids))
        case "deleted":
            return _with_conversations(store, set(store.deletion_times()))
        case "range":
            return _in_span(store, wanted.after, wanted.before)
        case "search":
            return _with_words(store, wanted.holds())
        case "everything":
            turns = {turn.id for turn, _, _ in store.whole_turns()}
            return _with_turns(store, turns, set(store.titles()), {row["place"] for row in store.unsaved_texts()})


def forget(store: Store, home: Home, wanted: Wanted, *, key_of: KeyOf, wait_s: float = WAIT_S) -> Forgotten:
    """Erases it from every table, index, cache and file of the home. Not to be undone.

    Raises BusyError, before anything is changed, while another PenPal has the home open or learns.
    """
    with run_lock(home), store.alone(wait_s=wait_s):
        marked = find(store, wanted)
        if wanted.kind == "everything":
            imported = {encoder.file for encoder in store.encoders() if encoder.origin == "imported"}
            # Their files go before their rows: no program that starts in between shall look for the one in use.
            store.activate_encoder(None, "forgotten")
            files = remove_files(home, files_with_anything(home, kept_voices=imported))
            store.erase_everything()
            choices = {}
        else:
            traces, holds = Traces(store, marked), wanted.holds()
            choices = traces.choices()
            # Before the texts themselves: without these nobody could tell any more which files quote them.
            files = remove_files(home, files_with(home, traces.texts, holds)) if marked else ()
            store.erase(marked, traces.rewritten(holds), what=wanted.kind, keys=traces.keys(key_of), choices=choices)
        store.sweep()
    return Forgotten(marked, files, choices)


def finish(store: Store, home: Home, *, wait_s: float = WAIT_S) -> None:
    """Sweeps after a forgetting that was interrupted, such as by a full disk."""
    with run_lock(home), store.alone(wait_s=wait_s):
        remove_files(home, copies(home))
        store.sweep()


# --- what is meant ----------------------------------------------------------------------------------------------


def words_of(typed: str) -> Callable[[str], bool]:
    """Whether a text holds all these words, or words that begin like them. Case and accents do not matter.

    Raises UsageError when there is no word in what was typed.
    """
    words = _words(typed)
    if not words:
        raise UsageError("There is no word to look for: give at least one.")

    def holds(text: str) -> bool:
        there = _words(text)
        return all(any(found.startswith(word) for found in there) for word in words)

    return holds


def _words(text: str) -> set[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return set(re.findall(r"[^\W_]+", plain.casefold()))


def _with_drafts(store: Store, draft_ids: Iterable[int]) -> Marked:
    """Drafts with all that was said about them. A turn of which no draft is left goes as a whole."""
    by_turn: dict[int, set[int]] = {}
    for draft_id in draft_ids:
        by_turn.setdefault(store.draft(draft_id).turn_id, set()).add(draft_id)
    whole, drafts, acts = set(), set(), set()
    for turn, written, done in store.whole_turns(by_turn):
        if by_turn[turn.id] >= {draft.id for draft in written}:
            whole.add(turn.id)
        else:
            drafts |= by_turn[turn.id]
            acts |= _acts_about(by_turn[turn.id], done)
    found = _with_turns(store, whole, set(), set())
    places = found.places | {p for p in _places(store) if _belongs(p, "draft", drafts) or _belongs(p, "turn", by_turn)}
    return replace(
        found,
        drafts=found.drafts | drafts,
        acts=frozenset(found.acts | store.acts_undoing(acts)),
        places=frozenset(places),
    )


def _acts_about(draft_ids: set[int], acts: Sequence[Act]) -> set[int]:
    """Those that name one of these drafts; once it was merged into another one, all of them."""
    about = {a.id for a in acts if draft_ids & {a.draft_id, a.other_draft_id, a.left_draft_id} or a.kind == "skip"}
    merged = any(act.is_merge for act in acts if act.id in about)
    return {act.id for act in acts} if merged else about


def _with_conversations(store: Store, conversation_ids: set[int]) -> Marked:
    return _with_turns(store, store.turns_of(conversation_ids), conversation_ids, set())


def _in_span(store: Store, after: str, before: str) -> Marked:
    turns = store.turns_between(after, before)
    places = {row["place"] for row in store.unsaved_texts() if after <= row["updated_utc"] < before}
    found = _with_turns(store, turns, store.conversations_between(after, before), places)
    acts = store.acts_undoing(store.acts_between(after, before))
    return replace(found, acts=frozenset(found.acts | acts))


def _with_words(store: Store, holds: Callable[[str], bool]) -> Marked:
    turns = store.turns_holding(holds)
    places = {row["place"] for row in store.unsaved_texts() if holds(row["text"])}
    while True:
        found = _with_turns(store, turns, set(), places)
        kept = Traces(store, found).messages_left()
        more = {turn for turn, messages in kept.items() if any(holds(message.content) for message in messages)}
        if more <= turns:
            return found
        turns |= more  # a conversation that came whole, from another program


def _with_turns(store: Store, turns: set[int], conversations: set[int], places: set[str]) -> Marked:
    """Turns with the copies that PenPal made of them, and all that hangs on either."""
    turns = turns | store.copies_of(turns)
    conversations = conversations | store.conversations_left_empty(turns)
    drafts = store.drafts_of(turns)
    hanging = {
        place
        for place in _places(store)
        if _belongs(place, "conversation", conversations)
        or _belongs(place, "turn", turns)
        or _belongs(place, "draft", drafts)
    }
    return Marked(
        frozenset(conversations), frozenset(turns), frozenset(drafts), frozenset(store.acts_of(turns)),
        frozenset(places | hanging),
    )  # fmt: skip


def _places(store: Store) -> list[str]:
    return [row["place"] for row in store.unsaved_texts()]


def _belongs(place: str, what: str, ids: Iterable[int]) -> bool:
    """Whether a text was being typed in one of these: 'edit of draft 12', 'composer of conversation 3 in window 2'."""
    found = NUMBERED_PLACE.search(place)
    return found is not None and found[1] == what and int(found[2]) in set(ids)

"""What a forgetting would leave behind in the rest of the home, and what the rest becomes without it.

Prompts and answers are repeated in later turns, titles and branches; what was learned from them is in voices and
caches.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence

from core.encoder_rows import MIGRATED
from core.evidence import evidence_of_turn, lessons
from core.feedback import Act, Draft
from core.forget_rows import Marked, Rewritten
from core.protocols import Message
from core.session import title_of
from core.store import Store, Turn

KeyOf = Callable[[Sequence[Message], str], str]
"""The key of a conversation and a response in the cache of vectors."""
BRANCH_OF = "Branch of "
UNTITLED = "Untitled"
STILL_THERE = "9999"
"""After every time."""


class Traces:
    """What is about to go, and what has to change in the rest so that nothing of it stays there."""

    def __init__(self, store: Store, marked: Marked) -> None:
        self._store, self._marked = store, marked
        self._touched = marked.turns | store.turns_written_for(marked.drafts) | store.turns_acted_on(marked.acts)
        self.texts: set[str] = set()
        """Everything that was written in what goes."""
        self._exchanges: set[tuple[str, str]] = set()
        """A prompt and what was kept for it, as later turns of its conversation repeat them."""
        self._prompts: set[str] = set()
        for turn, drafts, acts in store.whole_turns(self._touched):
            texts = [draft.text for draft in drafts if draft.id in marked.drafts]
            texts += [act.text for act in acts if act.id in marked.acts and act.text]
            self._exchanges |= {(turn.prompt, text) for text in texts}
            self.texts |= set(texts)
            if turn.id in marked.turns:
                self._prompts.add(turn.prompt)
        self.texts |= self._prompts

    def choices(self) -> dict[str, int]:
        """By voice: how many of the choices that it was trained on are among what goes."""
        encoders = self._store.encoders()
        runs = [(run, run.saw_until) for run in encoders if run.saw_until is not None]
        counts = dict.fromkeys((run.id for run, _ in runs), 0)
        # Once a voice came along to another backbone, answers about drafts of the one before count too.
        came_along = any(run.report.get("made") == MIGRATED for run in encoders)
        deleted = self._store.deletion_times()
        for turn, drafts, acts in self._store.whole_turns(self._touched):
            ids, gone = [act.id for act in acts], deleted.get(turn.conversation_id, STILL_THERE)
            backbones = {draft.backbone_id for draft in drafts}
            lost: dict[int, int] = {0: 0}
            for run, until in runs:
                if (came_along or backbones <= {run.backbone_id}) and gone > run.created_utc:
                    known = bisect(ids, until)
                    if known not in lost:
                        lost[known] = self._lessons(turn, drafts, acts[:known])
                    counts[run.id] += lost[known]
        return {encoder_id: count for encoder_id, count in counts.items() if count > 0}

    def _lessons(self, turn: Turn, drafts: Sequence[Draft], acts: Sequence[Act]) -> int:
        """How many there were in these acts, less those that stay."""
        there = lessons(evidence_of_turn(turn.messages, drafts, acts, context=turn.context))
        if turn.id in self._marked.turns:
            return there
        left = [draft for draft in drafts if draft.id not in self._marked.drafts]
        done = [act for act in acts if act.id not in self._marked.acts]
        return there - lessons(evidence_of_turn(turn.messages, left, done, context=turn.context))

    def messages_left(self) -> dict[int, list[Message]]:
        """By turn that stays: what its drafts were written for, without the exchanges that go."""
        return {
            turn.id: self._without(turn.messages)
            for turn, _, _ in self._store.whole_turns()
            if turn.id not in self._marked.turns and len(turn.messages) > 1
        }

    def _without(self, messages: Sequence[Message]) -> list[Message]:
        left: list[Message] = []
        for message in messages:
            if left and message.role == "assistant" and (left[-1].content, message.content) in self._exchanges:
                left.pop()
            else:
                left.append(message)
        return left

    def rewritten(self, holds: Callable[[str], bool]) -> Rewritten:
        """Conversations, titles and branches, where something in them goes; titles also for what they hold."""
        now = {turn.id: turn.messages for turn, _, _ in self._store.whole_turns()}
        messages = {turn: left for turn, left in self.messages_left().items() if len(left) < len(now[turn])}
        return Rewritten(messages, self._titles(holds), self._branches())

    def _titles(self, holds: Callable[[str], bool]) -> dict[int, str]:
        """New ones for those that repeat the start of a prompt that goes, or a word that was searched for."""
        titles = self._store.titles()
        going = {title_of(prompt) for prompt in self._prompts}
        going |= {_unbranched(titles[number]) for number in self._marked.conversations}
        odd = {
            number
            for number, title in titles.items()
            if number not in self._marked.conversations and (_unbranched(title) in going or holds(title))
        }
        found = dict.fromkeys(odd, UNTITLED)
        for turn, _, _ in self._store.whole_turns(self._store.turns_of(odd) - self._marked.turns):
            if found[turn.conversation_id] == UNTITLED:
                found[turn.conversation_id] = title_of(turn.prompt)
        return found

    def _branches(self) -> dict[int, int | None]:
        """Those that went on from a turn that goes now go on from the next one, which shares the same turns before it.

        Where there is none, they stand on their own: what came before stays in the conversation that they left.
        """
        found: dict[int, int | None] = {}
        for conversation, before in self._store.branch_points().items():
            if before in self._marked.turns and conversation not in self._marked.conversations:
                source = self._store.turn(before).conversation_id
                later = self._store.turns_of({source}) - self._marked.turns
                found[conversation] = min((turn for turn in later if turn > before), default=None)
        return found

    def keys(self, key_of: KeyOf) -> set[str] | None:
        """Of the vectors of all texts that stay; None when there are no vectors."""
        if not self._store.has_vectors():
            return None
        left, found = self.messages_left(), set()
        for turn, drafts, acts in self._store.whole_turns():
            if turn.id not in self._marked.turns:
                texts = {"", *(draft.text for draft in drafts if draft.id not in self._marked.drafts)}
                texts |= {act.text for act in acts if act.text and act.id not in self._marked.acts}
                found |= {key_of(left.get(turn.id, turn.messages), text) for text in texts}
        return found


def _unbranched(title: str) -> str:
    while title.startswith(BRANCH_OF):
        title = title.removeprefix(BRANCH_OF)
    return title

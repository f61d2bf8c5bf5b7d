"""What a person does with whole conversations in plain lines: list, search, open, read, name, delete, branch off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.plain_drafting import editor_is_named, learn, written_by_hand
from app.plain_words import numbered
from app.tui.turn_view import place_of_composer, read_conversation
from app.tui.wording import WHERE_FOUND, counted, day_of
from core.errors import UsageError
from core.search_rows import MARK_END, MARK_START
from core.session import title_of

if TYPE_CHECKING:
    from app.plain_chat import PlainChat
    from core.store import Conversation, Found

MOST_SAID = 20
"""Places of one search: more is not listened to."""
ON_OR_OFF = {"": None, "on": True, "off": False}


class PlainConversations:
    """For a plain chat."""

    def __init__(self, chat: PlainChat) -> None:
        self._chat, self._store, self._lines = chat, chat.store, chat.lines
        self._found: list[Found] = []
        """What was found last; /open goes there until conversations are listed."""
        self._off_for_new = False
        """The person switched learning off before the conversation was there."""

    def do(self, command: str, rest: str) -> bool:
        """Does what a command asks for. False when it is none about conversations."""
        match command:
            case "list":
                self.show_list(rest)
            case "search":
                self.search(rest)
            case "open":
                self.open(rest)
            case "read":
                self.read()
            case "rename":
                self.rename(rest)
            case "delete":
                self.delete(rest)
            case "undelete":
                self.bring_back()
            case "branch":
                self.branch_off(rest)
            case "original":
                self.open_original()
            case "learning":
                self.switch_learning(rest)
            case _:
                return False
        return True

    @property
    def _listed(self) -> list[Conversation]:
        return self._store.conversations()

    @property
    def _open_id(self) -> int:
        """Raises UsageError while the conversation is a new one."""
        if self._chat.conversation_id is None:
            raise UsageError("There is no conversation yet: the first prompt makes one.")
        return self._chat.conversation_id

    # --- finding ----------------------------------------------------------------------------------------------

    def show_list(self, wanted: str = "") -> None:
        """Lists the conversations, or opens one of them."""
        self._found = []
        if wanted:
            self.open(wanted)
            return
        listed = self._listed
        names = "\n".join(f"{number}  {one.title}" for number, one in enumerate(listed, 1))
        self._lines.say(f"{names}\n/open 1 opens the first." if listed else "There are none yet.")

    def search(self, words: str) -> None:
        """Lists where words stand in everything that was asked, drafted and edited."""
        if not words:
            raise UsageError("Say what you are looking for: /search cake.")
        self._found = self._store.search(words, limit=MOST_SAID)
        if not self._found:
            self._lines.say("Nothing found.")
            return
        newest = "the newest " * (len(self._found) == MOST_SAID)
        self._lines.say(f"Found in {newest}{counted(len(self._found), 'place')}. /open 1 goes to the first.")
        for number, hit in enumerate(self._found, 1):
            place = " ".join(hit.snippet.replace(MARK_START, "").replace(MARK_END, "").split())
            self._lines.say(f"{number}  {hit.title} ({day_of(hit.created_utc)}), {WHERE_FOUND[hit.where]}: {place}")

    def open(self, wanted: str) -> None:
        """Opens what was found or listed under a number."""
        if self._found:
            hit = self._found[numbered(wanted, len(self._found), "place", example="/open 2") - 1]
            self._chat.open(hit.conversation_id)
            if hit.turn_id is not None and hit.turn_id != self._chat.turn_id:
                self._read([hit.turn_id])
        else:
            listed = self._listed
            number = numbered(wanted, len(listed), "conversation", example="/open 2")
            self._chat.open(listed[number - 1].id)

    def read(self) -> None:
        """Reads the open conversation out, each prompt under its number."""
        self._read([turn.turn.id for turn in read_conversation(self._store, self._open_id)])

    def _read(self, turn_ids: list[int]) -> None:
        for number, view in enumerate(read_conversation(self._store, self._open_id), 1):
            if view.turn.id in turn_ids:
                text = view.kept or "(nothing kept)"
                self._lines.say(f"\nPrompt {number}: {view.turn.prompt}\nKept:\n{text}")

    # --- naming and deleting ----------------------------------------------------------------------------------

    def rename(self, name: str) -> None:
        """Gives the open conversation another name."""
        self._store.rename_conversation(self._open_id, name)
        self._lines.say(f"It is called '{self._store.conversation(self._open_id).title}' now.")

    def delete(self, wanted: str) -> None:
        """Deletes the open conversation, or the one that is listed under a number."""
        listed = self._listed
        if wanted:
            deleted = listed[numbered(wanted, len(listed), "conversation", example="/delete 2") - 1].id
        else:
            deleted = self._open_id
        title = self._store.conversation(deleted).title
        if deleted == self._chat.conversation_id:
            self._chat.open(None)
        self._store.delete_conversation(deleted)
        self._learn_anew(deleted)
        self._lines.say(f"Deleted: {title.rstrip('.')}. PenPal no longer learns from it. /undelete brings it back.")

    def bring_back(self) -> None:
        """Undoes the last delete."""
        deleted = self._store.last_deleted()
        if deleted is None:
            raise UsageError("Nothing was deleted, so there is nothing to bring back.")
        self._store.restore_conversation(deleted.id)
        self._learn_anew(deleted.id)
        self._lines.say(f"Back again: {deleted.title.rstrip('.')}. /list finds it.")

    def _learn_anew(self, conversation_id: int) -> None:
        """What teaches has changed: the voice leans anew on each answered turn."""
        for turn in self._store.turns(conversation_id):
            if self._store.acts(turn.id):
                learn(self._chat.penpal, self._chat.loading, turn.id)

    # --- branches ---------------------------------------------------------------------------------------------

    def branch_off(self, wanted: str) -> None:
        """Opens a branch in which an earlier prompt can be said differently; what is there stays as it is."""
        turns = read_conversation(self._store, self._open_id)
        turn = turns[numbered(wanted, len(turns), "prompt", example="/branch 1, and /read tells the numbers") - 1].turn
        self._chat.open(self._store.unsent_branch(turn.id))
        self._lines.say(f"This prompt was: {turn.prompt}\nSay it differently now; /original goes back.")
        if self._lines.by_hand and editor_is_named():
            text = written_by_hand(self._lines, self._store, place_of_composer(self._open_id), turn.prompt)
            if text is not None:
                self._chat.send(text)

    def open_original(self) -> None:
        """From a branch to the conversation that it branched off."""
        about = self._store.conversation(self._open_id)
        if about.branch_of is None:
            raise UsageError("This conversation is no branch of another one.")
        self._chat.open(about.branch_of)

    def note_sent(self, prompt: str) -> None:
        """The first prompt of a conversation: a branch is named after it, and a new one learns as it was told to."""
        conversation_id = self._open_id
        if len(self._store.turns(conversation_id)) == 1:
            if self._store.conversation(conversation_id).branch_of is not None:
                self._store.rename_conversation(conversation_id, title_of(prompt))
            if self._off_for_new:
                self._store.set_learning(conversation_id, False)
            self._off_for_new = False

    # --- learning ---------------------------------------------------------------------------------------------

    @property
    def learning(self) -> bool:
        """Whether PenPal learns from the open conversation."""
        conversation_id = self._chat.conversation_id
        return not self._off_for_new if conversation_id is None else self._store.is_learned_from(conversation_id)

    def switch_learning(self, wanted: str) -> None:
        """Off for the open conversation, or on again, for everything that was answered in it."""
        if wanted not in ON_OR_OFF:
            raise UsageError("Type /learning off or /learning on.")
        chosen = ON_OR_OFF[wanted]
        on = not self.learning if chosen is None else chosen
        if self._chat.conversation_id is None:
            self._off_for_new = not on
        else:
            self._store.set_learning(self._chat.conversation_id, on)
            self._learn_anew(self._chat.conversation_id)
        self.say_learning(always=True)

    def say_learning(self, *, always: bool = False) -> None:
        """Says whether PenPal learns here; without `always`, only when it does not."""
        if not self.learning:
            self._lines.say("PenPal learns nothing from this conversation. /learning on changes that.")
        elif always:
            self._lines.say("PenPal learns from this conversation.")

    def forget_choice_for_new(self) -> None:
        """Another conversation is opened: what was said for a new one does not hold for it."""
        self._off_for_new = False

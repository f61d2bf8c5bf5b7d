"""`penpal chat --plain`: the whole loop in plain lines. A prompt, two drafts, pick, edit, keep, and on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from app.attachments import Attachment, together
from app.plain import InputEnded, Lines, leaving_on_signals
from app.plain_conversations import PlainConversations
from app.plain_drafting import edited_by_hand, learn, said_drafts, write_drafts
from app.plain_merge import ask_for_merge
from app.plain_words import HELP_CHOOSING, HELP_PROMPT, JUDGED, is_text, slash_command
from app.starting_points import STARTING_POINTS, StartingPoint
from app.tui.acts import keep, pick, save_edit, settle, star, undo
from app.tui.first_run import is_first_run
from app.tui.starting_place import starting_place
from app.tui.turn_view import DraftView, TurnView, place_of_composer, place_of_edit, read_conversation, read_turn
from app.tui.wording import TAKEN_BACK, counted, diff_words, in_words
from core.errors import PromptTooLongError
from core.recorder import Recorder

if TYPE_CHECKING:
    from app.wiring import PenPal
    from core.session import Proposal, Writer


def run_plain_chat(penpal: PenPal, attached: Sequence[Attachment], *, context: str | None = None) -> int:
    """Talks until the person leaves; returns the exit code."""
    with leaving_on_signals():
        return PlainChat(penpal, Lines(), context=context, attached=together(attached)).run()


class PlainChat:
    """One session. What the person does is recorded as it is in the drawn chat."""

    def __init__(self, penpal: PenPal, lines: Lines, *, context: str | None = None, attached: str = "") -> None:
        """`attached` is put below the first prompt."""
        self.penpal, self.lines, self.context = penpal, lines, context
        self.store, self.recorder = penpal.store, Recorder(penpal.store)
        self.conversations = PlainConversations(self)
        self._attached = attached
        self.conversation_id: int | None = None
        self.turn_id: int | None = None
        """The turn that waits for a choice."""
        self.loading: Future[Writer]

    def run(self) -> int:
        """Talks until the person leaves; returns the exit code."""
        with ThreadPoolExecutor(1, thread_name_prefix="load the backbone") as thread:
            self.loading = thread.submit(self.penpal.writer)
            try:
                self._greet()
                while self._choose() if self.turn_id is not None else self._ask_for_prompt():
                    pass
                code = 0
            except InputEnded as end:
                if is_text(end.half_typed) or (self.turn_id is None and len(end.half_typed.strip()) > 1):
                    self._keep_prompt(end.half_typed)
                code = end.exit_code
            except KeyboardInterrupt:
                code = 130
        self.lines.say("\nGoodbye. Everything is kept; you can go on from here.")
        return code

    # --- coming in --------------------------------------------------------------------------------------------

    def _greet(self) -> None:
        self.lines.say("PenPal, in plain lines. h and Enter shows what you can do.")
        if is_first_run(self.store):
            self.lines.say(f"Nothing you write leaves this machine: all of it is in {self.penpal.home.folder}.")
        self.open(None if self._attached else starting_place(self.store))
        if self._attached:
            self.lines.say(f"Your text ({counted(len(self._attached.split()), 'word')}) goes below your first prompt.")

    def open(self, conversation_id: int | None) -> None:
        """Goes on with a conversation, None with a new one; drafts that wait there for a choice are read out."""
        self.conversation_id, self.turn_id = conversation_id, None
        self.conversations.forget_choice_for_new()
        if conversation_id is not None:
            self.lines.say(f"Going on with: {self.store.conversation(conversation_id).title}")
            self.conversations.say_learning()
        turn = self._last_turn
        if turn is not None and turn.kept is None and turn.drafts:
            self.turn_id = turn.turn.id
            self._read_out()
        if begun := self._unsent:
            self.lines.say(f"You began this and did not send it: {begun}\nEnter alone sends it now.")

    @property
    def _last_turn(self) -> TurnView | None:
        """The last turn of its own: what a branch shares belongs to another conversation."""
        turns = read_conversation(self.store, self.conversation_id) if self.conversation_id is not None else ()
        return turns[-1] if turns and turns[-1].turn.conversation_id == self.conversation_id else None

    @property
    def _place(self) -> str:
        return place_of_composer(self.conversation_id)

    @property
    def _unsent(self) -> str:
        return self.store.unsaved(self._place)

    def _keep_prompt(self, text: str) -> None:
        self.store.keep_unsaved(self._place, text)

    # --- a prompt ---------------------------------------------------------------------------------------------

    def _ask_for_prompt(self) -> bool:
        """False when the person wants to leave."""
        said = self.lines.ask("\nWhat would you like to write?\n").strip()
        return self._guarded(lambda: self._do(said))

    def _do(self, said: str) -> bool:
        """What was asked for while nothing waits for a choice."""
        slash = slash_command(said)
        if slash is not None and self.conversations.do(*slash):
            return True
        command, rest = slash or (said.partition(" ")[0], said.partition(" ")[2])
        match command.lower():
            case "q" | "quit" | "exit":
                return False
            case "h" | "help" | "?":
                self.lines.say(HELP_PROMPT)
            case "":
                self.send(self._unsent) if self._unsent else self.lines.say(HELP_PROMPT)
            case "m" if not rest:
                self._ask_for_long_prompt()
            case "1" | "2" | "3" | "4" if not rest:
                self._start_from(STARTING_POINTS[int(command) - 1])
            case "u" | "undo" if not rest:
                self._undo()
            case "n" | "new" if not rest:
                self.open(None)
                self.lines.say("A new conversation.")
            case "l" if not rest or rest.isdigit():
                self.conversations.show_list(rest)
            case _ if slash is not None:
                self.lines.say(f"There is no command '/{command}'. /help lists them.")
            case _:
                self.send(said)
        return True

    def _ask_for_long_prompt(self) -> None:
        self.lines.say("Type your prompt. A line with only a dot ends it, a line with only /no leaves it.")
        text = self.lines.ask_lines(keep=self._keep_prompt)
        if text is not None:
            self.send(text)

    def _start_from(self, point: StartingPoint) -> None:
        text = ""
        if point.material and self._attached:
            text, self._attached = self._attached, ""
        elif point.material:
            self.lines.say(f"{point.material}: paste or type it. A line with only a dot ends it, /no leaves.")
            pasted = self.lines.ask_lines(keep=self._keep_prompt)
            if pasted is None:
                return
            text = pasted
            self._keep_prompt(text)
        try:
            wish = self.lines.ask(f"{point.wish} For example: {point.example}.\n")
        except InputEnded as end:
            self._keep_prompt("\n\n".join(part for part in (end.half_typed, text) if part))
            raise InputEnded(exit_code=end.exit_code) from None
        self.send(point.prompt(wish, text))

    def send(self, prompt: str) -> None:
        """Has drafts written for a prompt, which is kept until they have begun."""
        if self._attached:
            prompt, self._attached = f"{prompt}\n\n{self._attached}", ""
        self._keep_prompt(prompt)
        self._write_for(prompt)

    def _write_for(self, prompt: str, *, cut: bool = False) -> None:
        writer = self._writer()
        try:
            proposal = writer.propose(prompt, conversation_id=self.conversation_id, cut=cut, context=self.context)
        except PromptTooLongError as error:
            self.lines.say(f"{error} c and Enter cuts its middle; anything else leaves it for later.")
            if self.lines.ask().strip().lower() == "c":
                self._write_for(prompt, cut=True)
            return
        self._keep_prompt("")
        self.conversation_id = self.store.turn(proposal.turn_id).conversation_id
        self.conversations.note_sent(prompt)
        self._write(proposal)

    def _writer(self) -> Writer:
        if not self.loading.done():
            self.lines.say("Loading the language model, a moment.")
        writer = self.loading.result()
        if self.penpal.latents_off:
            self.lines.say(f"Drafts are generic for now: {self.penpal.latents_off}")
            self.penpal.latents_off = ""
        return writer

    def _write(self, proposal: Proposal) -> None:
        self.turn_id = proposal.turn_id
        write_drafts(proposal, self.lines)
        self._read_out()

    # --- a choice ---------------------------------------------------------------------------------------------

    @property
    def _turn(self) -> TurnView:
        assert self.turn_id is not None
        return read_turn(self.store, self.store.turn(self.turn_id))

    def _read_out(self) -> None:
        self.lines.say(said_drafts(self._turn))

    def _choose(self) -> bool:
        """False when the person wants to leave."""
        turn = self._turn
        asked = "Enter keeps it, e edits it." if turn.picked else "Which is more like you, 1 or 2?"
        said = self.lines.ask(f"\n{asked} h shows all.\n").strip()
        return self._guarded(lambda: self._answer(turn, said))

    def _answer(self, turn: TurnView, said: str) -> bool:
        slash = slash_command(said)
        if slash is not None and self.conversations.do(*slash):
            return True
        command, rest = slash or (said.partition(" ")[0], said.partition(" ")[2].strip())
        draft = self._meant(turn, rest)
        match command.lower():
            case "q" | "quit" | "exit":
                return False
            case "h" | "help" | "?":
                self.lines.say(HELP_CHOOSING)
            case "1" | "2" if not rest:
                self._pick(turn, int(command) - 1)
            case "" | "a" | "keep" if draft is not None:
                self._keep(turn, draft)
            case "e" | "edit" if draft is not None:
                self._edit(turn, draft)
            case "star" | "*" if draft is not None:
                self._act(turn, lambda: star(self.recorder, draft))
                self.lines.say("Its star is gone." if draft.star else "Starred.")
            case "" | "a" | "keep" | "e" | "edit" | "star" | "*":
                self.lines.say("Which one? Type 1 or 2 first.")
            case "merge" if not rest:
                self._merge(turn)
            case "r" | "redo":
                self._write(self._writer().propose_again(turn.turn.id, hint=rest or None))
            case "t" | "tie" | "b" | "s" | "skip" if not rest:
                self._judge(turn, command[0].lower())
            case "v" if not rest:
                self._read_out()
            case "u" | "undo" if not rest:
                self._undo()
            case "n" | "new" if not rest:
                self.open(None)
                self.lines.say("A new conversation.")
            case _ if turn.picked and slash is None and is_text(said):
                settle(self.recorder, turn.picked, turn.picked.shown)
                self.send(said)
            case _:
                self.lines.say(f"There is no answer '{said}'. h and Enter lists them.")
        return True

    def _meant(self, turn: TurnView, said: str) -> DraftView | None:
        """The draft that was named, else the picked one."""
        if said in ("1", "2") and int(said) <= len(turn.drafts):
            return turn.drafts[int(said) - 1]
        return turn.picked if not said else None

    def _pick(self, turn: TurnView, side: int) -> None:
        if side >= len(turn.drafts):
            self.lines.say("There is only one draft here.")
            return
        self._act(turn, lambda: pick(self.recorder, turn.drafts[side]))
        self.lines.say(f"Picked draft {side + 1}.")

    def _keep(self, turn: TurnView, draft: DraftView) -> None:
        self._act(turn, lambda: keep(self.recorder, draft))
        self.lines.say("Kept.")
        self.turn_id = None

    def _edit(self, turn: TurnView, draft: DraftView) -> None:
        self._act(turn, lambda: pick(self.recorder, draft))
        text = edited_by_hand(self.lines, self.store, draft.id, draft.shown)
        if text is None:
            self.lines.say("The draft is as it was.")
            return
        self._act(turn, lambda: save_edit(self.recorder, draft, text))
        self.store.keep_unsaved(place_of_edit(draft.id), "")
        self.lines.say(f"Your version is saved ({diff_words(draft.text, text)}).")

    def _merge(self, turn: TurnView) -> None:
        if len(turn.drafts) != 2 or not all(draft.text.strip() for draft in turn.drafts):
            self.lines.say("It takes two drafts to put one text together: r writes new ones.")
            return
        merged = ask_for_merge(self.lines, self.store, turn)
        if merged is None:
            self.lines.say("The drafts are as they were.")
            return
        draft, other = turn.drafts[merged.side], turn.drafts[1 - merged.side]
        self._act(turn, lambda: self.recorder.merge(draft.id, other.id, merged.text))
        self.lines.say(f"Your text is saved, as your version of draft {merged.side + 1}.")

    def _judge(self, turn: TurnView, letter: str) -> None:
        kind, said = JUDGED[letter]
        self._act(turn, lambda: self.recorder.judge(turn.turn.id, kind))
        self.lines.say(said)
        if kind == "skip":
            self.turn_id = None

    def _undo(self) -> None:
        turn = self._turn if self.turn_id is not None else self._last_turn
        if turn is None or not turn.last_acts:
            self.lines.say("There is nothing to take back here.")
            return
        self._act(turn, lambda: undo(self.recorder, turn))
        self.lines.say(f"Taken back: {TAKEN_BACK[turn.last_acts[0].kind]}.")
        self.turn_id = turn.turn.id
        self._read_out()

    def _act(self, turn: TurnView, act: Callable[[], object]) -> None:
        act()
        learn(self.penpal, self.loading, turn.turn.id)

    def _guarded(self, action: Callable[[], bool]) -> bool:
        """Does what was asked; says what went wrong, and goes on."""
        try:
            return action()
        except InputEnded:
            raise
        except Exception as error:
            self.lines.say(in_words(error))
            return True

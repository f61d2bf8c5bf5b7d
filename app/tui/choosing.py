"""What the person does with drafts on the chat screen: each wish becomes acts on record, then the screen follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from app.tui.acts import keep, pick, save_edit, star, undo
from app.tui.key_names import with_keys
from app.tui.merging import open_merge
from app.tui.screens.hint import HintScreen
from app.tui.turn_view import TurnView
from app.tui.widgets.draft_card import DraftCard
from app.tui.widgets.draft_pair import Wish
from app.tui.wording import TAKEN_BACK, in_words
from core.recorder import Recorder

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen


class Choosing:
    """Choices, edits, stars and their undo, for a chat screen."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen, self._conversation = screen, screen.conversation

    def fulfil(self, wish: Wish, side: int) -> None:
        """Does what a key on the drafts asks for. While drafts are written, nothing."""
        screen, conversation = self._screen, self._conversation
        turn = conversation.waiting
        if turn is None or side >= len(turn.drafts) or screen.drafting.stream is not None:
            return
        screen.notice.clear()
        match wish:
            case "pick":
                self.act(
                    lambda recorder: pick(recorder, conversation.draft(side)),
                    then=lambda: screen.pair.focus_draft(side),
                )
            case "edit":
                self.act(lambda recorder: pick(recorder, conversation.draft(side)), then=lambda: self.open_editor(side))
            case "keep":
                self.act(
                    lambda recorder: keep(recorder, conversation.draft(side)),
                    first=self._go_on,
                    then=self._after_keep,
                )
            case "star":
                self.act(lambda recorder: star(recorder, conversation.draft(side)))
            case "undo":
                self.undo()
            case "redo":
                screen.drafting.write_again(turn)
            case "hint":
                screen.app.push_screen(
                    HintScreen(), lambda hint: screen.drafting.write_again(turn, hint=hint) if hint else None
                )
            case "merge":
                open_merge(screen, turn, side)
            case "changes":
                if not screen.pair.cards[side].open_changes():
                    screen.notice.say(with_keys(screen, "You have not changed this draft: {drafts.edit} edits it."))
            case "copy":
                screen.handing_out.copy(turn.drafts[side].shown)
            case "save":
                screen.handing_out.save(turn.drafts[side].shown)

    def undo(self) -> None:
        """Takes the last act of the last turn back; a kept draft comes back for another choice."""
        turn = self._conversation.turn
        if turn is None or not turn.last_acts:
            self._screen.notice.say("There is nothing to take back here.")
            return
        said = f"Taken back: {TAKEN_BACK[turn.last_acts[0].kind]}."
        self.act(lambda recorder: undo(recorder, self._conversation.turn), then=lambda: self._after_undo(said))

    async def _go_on(self) -> None:
        """To the next prompt, before the drafts go: what is typed from the moment it is kept belongs there."""
        self._screen.set_focus(self._screen.composer)

    def _after_keep(self) -> None:
        """Most texts are wanted elsewhere before one goes on."""
        self._screen.status.hint = with_keys(self._screen, "{desk.next}, then {thread.copy} copies what you kept")

    def _after_undo(self, said: str) -> None:
        self._screen.notify(said, timeout=2)
        if self._conversation.waiting:
            self._screen.pair.focus_draft()

    def take_back(self, turn: TurnView, *, prompt: str) -> None:
        """Puts a stopped turn aside and gives its prompt back; after a redo, the drafts before come back."""
        screen = self._screen
        if turn.redone:
            self.act(lambda recorder: undo(recorder, turn), then=screen.pair.focus_draft)
        else:
            self.act(
                lambda recorder: recorder.judge(turn.turn.id, "skip"), then=lambda: screen.drafting.give_back(prompt)
            )

    # --- editing ----------------------------------------------------------------------------------------------

    def open_editor(self, side: int) -> None:
        """Opens a draft for editing, where the person left off."""
        pair = self._screen.pair
        pair.cards[side].open_editor(self._screen.typed.edit_text(self._conversation.draft(side)))
        pair.refresh_bindings()
        self._screen.show_ready()

    def save_edit(self, text: str) -> None:
        """Keeps the open edit as the person's version."""
        card, typed = self._screen.pair.editing, self._screen.typed
        if self._conversation.waiting is None or card is None or card.view is None:
            return
        draft = card.view

        async def close() -> None:
            typed.forget_edit(draft)
            await typed.save_now()
            await card.close_editor()

        self.act(lambda recorder: save_edit(recorder, draft, text), first=close, then=card.focus_changes)

    def choose_changes(self, card: DraftCard, text: str) -> None:
        """Keeps the version that has only some of the person's changes."""
        side = self._screen.pair.cards.index(card)
        self.act(lambda recorder: save_edit(recorder, self._conversation.draft(side), text))

    def leave_edit(self, text: str) -> None:
        """Closes the open edit; what was typed is kept for later."""
        card, typed = self._screen.pair.editing, self._screen.typed
        if card is None or card.view is None:
            return
        if text.rstrip() == card.view.shown.rstrip():
            typed.forget_edit(card.view)
        else:
            typed.note_edit(card.view, text)
        self.act(lambda recorder: typed.unsaved.save(), first=card.close_editor, then=card.focus)

    # --- recording --------------------------------------------------------------------------------------------

    def act(
        self,
        act: Callable[[Recorder], object],
        *,
        first: Callable[[], Awaitable[None]] | None = None,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        """Records an act in a thread, after all acts before it, then shows the turn as it is now."""

        async def acting() -> None:
            async with self._conversation.in_order:
                try:
                    await self.record(self._conversation.turn, act)
                    if first is not None:
                        await first()
                    await self._screen.refresh_turns()
                    then()
                except Exception as error:
                    self._screen.notice.say(in_words(error))

        self._screen.run_worker(acting(), name="record an act", group="record")

    async def record(self, turn: TurnView | None, act: Callable[[Recorder], object]) -> None:
        """Records an act at once, and lets the next drafts lean on what the turn says then."""
        await self._conversation.record(turn, act, self._screen.leaning)
        self._screen.news.clear()

"""What the person does with whole conversations on a chat screen: search, name, delete and bring back, branch off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from app.tui.key_names import with_keys
from app.tui.screens.ask_line import AskLineScreen
from app.tui.screens.search import SearchScreen
from app.tui.turn_view import TurnView
from app.tui.widgets.conversation_list import ListWish
from app.tui.wording import in_words
from core.errors import UsageError
from core.store import Found

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen


class Conversations:
    """All conversations, seen from a chat screen that has one of them open."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen, self._store, self._open = screen, screen.store, screen.conversation

    def fulfil(self, wish: ListWish, conversation_id: int | None) -> None:
        """Does what a key on the list asks for."""
        if wish == "undo":
            self._do(self._bring_back)
        elif conversation_id is None:
            self._screen.notice.say("There is no conversation yet: the first prompt makes one.")
        elif wish == "rename":
            self._ask_for_name(conversation_id)
        else:
            self._do(lambda: self._delete(conversation_id))

    def _do(self, step: Callable[[], Awaitable[None]]) -> None:
        async def doing() -> None:
            self._screen.notice.clear()
            try:
                await step()
            except Exception as error:
                self._screen.notice.say(in_words(error))

        self._screen.run_worker(doing(), name="conversations", group="record")

    # --- search -----------------------------------------------------------------------------------------------

    def search(self) -> None:
        """Opens the search, and goes to what is chosen there."""
        self._screen.app.push_screen(SearchScreen(self._store), self._go_to)

    def _go_to(self, found: Found | None) -> None:
        async def go() -> None:
            assert found is not None
            if await self._screen.switch_to(found.conversation_id) and found.turn_id is not None:
                waiting = self._open.waiting
                if waiting is None or waiting.turn.id != found.turn_id:
                    self._screen.thread.select(found.turn_id)
                    self._screen.thread.focus()

        if found is not None:
            self._do(go)

    # --- names ------------------------------------------------------------------------------------------------

    def _ask_for_name(self, conversation_id: int) -> None:
        title = self._store.conversation(conversation_id).title

        def renamed(name: str | None) -> None:
            async def rename() -> None:
                assert name is not None
                await asyncio.to_thread(self._store.rename_conversation, conversation_id, name)
                await self._screen.refresh_turns()
                await self._screen.show_conversations(cursor=conversation_id)

            if name is not None:
                self._do(rename)

        self._screen.app.push_screen(
            AskLineScreen("a name for this conversation", value=title, objection=_objection_to_name), renamed
        )

    # --- deleting ---------------------------------------------------------------------------------------------

    async def _delete(self, conversation_id: int) -> None:
        if self._screen.stream is not None and conversation_id == self._open.id:
            said = "PenPal is still writing in it: {chat.back} stops it, then you can delete it."
            raise UsageError(with_keys(self._screen, said))
        title = self._store.conversation(conversation_id).title
        sidebar = self._screen.sidebar
        after = sidebar.neighbour_of(conversation_id)
        if conversation_id == self._open.id:
            await self._screen.switch_to(None)
        await asyncio.to_thread(self._store.delete_conversation, conversation_id)
        await self._show_changed(conversation_id, cursor=after)
        way_back = with_keys(self._screen, "PenPal no longer learns from it. {list.undo} in the list brings it back.")
        self._screen.news.say(f"Deleted: {title.rstrip('.')}. {way_back}")

    async def _bring_back(self) -> None:
        deleted = await asyncio.to_thread(self._store.last_deleted)
        if deleted is None:
            raise UsageError("Nothing was deleted, so there is nothing to bring back.")
        await asyncio.to_thread(self._store.restore_conversation, deleted.id)
        await self._show_changed(deleted.id, cursor=deleted.id)
        self._screen.news.say(f"Back again: {deleted.title.rstrip('.')}.")

    async def _show_changed(self, conversation_id: int, *, cursor: int | None) -> None:
        """What teaches has changed: the voice leans anew on each turn."""
        for turn in await asyncio.to_thread(self._store.turns, conversation_id):
            if await asyncio.to_thread(self._store.acts, turn.id):
                self._screen.leaning.learn(turn.id)
        await self._screen.show_conversations(cursor=cursor)
        await self._screen.refresh_turns()
        self._screen.sidebar.focus()

    # --- branches ---------------------------------------------------------------------------------------------

    def branch_off(self, turn: TurnView) -> None:
        """Opens a branch in which this prompt can be said differently; the turn itself stays as it is."""

        async def branch() -> None:
            if self._screen.stream is not None:
                said = "PenPal is still writing: {chat.back} stops it, then you can edit an earlier prompt."
                raise UsageError(with_keys(self._screen, said))
            branch_id = await asyncio.to_thread(self._store.unsent_branch, turn.turn.id)
            if not await self._screen.switch_to(branch_id):
                return
            composer = self._screen.composer
            if not composer.text.strip():
                composer.replace_text(turn.turn.prompt)
            composer.focus()

        self._do(branch)

    async def leave_unsent_branch(self) -> None:
        """Back to where it branched off; a prompt that was not changed is forgotten, a changed one kept for later."""
        branch = self._open.about
        assert branch is not None
        before = await asyncio.to_thread(self._store.branched_before, branch.id)
        if before is not None and self._screen.composer.text.strip() == before.prompt.strip():
            self._screen.composer.replace_text("")
        await self._screen.switch_to(branch.branch_of)

    def open_origin(self) -> None:
        """From a branch to the conversation that it branched off."""

        async def go() -> None:
            about = self._open.about
            if about is None or about.branch_of is None:
                raise UsageError("This conversation is no branch of another one.")
            if self._open.is_unsent_branch:
                await self.leave_unsent_branch()
            else:
                await self._screen.switch_to(about.branch_of)

        self._do(go)


def _objection_to_name(name: str) -> str:
    return "" if name.strip() else "A name needs at least one letter."

"""Learning as the chat screen shows it: who writes, whether this conversation teaches, the questions of the morning."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import replace
from typing import TYPE_CHECKING

from app.morning import Review, due_review, note_offered
from app.progress import read_standing
from app.tui.key_names import with_keys
from app.tui.learning_words import in_brief, last_night, standing
from app.tui.screens.morning import MorningScreen
from app.tui.widgets.notice import Notice
from app.tui.widgets.title_bar import TitleBar
from app.tui.wording import in_words

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen

BADGE = "learning off"
OFFER = "Three short questions about the new voice: {chat.morning}."


class LearningHere:
    """For a chat screen."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen, self._store = screen, screen.store
        self._off_for_new = False
        """The person switched learning off before the conversation was there."""

    async def show_standing(self) -> None:
        """Says in the title who writes, from how many pairs, and what last night brought."""
        app, title = self._screen.app, self._screen.query_one(TitleBar)
        writer = await app.writer()
        found = await asyncio.to_thread(read_standing, self._store, backbone_id=writer.decoder.backbone_id)
        if not title.is_attached:
            return  # the person has gone meanwhile
        generic = app.next_is_generic
        if app.penpal.is_trying or app.penpal.latents_off:
            found = replace(found, active=app.penpal.session_encoder())
        title.show_side_note(
            standing(found, generic=generic, strength=app.penpal.strength),
            besides=last_night(found),
            brief=in_brief(found, generic=generic),
        )
        self._screen.query_one("#latents-off", Notice).say(
            f"Drafts are generic for now: {app.penpal.latents_off}" if app.penpal.latents_off else ""
        )

    async def come_back(self) -> None:
        """The person was elsewhere, where the voice may have changed."""
        if self._screen.app.loaded and self._screen.stream is None:
            try:
                await self.show_standing()
            except Exception as error:
                for notice in self._screen.query("#notice").results(Notice):  # unless the person has gone already
                    notice.say(in_words(error))

    # --- this conversation ------------------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether PenPal learns from the open conversation."""
        conversation_id = self._screen.conversation_id
        return not self._off_for_new if conversation_id is None else self._store.is_learned_from(conversation_id)

    def show_badge(self) -> None:
        """Says so while it does not."""
        if self._screen.conversation_id is not None:
            self._off_for_new = False
        self._screen.query_one(TitleBar).show_badge("" if self.on else BADGE)

    def note_new(self, conversation_id: int) -> None:
        """A new conversation was made: what was said before it was there holds for it."""
        if self._off_for_new:
            self._store.set_learning(conversation_id, False)

    async def toggle(self) -> None:
        """Switches learning off for the open conversation, or on again, for everything answered in it."""
        screen, conversation_id, on = self._screen, self._screen.conversation_id, not self.on
        if conversation_id is None:
            self._off_for_new = not on
        else:
            await asyncio.to_thread(self._store.set_learning, conversation_id, on)
            for turn in screen.turns:
                screen.leaning.learn(turn.turn.id)
        self.show_badge()
        screen.notify(
            "PenPal learns from this conversation." if on else "PenPal learns nothing from this conversation."
        )
        if screen.app.loaded:
            await self.show_standing()

    # --- the morning after ------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Once everything is loaded: offers the questions, and makes ready what the learning screen shows."""
        await self._offer_questions()
        # A twelfth of a second of imports, which would be felt at the key.
        for module in ("app.tui.screens.learning", "app.tui.widgets.curve"):
            await asyncio.to_thread(importlib.import_module, module)

    async def _offer_questions(self) -> None:
        """Mentions the questions about last night, if there are any."""
        if not self._screen.app.penpal.settings.learning.morning:
            return
        review, news = await self._due_review(), self._screen.news
        if review is not None and self._screen.stream is None:
            news.say(" ".join(part for part in (news.text, with_keys(news, OFFER)) if part))
            await asyncio.to_thread(note_offered, self._store, review)

    async def _due_review(self) -> Review | None:
        penpal = self._screen.app.penpal
        return None if penpal.latents_off else await asyncio.to_thread(due_review, self._store, penpal.home)

    async def ask_questions(self) -> None:
        """Opens the questions about the voice that the newest run made."""
        screen = self._screen
        if screen.stream is not None:
            said = "PenPal is still writing: {chat.back} stops it, then {chat.morning} asks."
            screen.notice.say(with_keys(screen, said))
            return
        review = await self._due_review()
        if review is None:
            screen.notice.say("There is nothing to ask: PenPal asks in the morning after it found a better voice.")
            return
        screen.notice.clear()
        screen.news.clear()
        screen.app.push_screen(MorningScreen(self._store, review))

"""How a text begins on a chat screen: from a text that came along, from a starting point, and the very first time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.attachments import Attachment, together
from app.starting_points import StartingPoint
from app.tui.first_run import is_first_run, note_tour_seen
from app.tui.key_names import with_keys
from app.tui.screens.start import TEXT, WISH, StartFormScreen, StartScreen
from app.tui.screens.tour import TourScreen
from app.tui.screens.warm_up import WarmUpScreen
from app.tui.warm_up import WarmUp

if TYPE_CHECKING:
    from app.tui.screens.chat import ChatScreen


class Beginnings:
    """What a chat screen offers to a person who has not begun yet."""

    def __init__(self, screen: ChatScreen, attached: Sequence[Attachment], *, welcome: bool) -> None:
        """`attached` is put below the first prompt; `welcome`: whoever is here for the first time is shown around."""
        self._screen, self._attached, self._welcome = screen, attached, welcome
        self._warm_up: WarmUp | None = None

    async def begin(self) -> None:
        """Once the screen is there."""
        if self._attached:
            await self._bring(self._attached)
        elif self._welcome and is_first_run(self._screen.store):
            self.show_tour()

    # --- a text that came along -------------------------------------------------------------------------------

    async def _bring(self, attached: Sequence[Attachment]) -> None:
        """Puts the texts into the prompt of a new conversation, below what was typed there."""
        screen, text = self._screen, together(attached)
        await screen.action_new()
        typed = screen.composer.text.partition(text)[0].rstrip()
        if text not in screen.composer.text:
            screen.composer.replace_text(f"{typed}\n\n{text}")
        screen.composer.move_cursor((typed.count("\n"), len(typed.rpartition("\n")[2])))
        names = ", ".join(one.name for one in attached)
        helped = with_keys(screen, "Say above it what to do; {chat.start} helps with that.")
        screen.news.say(f"Below your prompt: {names}. {helped}")

    # --- starting points --------------------------------------------------------------------------------------

    def offer(self) -> None:
        """Asks how to begin."""
        if self._may_begin():
            self._screen.app.push_screen(StartScreen(), self._ask_for_parts)

    def _may_begin(self) -> bool:
        if self._screen.stream is not None:
            said = "PenPal is still writing: {chat.back} stops it, then you can begin something else."
            self._screen.notice.say(with_keys(self._screen, said))
        return self._screen.stream is None

    def _ask_for_parts(self, point: StartingPoint | None) -> None:
        screen = self._screen
        if point is None:
            return
        if not point.material:
            screen.run_worker(screen.action_new(), name="a new conversation")
            return
        typed = screen.composer.text
        form = StartFormScreen(point, screen.unsaved, text=typed)
        screen.app.push_screen(form, lambda prompt: self._send(prompt, taken=typed))

    def _send(self, prompt: str | None, *, taken: str) -> None:
        if prompt:
            self._screen.run_worker(self._sending(prompt, taken), name="begin")

    async def _sending(self, prompt: str, taken: str) -> None:
        """Sends a prompt as the first of its conversation; `taken`, what was in the composer, went into the form."""
        screen = self._screen
        if taken.strip() and taken.strip() in prompt:
            screen.composer.replace_text("")
        if screen.turns:
            await screen.action_new()
        screen.drafting.write(prompt)
        for place in (WISH, TEXT):
            screen.unsaved.changed(place, "")

    # --- the first time ---------------------------------------------------------------------------------------

    def show_tour(self) -> None:
        """Points at the parts of the screen, then offers three picks to begin with."""
        if not self._may_begin():
            return
        screen = self._screen
        self._warm_up = warm_up = WarmUp(screen.app.writer, screen.leaning.learn)
        screen.run_worker(warm_up.prepare(), name="warm up", group="warm up")

        def pick(wanted: bool | None) -> None:
            note_tour_seen(screen.store)
            if wanted:
                screen.app.push_screen(WarmUpScreen(warm_up), write)
            else:
                write(None)

        def write(picks: int | None) -> None:
            warm_up.stop()
            screen.composer.focus()
            if picks:
                screen.run_worker(screen.refresh_turns(), name="show what was learned")
                screen.news.say("That was it. Now write something of your own: PenPal learns as you go.")

        screen.app.push_screen(TourScreen(screen, screen.app.penpal.home.folder), pick)

    def stop(self) -> None:
        """Nothing is written any more."""
        if self._warm_up is not None:
            self._warm_up.stop()

"""What the person changed in a draft: each change can be left out and taken in again."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from app.tui.diff_text import line_of, review
from core.word_diff import changes, put_together, word_diff


class DraftChanges(Static, can_focus=True):
    """The draft with its changes marked in place; one of them is the one that keys act on."""

    HELP_TITLE = "On what you changed"
    BINDINGS = [
        Binding("n", "move(1)", "next", id="changes.next", tooltip="Go to the next change"),
        Binding("p", "move(-1)", "previous", show=False, id="changes.previous", tooltip="Go to the change before"),
        Binding(
            "space", "turn", "in/out", id="changes.toggle", key_display="space",
            tooltip="Leave this change out of your text, or take it in again",
        ),
        Binding("y", "decide(True)", "take", show=False, id="changes.take", tooltip="Take this change, go on"),
        Binding("x", "decide(False)", "leave out", show=False, id="changes.leave", tooltip="Leave it out, go on"),
        Binding(
            "A", "turn_all", "all", show=False, id="changes.all", tooltip="Take all changes, or leave all of them out"
        ),
        # Keys of the pair that need no place in the footer while changes are looked through.
        Binding("1", "pair(\"wish('pick', 0)\")", show=False, id="drafts.pick-left", tooltip="Prefer draft 1"),
        Binding("2", "pair(\"wish('pick', 1)\")", show=False, id="drafts.pick-right", tooltip="Prefer draft 2"),
        Binding("r", "pair(\"wish('redo')\")", show=False, id="drafts.redo", tooltip="Neither: write two new drafts"),
        Binding("escape,d", "close", "text", show=False, id="changes.close", tooltip="Show your text alone again"),
    ]  # fmt: skip

    @dataclass
    class Chosen(Message):
        """The person wants the text with these of their changes."""

        text: str

    @dataclass
    class Moved(Message):
        """Another change is the one that keys act on."""

        said: str

    @dataclass
    class Closed(Message):
        """The person has seen enough."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__()
        self._compare(before, after)

    def _compare(self, before: str, after: str) -> None:
        self._before, self._pieces = before, word_diff(before, after)
        self._places = changes(self._pieces)
        self._accepted = frozenset(self._places)
        self._at = 0
        self._seen = {after.rstrip(): self._accepted}
        """By the text that they make, so that an undo finds its way back."""
        self._asked: list[str] = []
        """Texts that were asked for and did not come back yet."""

    def on_mount(self) -> None:
        self._show()

    def on_resize(self) -> None:
        self._scroll_here()

    @property
    def text(self) -> str:
        """The text with the changes that are taken."""
        return put_together(self._pieces, self._accepted) if self._accepted else self._before

    @property
    def said(self) -> str:
        """Where the person is among the changes."""
        left_out = len(self._places) - len(self._accepted)
        return f"change {self._at + 1} of {len(self._places)}" + (f" · {left_out} left out" if left_out else "")

    def follow(self, before: str, after: str) -> bool:
        """Shows these texts; changes that were left out stay where they can be taken in again. False: none to show."""
        if after.rstrip() in self._asked:
            del self._asked[: self._asked.index(after.rstrip()) + 1]
            if self._asked:
                return True  # the person is faster than the disk: what they asked for last is on its way
        self._asked.clear()
        if after.rstrip() in self._seen and before == self._before:
            self._accepted = self._seen[after.rstrip()]
        elif after.rstrip() != self.text.rstrip() or before != self._before:
            self._compare(before, after)
        if self._places:
            self._show()
        return bool(self._places)

    # --- keys -------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self._at = (self._at + by) % len(self._places)
        self._show()

    def action_turn(self) -> None:
        self._choose(self._accepted ^ {self._places[self._at]})

    def action_decide(self, take: bool) -> None:
        here = {self._places[self._at]}
        self._choose(self._accepted | here if take else self._accepted - here)
        self.action_move(1)

    def action_turn_all(self) -> None:
        every = frozenset(self._places)
        self._choose(frozenset() if self._accepted == every else every)

    async def action_pair(self, action: str) -> None:
        await self.app.run_action(action, self.query_ancestor("#drafts"))

    def action_close(self) -> None:
        self.post_message(self.Closed())

    def _choose(self, accepted: frozenset[int]) -> None:
        if accepted == self._accepted:
            return
        self._accepted = accepted
        self._seen[self.text.rstrip()] = accepted
        self._asked.append(self.text.rstrip())
        self._show()
        self.post_message(self.Chosen(self.text))

    # --- showing ----------------------------------------------------------------------------------------------

    def _show(self) -> None:
        self._shown, self._begins = review(self._pieces, self._accepted, self._places[self._at])
        self.update(self._shown)
        self.post_message(self.Moved(self.said))
        self.call_after_refresh(self._scroll_here)

    def _scroll_here(self) -> None:
        """Keeps the change in the middle of what can be seen."""
        if isinstance(card := self.parent, VerticalScroll) and self.size.width:
            line = line_of(self._shown, self._begins, self.size.width)
            card.scroll_to(y=max(0, line - card.size.height // 2), animate=False)

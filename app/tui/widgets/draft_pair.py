"""Two drafts beside each other, and the keys that act on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.message import Message

from app.tui.draft_stream import StreamView
from app.tui.turn_view import TurnView
from app.tui.widgets.draft_card import DraftCard

Wish = Literal["pick", "edit", "keep", "redo", "hint", "merge", "changes", "star", "undo", "copy", "save"]


class DraftPair(Container):
    """Side by side where there is room, else one above the other."""

    HELP_TITLE = "On the drafts"
    BINDINGS = [
        Binding("1", "wish('pick', 0)", "pick", id="drafts.pick-left", key_display="1/2", tooltip="Prefer draft 1"),
        Binding("2", "wish('pick', 1)", "pick", id="drafts.pick-right", show=False, tooltip="Prefer draft 2"),
        Binding("left,h", "go(0)", "left", show=False, id="drafts.left", tooltip="Go to draft 1"),
        Binding("right,l", "go(1)", "right", show=False, id="drafts.right", tooltip="Go to draft 2"),
        Binding("e", "wish('edit')", "edit", id="drafts.edit", tooltip="Edit the picked draft in place"),
        Binding(
            "enter,a", "wish('keep')", "keep", id="drafts.keep", key_display="⏎",
            tooltip="Keep the picked draft: it goes into the thread",
        ),
        Binding("r", "wish('redo')", "redo", id="drafts.redo", tooltip="Neither: write two new drafts"),
        Binding(
            "R", "wish('hint')", "with a hint", id="drafts.hint",
            tooltip="Write two new drafts, and say what should be different",
        ),
        Binding(
            "m", "wish('merge')", "merge", id="drafts.merge",
            tooltip="Put one text together out of both drafts",
        ),
        Binding(
            "d", "wish('changes')", "what changed", show=False, id="drafts.changes",
            tooltip="Show what you changed in this draft, change by change",
        ),
        Binding("s", "wish('star')", "star", show=False, id="drafts.star", tooltip="Star it, or take its star away"),
        Binding("u", "wish('undo')", "undo", id="drafts.undo", tooltip="Take the last act back"),
        Binding("y", "wish('copy')", "copy", id="drafts.copy", tooltip="Copy this draft"),
        Binding("w", "wish('save')", "save", show=False, id="drafts.save", tooltip="Save this draft to a file"),
    ]  # fmt: skip

    @dataclass
    class Wished(Message):
        """The person pressed a key that acts on a draft."""

        wish: Wish
        side: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.display = False
        self.writing = False

    def compose(self) -> ComposeResult:
        yield DraftCard("draft 1", id="draft-0")
        yield DraftCard("draft 2", id="draft-1")

    @property
    def cards(self) -> list[DraftCard]:
        return list(self.query(DraftCard))

    @property
    def side(self) -> int:
        """The side that a key without a number acts on: where the focus is, else what is picked, else the first."""
        for i, card in enumerate(self.cards):
            if card.has_focus_within:
                return i
        return next((i for i, card in enumerate(self.cards) if card.view and card.view.picked), 0)

    @property
    def editing(self) -> DraftCard | None:
        return next((card for card in self.cards if card.editor is not None), None)

    def show_stream(self, stream: StreamView) -> None:
        """Shows drafts that are being written."""
        self._appear(True)
        self.writing = True
        for card, text, finished in zip(self.cards, stream.texts, stream.finished, strict=False):
            card.show_stream(text, finished=finished)

    def show(self, turn: TurnView | None) -> None:
        """Shows a turn that waits for a choice; hides when there is none."""
        self.writing = False
        waiting = turn is not None and turn.kept is None and bool(turn.drafts)
        if turn is not None and waiting:
            for card, draft in zip(self.cards, turn.drafts, strict=False):
                card.show(draft)
            for i, card in enumerate(self.cards):
                card.set_class(i >= len(turn.drafts), "-absent")
        self._appear(waiting)
        self.refresh_bindings()

    def _appear(self, shown: bool) -> None:
        self.display = shown
        if self.parent is not None:
            self.parent.set_class(shown, "-choosing")  # the thread above makes room

    def focus_draft(self, side: int | None = None) -> None:
        """Goes to a draft; to its editor while there is one."""
        card = self.editing or self.cards[self.side if side is None else side]
        (card.editor or card).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a draft is edited or written, letters do not act on drafts."""
        return not (action in ("wish", "go") and (self.editing is not None or self.writing))

    def action_wish(self, wish: Wish, side: int | None = None) -> None:
        if wish == "pick" and side is not None and self.cards[side].focusable:
            self.screen.set_focus(self.cards[side])  # at once: the next key may keep it before the pick is on record
        self.post_message(self.Wished(wish, self.side if side is None else side))

    def action_go(self, side: int) -> None:
        self.focus_draft(side)

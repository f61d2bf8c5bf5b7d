"""The conversation so far."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual import on
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from app.tui.key_names import with_keys
from app.tui.turn_view import TurnView
from app.tui.widgets.turn_block import TurnBlock

WELCOME = """\
What would you like to write?

Say it below in your own words: a reply, a note, a post.
PenPal writes two drafts; keep the one that sounds like you, and edit it.
{chat.start} answers a message, or rewrites or continues a text that you have.

Nothing leaves this machine."""


def alike(old: Widget, new: Widget) -> bool:
    """Whether a block that is shown says what another one would."""
    return isinstance(old, TurnBlock) and isinstance(new, TurnBlock) and old.says == new.says


class Thread(VerticalScroll):
    """Past turns, the newest at the bottom. With the focus here, one of them is chosen, and keys act on it."""

    HELP_TITLE = "On the thread"
    BINDINGS = [
        Binding("up", "choose(-1)", "choose", key_display="↑↓", id="thread.previous", tooltip="To the turn before"),
        Binding("down", "choose(1)", "next", show=False, id="thread.next", tooltip="To the next turn"),
        Binding("e", "branch", "edit the prompt", id="thread.branch", tooltip="Say this prompt otherwise, in a branch"),
        Binding("o", "origin", "original", id="thread.origin", tooltip="From a branch back to its original"),
        Binding("u", "undo", "undo", id="thread.undo", tooltip="Take the last act back"),
        Binding("y", "copy", "copy", id="thread.copy", tooltip="Copy the text kept here"),
        Binding("w", "save", "save", id="thread.save", tooltip="Save the text kept here to a file"),
        Binding("k", "scroll_up", "up", show=False, id="thread.up", tooltip="Scroll up"),
        Binding("j", "scroll_down", "down", show=False, id="thread.down", tooltip="Scroll down"),
        Binding("g", "choose_end(0)", "start", show=False, id="thread.start", tooltip="Go to the first turn"),
        Binding("G", "choose_end(-1)", "end", show=False, id="thread.end", tooltip="Go to the last turn"),
    ]

    @dataclass
    class UndoWished(Message):
        """Take the last act of the last turn back."""

    @dataclass
    class CopyWished(Message):
        """Copy a kept text."""

        text: str

    @dataclass
    class SaveWished(Message):
        """Save a kept text to a file."""

        text: str

    @dataclass
    class BranchWished(Message):
        """Say a prompt differently."""

        turn_id: int

    @dataclass
    class OriginWished(Message):
        """Go from a branch to its original."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chosen: int | None = None
        """The turn that keys act on; None: the last one."""
        self.is_branch = False
        self._one_at_a_time = asyncio.Lock()

    # --- showing ----------------------------------------------------------------------------------------------

    async def show(self, turns: Sequence[TurnView], *, pending: str = "", is_branch: bool = False) -> None:
        """Shows these turns, and a prompt that is on its way. The last turn may still wait for a choice."""
        self.is_branch = is_branch
        blocks: list[TurnBlock | Static] = []
        for turn in turns:
            waiting = turn is turns[-1] and turn.kept is None and bool(turn.drafts)
            note = "" if waiting else turn.about_kept()
            blocks.append(TurnBlock(turn.turn.prompt, turn.kept, note, turn_id=turn.turn.id))
        if pending:
            blocks.append(TurnBlock(pending))
        if not blocks and not is_branch:
            blocks.append(Static(with_keys(self, WELCOME), id="welcome", markup=False))
        async with self._one_at_a_time, self.batch():
            await self._replace(blocks)
        self.chosen = None
        self._mark_chosen()
        self.refresh_bindings()
        self.scroll_end(animate=False)

    def on_resize(self) -> None:
        """Its end stays in sight when the drafts below take room. (Textual's anchor pushes a short thread down.)"""
        if self.chosen is None:
            self.scroll_end(animate=False)

    async def _replace(self, blocks: Sequence[TurnBlock | Static]) -> None:
        """Mounts only what is not there yet: a long conversation takes a second to lay out."""
        shown = list(self.children)
        pairs = enumerate(zip(shown, blocks, strict=False))
        same = next((i for i, (old, new) in pairs if not alike(old, new)), min(len(shown), len(blocks)))
        if shown[same:]:
            await self.remove_children(shown[same:])
        if blocks[same:]:
            await self.mount_all(blocks[same:])

    @property
    def _turns(self) -> list[TurnBlock]:
        return [block for block in self.query(TurnBlock) if block.turn_id is not None]

    @property
    def _chosen_block(self) -> TurnBlock | None:
        turns = self._turns
        return next((block for block in turns if block.turn_id == self.chosen), turns[-1] if turns else None)

    def _mark_chosen(self) -> None:
        for block in self.query(TurnBlock):
            block.set_class(block is self._chosen_block, "-chosen")

    # --- choosing a turn --------------------------------------------------------------------------------------

    def select(self, turn_id: int) -> None:
        """Chooses a turn and brings it into view."""
        self.chosen = turn_id
        self._mark_chosen()
        if (block := self._chosen_block) is not None:
            self.call_after_refresh(self.scroll_to_widget, block, animate=False, top=True)

    def scroll_to(self, x: float | None = None, y: float | None = None, **how: Any) -> None:
        """At once: an animation only makes whoever holds a key wait."""
        super().scroll_to(x, y, **how | {"animate": False})

    def action_choose(self, step: int) -> None:
        turns, chosen = self._turns, self._chosen_block
        if chosen is not None:
            at = turns.index(chosen) + step
            if 0 <= at < len(turns) and (turn_id := turns[at].turn_id) is not None:
                self.select(turn_id)

    def action_choose_end(self, at: int) -> None:
        turns = self._turns
        if turns and (turn_id := turns[at].turn_id) is not None:
            self.select(turn_id)

    @on(TurnBlock.Clicked)
    def choose_clicked(self, event: TurnBlock.Clicked) -> None:
        self.chosen = event.turn_id
        self._mark_chosen()
        self.focus(scroll_visible=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only a branch has an original; without a turn there is nothing to act on."""
        if action == "origin":
            return self.is_branch
        return bool(self._turns) if action in ("branch", "copy", "save", "undo", "choose") else True

    # --- keys -------------------------------------------------------------------------------------------------

    def action_undo(self) -> None:
        self.post_message(self.UndoWished())

    @property
    def _kept(self) -> str | None:
        """The text kept in the chosen turn; without a choice, the text kept last."""
        if self.chosen is not None:
            return self._chosen_block.kept if self._chosen_block is not None else None
        return next((block.kept for block in reversed(self._turns) if block.kept), None)

    def action_copy(self) -> None:
        if (text := self._kept) is not None:
            self.post_message(self.CopyWished(text))

    def action_save(self) -> None:
        if (text := self._kept) is not None:
            self.post_message(self.SaveWished(text))

    def action_branch(self) -> None:
        if (chosen := self._chosen_block) is not None and chosen.turn_id is not None:
            self.post_message(self.BranchWished(chosen.turn_id))

    def action_origin(self) -> None:
        self.post_message(self.OriginWished())

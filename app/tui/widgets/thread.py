"""The conversation so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from app.tui.turn_view import TurnView
from app.tui.widgets.turn_block import TurnBlock

WELCOME = """\
What would you like to write?

Say it below in your own words: a reply, a note, a post.
PenPal writes two drafts; keep the one that sounds like you, and edit it.
Nothing leaves this machine."""


class Thread(VerticalScroll):
    """Past turns, the newest at the bottom. With the focus here, keys act on the last kept text."""

    HELP_TITLE = "On the thread"
    BINDINGS = [
        Binding("u", "post('undo')", "undo", id="thread.undo", tooltip="Take the last act back"),
        Binding("y", "post('copy')", "copy", id="thread.copy", tooltip="Copy the last kept text"),
        Binding("k", "scroll_up", "up", show=False, id="thread.up", tooltip="Scroll up"),
        Binding("j", "scroll_down", "down", show=False, id="thread.down", tooltip="Scroll down"),
        Binding("g", "scroll_home", "start", show=False, id="thread.start", tooltip="Go to the start"),
        Binding("G", "scroll_end", "end", show=False, id="thread.end", tooltip="Go to the end"),
    ]

    @dataclass
    class UndoWished(Message):
        """Take the last act of the last turn back."""

    @dataclass
    class CopyWished(Message):
        """Copy the last kept text."""

    def action_post(self, wish: str) -> None:
        self.post_message(self.UndoWished() if wish == "undo" else self.CopyWished())

    async def show(self, turns: Sequence[TurnView], *, pending: str = "") -> None:
        """Shows these turns, and a prompt that is on its way. The last turn may still wait for a choice."""
        blocks: list[TurnBlock | Static] = []
        for turn in turns:
            waiting = turn is turns[-1] and turn.kept is None and bool(turn.drafts)
            blocks.append(TurnBlock(turn.turn.prompt, turn.kept, "" if waiting else turn.about_kept()))
        if pending:
            blocks.append(TurnBlock(pending))
        if not blocks:
            blocks.append(Static(WELCOME, id="welcome", markup=False))
        self.set_class(not turns and not pending, "-empty")
        async with self.batch():
            await self.remove_children()
            await self.mount_all(blocks)
        self.scroll_end(animate=False)

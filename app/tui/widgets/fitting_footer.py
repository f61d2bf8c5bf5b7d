"""The keys of the moment, in one line. What does not fit is left out, so that help is always in sight."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import ActiveBinding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from app.tui.palette import declared_by

FIRST_TO_GO = (
    "chat.search", "chat.start", "drafts.copy", "drafts.undo", "drafts.merge", "drafts.hint", "chat.new",
    "chat.sidebar", "rate.why", "rate.edit", "rate.clearly-left", "app.learning", "morning.decline",
    "learning.roll-back", "desk.next", "rate.both-bad", "rate.undo", "rate.skip", "thread.save", "thread.undo",
    "app.quit",
)  # fmt: skip
"""Actions that help and the palette name too; the least needed ones first."""
COMPACT_BELOW = 100
"""Columns."""
MARGIN = 2


@dataclass(frozen=True)
class Shown:
    """One key as it is drawn."""

    key: str
    sign: str
    description: str
    action: str
    enabled: bool
    tooltip: str
    compact: bool


class FittingFooter(Footer):
    """In the order in which actions are declared, whichever keys they have."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=self.app.size.width < COMPACT_BELOW)
        self._shown: list[Shown] = []

    def compose(self) -> ComposeResult:
        if not self._bindings_ready:
            return
        self._shown = self._to_show()
        for one in self._shown:
            # Not through a reactive: a class that each of ten keys takes on later is a quarter of the time of a key
            # that is pressed.
            key = FooterKey(
                one.key, one.sign, one.description, one.action, not one.enabled, one.tooltip, "-compact" * one.compact
            )
            key.set_reactive(FooterKey.compact, one.compact)
            yield key

    def bindings_changed(self, screen: Screen[object]) -> None:
        """Draws the line anew when it says something else: bindings are looked through after each key."""
        self._bindings_ready = True
        if screen.app.app_focus and self.is_attached and screen is self.screen:
            self.call_after_refresh(self._draw_anew)

    async def on_resize(self) -> None:
        self.compact = self.app.size.width < COMPACT_BELOW
        await self._draw_anew()

    async def _draw_anew(self) -> None:
        if self.is_attached and self._bindings_ready and self._shown != self._to_show():  # its screen may have gone
            await self.recompose()

    def _to_show(self) -> list[Shown]:
        return [
            Shown(
                binding.key, self.app.get_key_display(binding), binding.description, binding.action, enabled, tooltip,
                self.compact,
            )
            for _, binding, enabled, tooltip in self._that_fit()
        ]  # fmt: skip

    def _that_fit(self) -> list[ActiveBinding]:
        shown = self._in_order()
        room = self.app.size.width - MARGIN
        for action in FIRST_TO_GO:
            if sum(map(self._columns, shown)) <= room:
                break
            shown = [one for one in shown if one.binding.id != action]
        return shown

    def _in_order(self) -> list[ActiveBinding]:
        """Each action once: those of the part with the focus first, the app's last."""
        shown = [one for one in self.screen.active_bindings.values() if one.binding.show]
        nodes: list[DOMNode] = list(dict.fromkeys(one.node for one in shown))
        actions: dict[str, ActiveBinding] = {}
        for one in sorted(shown, key=lambda one: (nodes.index(one.node), _place(one))):
            actions.setdefault(one.binding.action, one)
        return list(actions.values())

    def _columns(self, one: ActiveBinding) -> int:
        between = 2 if self.compact else 3
        return cell_len(self.app.get_key_display(one.binding)) + cell_len(one.binding.description) + between


def _place(one: ActiveBinding) -> int:
    """Where its part declares it; a key of the person's own comes last in Textual's order."""
    declared = [binding.id for binding in declared_by(type(one.node))]
    return declared.index(one.binding.id) if one.binding.id in declared else len(declared)

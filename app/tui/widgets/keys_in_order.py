"""Keys in the order in which they were pressed, also when many arrive at once, as on a slow line."""

from __future__ import annotations

from textual import events
from textual.widgets import TextArea


async def acted_at_once(area: TextArea, event: events.Key) -> bool:
    """Does what a key is bound to in this text area, if anything, before the next key.

    Textual lets a key without a letter wander up to the app before it acts, and meanwhile the letters after it are
    typed: "ac", left, "b" becomes "acb".
    """
    if event.is_printable:
        return False
    bound = area.screen.active_bindings.get(event.key)
    if bound is None or bound.node is not area or not bound.enabled or "." in bound.binding.action:
        return False
    event.stop()
    event.prevent_default()
    await area.app.run_action(bound.binding.action, area)
    return True

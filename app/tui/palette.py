"""Every action that a key can do now, in the command palette: whoever forgot the key finds it by what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from textual.actions import parse
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.screen import Screen

from app.tui.key_names import key_names


@dataclass(frozen=True)
class Action:
    """A binding with the node that it acts on."""

    binding: Binding
    node: DOMNode

    @property
    def title(self) -> str:
        return self.binding.tooltip or self.binding.description


class ActionsProvider(Provider):
    """Actions of everything on the screen, wherever the focus is."""

    async def discover(self) -> Hits:
        for action in sorted(actions_on(self.screen), key=lambda action: not action.binding.show):
            yield DiscoveryHit(action.title, self._run(action), help=self._keys(action))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in actions_on(self.screen):
            score = matcher.match(action.title)
            if score > 0:
                yield Hit(score, matcher.highlight(action.title), self._run(action), help=self._keys(action))

    def _run(self, action: Action) -> Callable[[], object]:
        return partial(self.app.run_action, action.binding.action, action.node)

    def _keys(self, action: Action) -> str:
        keys = ", ".join(key_names(self.screen, action.binding.id or ""))
        return f"{keys} · {vars(type(action.node))['HELP_TITLE'].lower()}"


def actions_on(screen: Screen[object]) -> Iterator[Action]:
    """Each action once: as the focus would find it, then those of what else is shown, then the screen's and the app's.

    Left out is what can do nothing now.
    """
    chain = list(screen.focused.ancestors_with_self) if screen.focused is not None else []
    shown = [node for node in screen.query("*") if node.display and all(part.display for part in node.ancestors)]
    seen: set[str] = set()
    for node in [*chain, *shown, screen, screen.app]:
        if "HELP_TITLE" not in vars(type(node)):
            continue
        for binding in declared_by(type(node)):
            if binding.id is not None and binding.id not in seen and _can(node, binding):
                seen.add(binding.id)
                yield Action(binding, node)


def declared_by(kind: object) -> list[Binding]:
    """The bindings that a class names itself."""
    return [binding for binding in vars(kind).get("BINDINGS", []) if isinstance(binding, Binding)]


def _can(node: DOMNode, binding: Binding) -> bool:
    namespace, name, parameters = parse(binding.action)
    target = {"app": node.app, "screen": node.screen}.get(namespace, node)
    return bool(target.check_action(name, parameters))

"""What a key is called in the texts on the screen: the key that the person has now, not the one the program came with.

A text names an action, '{drafts.edit} edits it', and is read as 'e edits it'.
"""

from __future__ import annotations

import re
from functools import lru_cache

from textual.dom import DOMNode
from textual.keys import format_key

from app.tui.keymap import declared_keys, default_keys

ACTION = re.compile(r"\{([a-z]+(?:-[a-z]+)*\.[a-z-]+)\}")
IN_WORDS = {"enter": "enter", "tab": "tab", "backspace": "backspace"}
"""Signs that fit a footer, but not a sentence."""
SHARED = {
    "drafts.pick-left": "drafts.pick-right",
    "rate.clearly-left": "rate.clearly-right",
    "thread.previous": "thread.next",
}
"""Actions that have one place in the footer with a second one, as '1/2'."""


def with_keys(node: DOMNode, text: str) -> str:
    """A text with the key of each action that it names. Only for PenPal's own words, never for the person's."""
    return ACTION.sub(lambda found: key_name(node, found[1]), text)


def key_name(node: DOMNode, action: str) -> str:
    """The first key of an action."""
    return key_names(node, action)[0]


def key_names(node: DOMNode, action: str) -> list[str]:
    """All keys of an action, as they are called in a sentence: 'ctrl+s', 'F2', '←'."""
    return [in_words(key) for key in keys_of(node, action)]


def keys_of(node: DOMNode, action: str) -> list[str]:
    """All keys of an action, as Textual names them."""
    changed = node.app._keymap.get(action)
    return changed.split(",") if changed else _as_it_comes(action)


def in_words(key: str) -> str:
    """'ctrl+s', 'F2', 'shift+←', 'enter'."""
    *modifiers, base = key.split("+")
    named = IN_WORDS.get(base) or format_key(base)
    return "+".join([*modifiers, named.upper() if named[:1] == "f" and named[1:].isdigit() else named])


@lru_cache(256)
def _as_it_comes(action: str) -> list[str]:
    # What is on the screen is imported; the rest is only asked for by texts about another screen.
    return declared_keys().get(action) or default_keys()[action]

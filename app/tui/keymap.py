"""Which key does what: each binding has an id, and the person's `[keys]` in config.toml may give it another key.

What they wrote is checked before anything opens: a key that does nothing, or two things, would only be found out later.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key, format_key
from textual.widgets import TextArea

import app.tui
from core.errors import UsageError

QUIT = "app.quit"
MODIFIERS = {"ctrl", "alt", "shift", "super", "meta", "hyper"}

AROUND = {
    "chat": ("app",), "rate": ("app",), "desk": ("chat",), "composer": ("desk",), "thread": ("desk",),
    "list": ("desk",), "drafts": ("desk",), "draft": ("drafts", "rate", "warm-up"), "changes": ("desk",),
    "sentences": ("merge",),
    "editor": ("desk",), "text": ("composer", "editor"), "help": (), "hint": (), "tour": (), "start": (), "form": (),
    "ask": (), "search": (), "too-long": (),
}  # fmt: skip
"""The first part of an id -> what holds it on the screen; for parts that are not named, the app.

A key goes to the inner one first: the same key twice is a clash only within one part, or between a part and one around.
"""
WHERE_TEXT_IS_TYPED = {"app", "chat", "desk", "composer", "editor", "text"}
"""A plain letter would never get there."""


def keymap_of(keys: Mapping[str, str]) -> dict[str, str]:
    """The person's keys as Textual's keymap. Raises UsageError, naming the line, for what would not work."""
    if not keys:
        return {}
    defaults = default_keys()
    for action in keys:
        if action not in defaults:
            near = difflib.get_close_matches(action, defaults, n=1)
            hint = f"did you mean '{near[0]}'?" if near else "F1 in PenPal shows their names."
            raise UsageError(f"[keys] in config.toml: there is no action '{action}'; {hint}")
    changed = {action: _keys_of(action, written) for action, written in keys.items()}
    _refuse_clashes(changed, {**defaults, **changed})
    return {action: ",".join(of_action) for action, of_action in changed.items()}


def default_keys() -> dict[str, list[str]]:
    """Every action with its keys, as the program comes."""
    for module in pkgutil.walk_packages(app.tui.__path__, "app.tui."):
        importlib.import_module(module.name)
    return declared_keys()


def declared_keys() -> dict[str, list[str]]:
    """The same for what is imported so far."""
    found: dict[str, list[str]] = {}
    for binding in _declared():
        if binding.id is not None:
            keys = [_full_name(key.strip()) for key in binding.key.split(",")]
            found[binding.id] = list(dict.fromkeys([*found.get(binding.id, []), *keys]))
    return found


def _declared() -> Iterator[Binding]:
    waiting: list[type[DOMNode]] = [DOMNode]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("app.tui."):
            yield from (one for one in kind.__dict__.get("BINDINGS", []) if isinstance(one, Binding))


def _keys_of(action: str, written: str) -> list[str]:
    """The keys of one line. Raises UsageError for what no terminal sends, and for what would never arrive."""
    keys = [_full_name(key.strip()) for key in written.split(",") if key.strip()] if written != "," else ["comma"]
    part = action.partition(".")[0]
    if not keys:
        raise UsageError(f'[keys] in config.toml: \'{action}\' needs a key, such as "{action}" = "ctrl+g".')
    for key in keys:
        if not _is_key(key):
            raise UsageError(f"[keys] in config.toml: '{action}' has '{key}', which is no key; 'f5' and 'ctrl+g' are.")
        if part in WHERE_TEXT_IS_TYPED and (len(key) == 1 or key == "space"):
            raise UsageError(
                f"[keys] in config.toml: '{action}' cannot have '{key}': where text is typed, it types a letter. "
                "Take a key with ctrl or alt, or a function key."
            )
    if action == QUIT and all(key in _edits_text() or not _leaves_text_alone(key) for key in keys):
        raise UsageError(
            f"[keys] in config.toml: with '{', '.join(keys)}' alone you could not quit from the prompt. "
            "Take a key with ctrl or alt, or a function key, that does not edit text."
        )
    return keys


def _leaves_text_alone(key: str) -> bool:
    base = key.rpartition("+")[2]
    return bool({"ctrl", "alt"} & set(key.split("+")[:-1])) or (base[:1] == "f" and base[1:].isdigit())


def _edits_text() -> set[str]:
    bindings = (one for one in TextArea.BINDINGS if isinstance(one, Binding))
    return {key.strip() for one in bindings for key in one.key.split(",")}


def _full_name(key: str) -> str:
    """'?' -> 'question_mark', as Textual names it. 'shift+a' is what terminals send as 'A'."""
    *modifiers, base = key.split("+") if key not in ("+", "ctrl++") else [key]
    if modifiers == ["shift"] and len(base) == 1 and base.isalpha():
        return base.upper()
    base = _character_to_key(base) if len(base) == 1 else KEY_NAME_REPLACEMENTS.get(base, base)
    return "+".join([*modifiers, base])


def _is_key(key: str) -> bool:
    *modifiers, base = key.split("+")
    named = {one.value for one in Keys} | set(KEY_NAME_REPLACEMENTS.values())
    known = base in named or (len(base) == 1 and base.isprintable()) or _is_punctuation(base)
    return known and set(modifiers) <= MODIFIERS and len(set(modifiers)) == len(modifiers)


def _is_punctuation(name: str) -> bool:
    return len(name) > 1 and len(format_key(name)) == 1


def _refuse_clashes(changed: Mapping[str, list[str]], all_keys: Mapping[str, list[str]]) -> None:
    for action, keys in changed.items():
        for other, other_keys in all_keys.items():
            shared = [key for key in keys if key in other_keys]
            if other != action and shared and _meet(action, other):
                raise UsageError(
                    f"[keys] in config.toml: '{shared[0]}' would be both '{action}' and '{other}'. "
                    "Give one of them another key."
                )


def _meet(action: str, other: str) -> bool:
    """Whether both can be meant at the same time."""
    one, two = action.partition(".")[0], other.partition(".")[0]
    return one in _all_around(two) or two in _all_around(one)


def _all_around(part: str) -> set[str]:
    around = AROUND.get(part, ("app",)) if part != "app" else ()
    return {part}.union(*(_all_around(outer) for outer in around))

"""Keys of one's own: what config.toml may say, and what it is told when that would not work."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from app.tui.app import PenPalApp
from app.tui.keymap import default_keys, keymap_of
from app.tui.screens.chat import ChatScreen
from app.wiring import PenPal
from core.errors import UsageError
from core.paths import Home
from core.settings import Settings, read_settings

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]


def test_every_action_has_a_name_of_two_parts_and_a_key() -> None:
    defaults = default_keys()
    assert {"app.quit", "chat.new", "composer.send", "drafts.edit", "rate.left", "thread.branch"} <= set(defaults)
    assert [name for name in defaults if not re.fullmatch(r"[a-z-]+\.[a-z-]+", name)] == []
    assert all(defaults.values())


@pytest.mark.parametrize(
    ("keys", "keymap"),
    [
        ({}, {}),
        ({"drafts.edit": "v"}, {"drafts.edit": "v"}),
        ({"drafts.edit": "v, ctrl+g"}, {"drafts.edit": "v,ctrl+g"}),
        ({"app.help": "?"}, {"app.help": "question_mark"}),
        ({"app.help": "f9"}, {"app.help": "f9"}),
        ({"drafts.edit": "shift+v"}, {"drafts.edit": "V"}),
        ({"drafts.edit": "+"}, {"drafts.edit": "plus"}),
        ({"drafts.edit": ","}, {"drafts.edit": "comma"}),
        ({"app.quit": "ctrl+g"}, {"app.quit": "ctrl+g"}),
        ({"drafts.pick-left": "2", "drafts.pick-right": "1"}, {"drafts.pick-left": "2", "drafts.pick-right": "1"}),
        ({"thread.copy": "c"}, {"thread.copy": "c"}),  # 'c' elsewhere is another part of the screen
    ],
)
def test_what_works(keys: dict[str, str], keymap: dict[str, str]) -> None:
    assert keymap_of(keys) == keymap


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"drafts.edti": "v"}, "there is no action 'drafts.edti'; did you mean 'drafts.edit'"),
        ({"nonsense": "v"}, "there is no action 'nonsense'; F1"),
        ({"drafts.edit": "ctrl+"}, "'drafts.edit' has 'ctrl+', which is no key"),
        ({"drafts.edit": "contrl+v"}, "which is no key"),
        ({"drafts.edit": "vv"}, "which is no key"),
        ({"drafts.edit": ""}, "'drafts.edit' needs a key"),
        ({"drafts.edit": "s"}, "'s' would be both 'drafts.edit' and 'drafts.star'"),
        ({"drafts.edit": "ctrl+n"}, "'ctrl+n' would be both 'drafts.edit' and 'chat.new'"),
        ({"chat.new": "ctrl+q"}, "'ctrl+q' would be both 'chat.new' and 'app.quit'"),
        ({"drafts.edit": "g", "drafts.star": "g"}, "'g' would be both"),
        ({"chat.new": "n"}, "where text is typed, it types a letter"),
        ({"composer.send": "space"}, "where text is typed, it types a letter"),
        ({"app.quit": "up"}, "you could not quit from the prompt"),
        ({"app.quit": "ctrl+z"}, "you could not quit from the prompt"),
        ({"app.quit": "delete"}, "you could not quit from the prompt"),
    ],
)
def test_what_would_not_work_is_one_clear_line(keys: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        keymap_of(keys)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "written", ['"drafts.edit" = "v"', 'drafts.edit = "v"', '"drafts.edit" = ["v"]', "[keys.drafts]\nedit = 'v'"]
)
def test_config_toml_may_say_it_in_any_way_of_toml(penpal_home: Path, written: str) -> None:
    home = Home(penpal_home)
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text(f"[keys]\n{written}\n" if not written.startswith("[") else written, encoding="utf-8")
    assert read_settings(home).keys == {"drafts.edit": "v"}


def test_nothing_opens_with_keys_that_would_not_work(penpal: PenPal) -> None:
    penpal.settings = Settings(keys={"app.quit": "q"})
    with pytest.raises(UsageError, match="cannot have 'q'"):
        PenPalApp(penpal, ChatScreen(penpal.store))


async def test_a_key_of_ones_own_works_and_the_old_one_does_not(open_chat: OpenChat, penpal: PenPal) -> None:
    keys = {"drafts.pick-left": "x", "chat.new": "ctrl+g", "composer.send": "ctrl+j", "composer.new-line": "enter"}
    penpal.settings = Settings(keys=keys)
    async with open_chat() as chat:
        chat.screen.composer.focus()
        await chat.press("a", "enter", "b")
        assert chat.screen.composer.text == "a\nb"  # Enter starts a new line now
        await chat.press("ctrl+j")
        await chat.until(lambda: chat.screen.waiting)
        await chat.press("1")
        assert chat.kinds() == []
        await chat.press("x")
        assert chat.kinds() == ["pick"]
        await chat.press("ctrl+g")
        assert chat.screen.conversation_id is None


async def test_help_and_footer_show_the_keys_as_they_are_now(open_chat: OpenChat, penpal: PenPal) -> None:
    penpal.settings = Settings(keys={"app.help": "f9", "drafts.edit": "v"})
    async with open_chat() as chat:
        await chat.drafts()
        assert "v edit" in footer(chat)
        await chat.press("f9")
        shown = chat.pilot.app.screen.keys_shown()
        assert shown["drafts.edit"] == "v"
        assert shown["app.help"] == "F9"


def footer(chat: Any) -> list[str]:
    from textual.widgets._footer import FooterKey

    return [f"{key.key_display} {key.description}" for key in chat.screen.query(FooterKey)]

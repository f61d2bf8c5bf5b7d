"""Texts that name a key name the one that the person has: nowhere on the screens does an old one stand."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

import app.tui
from app.tui.key_names import ACTION, in_words
from app.tui.keymap import default_keys
from app.tui.screens.tour import POINTERS
from app.tui.screens.warm_up import WarmUpScreen
from app.wiring import PenPal
from core.settings import Settings
from tests.app.tui.drawn import written
from tests.scripted_decoder import ScriptedDecoder

Open = Callable[..., AbstractAsyncContextManager[Any]]

KEYS = {
    "app.help": "f9", "app.learning": "f10", "app.palette": "alt+p", "app.quit": "alt+q",
    "chat.back": "alt+b", "chat.new": "alt+n", "chat.sidebar": "alt+l", "chat.start": "alt+t",
    "composer.send": "f12", "composer.new-line": "alt+j", "desk.next": "alt+o",
    "drafts.pick-left": "8", "drafts.pick-right": "9", "drafts.edit": "v", "drafts.keep": "c", "drafts.redo": "x",
    "drafts.hint": "X", "drafts.merge": "z", "drafts.undo": "b",
    "editor.save": "alt+s", "editor.leave": "alt+g", "merge.next": "alt+o", "merge.leave": "alt+g",
    "thread.previous": "alt+up", "thread.next": "alt+down", "thread.branch": "v", "thread.undo": "b",
    "help.close": "alt+g", "learning.back": "alt+g", "hint.back": "alt+g", "start.back": "alt+g",
    "form.write": "alt+s", "form.back": "alt+g",
    "search.back": "alt+g", "start.new": "7", "start.reply": "8", "start.rewrite": "9", "start.continue": "0",
    "rate.left": "8", "rate.right": "9", "rate.clearly-left": "n", "rate.clearly-right": "m", "rate.undo": "c",
    "rate.quit": "alt+g", "rate.skip": "d", "rate.edit": "v", "rating.close": "alt+g",
    "warm-up.left": "8", "warm-up.right": "9", "warm-up.skip": "n", "warm-up.leave": "alt+g",
}  # fmt: skip
OLD_NAMES = re.compile(
    r"(\^|ctrl\+)[jsnbptq]\b|\bF[12]\b|\besc\b|\benter\b|[⏎⇥⇧]|1/2|\b1 or 2\b|← 1|2 →|← or|"
    r"(?<!\+)\b(e|r|m|u|s|q|enter) (edits?|keeps?|redo|undo|goes|takes|writes|quits?|leaves|sums|skips?)\b",
    re.IGNORECASE,
)
NOT_OURS = re.compile(
    r"enter opens|↑↓ and enter|Enter again replaces|⇥ next|esc ends the tour|esc: straight to writing"
)
"""Keys that belong to Textual's own parts, or are no binding: they stay."""


@pytest.fixture(autouse=True)
def _own_keys(penpal: PenPal) -> None:
    penpal.settings = Settings(keys=KEYS)


async def names_no_old_key(pilot: Pilot[None], *, but: str) -> None:
    """The screen as it is drawn now, which says `but`."""
    await pilot.pause(0.02)
    shown = written(pilot.app)
    assert but in shown, shown
    assert [line for line in shown.splitlines() if OLD_NAMES.search(NOT_OURS.sub("", line))] == []


def texts() -> list[str]:
    """All words of the terminal screens but docstrings and bindings, whose keys are what may be changed."""
    files = [file for file in Path(app.tui.__path__[0]).rglob("*.py") if file.name != "keymap.py"]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    others = [node.value for node in nodes if isinstance(node, ast.Expr)]
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Binding"]
    others += [part for call in calls for part in ast.walk(call)]
    left_out = {id(node) for node in others}
    strings = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in left_out]
    return [node.value for node in strings if isinstance(node.value, str)]


def test_texts_name_actions_that_are_there_and_no_keys() -> None:
    said = texts()
    named = {action for text in said for action in ACTION.findall(text)}
    assert {"chat.back", "rate.left", "composer.send"} <= named <= set(default_keys())
    by_hand = re.compile(r"\b(ctrl\+\w|F\d|esc|enter|tab|space)\b|\^[a-z]\b|'[a-z]' ", re.IGNORECASE)
    in_sentences = [text for text in said if " " in text.strip()]
    assert [text for text in in_sentences if by_hand.search(NOT_OURS.sub("", text))] == []


def test_keys_are_called_as_they_stand_on_the_keyboard() -> None:
    named = [in_words(key) for key in ("ctrl+s", "f2", "escape", "enter", "left", "shift+left", "R", "question_mark")]
    assert named == ["ctrl+s", "F2", "esc", "enter", "←", "shift+←", "R", "?"]


async def test_writing(open_chat: Open, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        pilot = chat.pilot
        await names_no_old_key(pilot, but="alt+t answers a message")
        await pilot.press("alt+t")
        await names_no_old_key(pilot, but="8  reply to a message")
        await pilot.press("8")
        await names_no_old_key(pilot, but="alt+s writes two drafts")
        await pilot.press("alt+g")
        chat.screen.composer.replace_text("Write.")
        decoder.gate = threading.Event()
        await pilot.press("f12")
        await chat.until(lambda: chat.screen.pair.writing)
        await names_no_old_key(pilot, but="alt+b stops")
        decoder.gate.set()
        await chat.until(lambda: chat.screen.stream is None and chat.screen.pair.has_focus_within)
        await chat.press("8")
        await names_no_old_key(pilot, but="c keeps it, v edits it")
        await chat.press("X")
        await names_no_old_key(pilot, but="alt+g goes back")
        await chat.press("alt+g", "z")
        await names_no_old_key(pilot, but="one text out of both drafts")
        await chat.press("alt+g", "v", "!")
        await names_no_old_key(pilot, but="alt+s saves it")
        await chat.press("alt+g")
        await names_no_old_key(pilot, but="unsaved edit, v goes on")
        await chat.press("c", "alt+o", "v")
        await names_no_old_key(pilot, but="alt+b goes back to the original")


async def test_on_top_of_writing(open_chat: Open) -> None:
    async with open_chat() as chat:
        await chat.press("f9")
        await names_no_old_key(chat.pilot, but="alt+g closes")
        await chat.press("alt+g", "ctrl+f")
        await names_no_old_key(chat.pilot, but="alt+g closes")
        await chat.press("alt+g", "f10")
        await chat.until(lambda: chat.pilot.app.screen is not chat.screen)
        await names_no_old_key(chat.pilot, but="what PenPal learned")


async def test_the_tour_and_the_first_picks(open_chat: Open, decoder: ScriptedDecoder) -> None:
    async with open_chat() as chat:
        chat.screen.beginnings.show_tour()
        for but in ("any key", "F12. With alt+t", "8 or 9", "Press F10", "any key"):
            await names_no_old_key(chat.pilot, but=but)
            await chat.pilot.press("x")
        assert len(POINTERS) == 5
        shown = chat.pilot.app.screen
        assert isinstance(shown, WarmUpScreen)
        await chat.until(lambda: shown._warm_up.pair is not None)
        await names_no_old_key(chat.pilot, but="8 or 9, n skips")


async def test_rating(open_rate: Open) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        await names_no_old_key(rate.pilot, but="n/m clearly")
        await rate.answer("8")
        await rate.until(lambda: rate.screen.pair)
        await names_no_old_key(rate.pilot, but="c takes it back")
        await rate.pilot.press("v")
        await names_no_old_key(rate.pilot, but="8 or 9, alt+g neither")
        await rate.pilot.press("9", "!")
        await names_no_old_key(rate.pilot, but="alt+s keeps your version")
        await rate.pilot.press("alt+g", "i")
        await names_no_old_key(rate.pilot, but="alt+g closes")

"""The prompt and the drafts in the person's own editor: real little scripts stand where vim would."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.drivers.headless_driver import HeadlessDriver

from tests.scripted_decoder import WARM_AND_DRY

OpenChat = Callable[..., AbstractAsyncContextManager[Any]]
Script = Callable[[str], None]
WARM, DRY = WARM_AND_DRY


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Makes a shell script the person's editor, on a terminal that can be handed over."""
    monkeypatch.setattr(HeadlessDriver, "can_suspend", True)

    def make(body: str) -> None:
        script = tmp_path / "my-editor"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o700)
        monkeypatch.setenv("VISUAL", str(script))

    return make


def said(chat: Any) -> list[str]:
    return [chat.screen.notice.text, *(toast.message for toast in chat.pilot.app._notifications)]


async def test_what_comes_back_is_an_edit_of_the_draft(open_chat: OpenChat, editor: Script) -> None:
    editor('echo "Quite." >> "$1"')
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("right", "ctrl+o")
        await chat.until(lambda: chat.kinds() == ["pick", "edit"])
        draft = chat.screen.waiting.picked
        assert (draft.text, draft.shown) == (DRY, f"{DRY}Quite.")
        await chat.until(lambda: chat.screen.pair.cards[1].changes is not None)


NO_EDIT = {
    "true": "Nothing was changed.",
    'echo >> "$1"': "Nothing was changed.",
    ': > "$1"': "The text came back empty, so it is as it was.",
    'echo new > "$1"; exit 3': "'my-editor' ended with an error (3), so the text is as it was.",
}


async def test_no_edit_is_said_in_one_line(open_chat: OpenChat, editor: Script) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        chat.screen.composer.load_text("abc")
        for body, line in NO_EDIT.items():
            editor(body)
            for part in (chat.screen.composer, chat.screen.pair.cards[0]):
                part.focus()
                chat.pilot.app.clear_notifications()
                await chat.press("ctrl+o")
                assert line in said(chat)
        assert (chat.kinds(), chat.screen.waiting.drafts[0].shown) == ([], WARM)
        assert chat.screen.composer.text == "abc"


async def test_the_prompt_comes_back_into_the_composer(open_chat: OpenChat, editor: Script) -> None:
    editor('printf "%s\\n\\nIn two lines.\\n" "$(cat "$1")" > "$1.new"; mv "$1.new" "$1"')
    async with open_chat() as chat:
        await chat.press(*"A mail.", "ctrl+o")
        assert chat.screen.composer.text == "A mail.\n\nIn two lines."
        assert chat.screen.composer.has_focus
        await chat.press("ctrl+z")
        assert chat.screen.composer.text == "A mail."


async def test_an_open_edit_goes_on_in_the_other_editor_and_comes_back_unsaved(
    open_chat: OpenChat, editor: Script
) -> None:
    editor('printf " Really." >> "$1"')
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "e", "!", "ctrl+o")
        assert chat.screen.pair.editing.editor.text == f"{WARM}! Really."
        assert chat.kinds() == ["pick"]
        place = f"edit of draft {chat.screen.waiting.drafts[0].id}"
        await chat.until(lambda: chat.penpal.store.unsaved(place) == f"{WARM}! Really.")


async def test_a_half_made_edit_is_what_the_other_editor_gets(open_chat: OpenChat, editor: Script) -> None:
    editor('printf " Really." >> "$1"')
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1", "e", "!", "escape", "ctrl+o")
        await chat.until(lambda: chat.kinds() == ["pick", "edit"])
        assert chat.screen.waiting.picked.shown == f"{WARM}! Really."
        assert chat.screen.waiting.picked.unsaved_edit == ""


async def test_a_terminal_that_cannot_be_handed_over_says_so(open_chat: OpenChat) -> None:
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("ctrl+o")
        assert "cannot be handed" in chat.screen.notice.text

"""A voice of the latent space before this one waits; chat and rate write generic drafts and say what to do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from app.wiring import PenPal
from core.store import EncoderRecord
from tests.app import conftest
from tests.app.conftest import learned
from tests.scripted_decoder import ScriptedDecoder

Open = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def waiting(learning: PenPal, penpal_home: Path, monkeypatch: pytest.MonkeyPatch) -> EncoderRecord:
    """In use, and of another latent space."""
    with monkeypatch.context() as patched:
        patched.setattr(conftest, "CLAP_ID", "e" * 64)
        patched.setattr(conftest, "BACKBONE_ID", ScriptedDecoder.backbone_id)
        record = learned(penpal_home, 2.0)
    learning.store.activate_encoder(record.id, "chosen by hand")
    return record


async def test_chat_says_what_to_do_and_learns_meanwhile(open_chat: Open, waiting: EncoderRecord) -> None:
    async with open_chat() as chat:
        await chat.until(lambda: chat.screen.query_one("#latents-off").display)
        told = str(chat.screen.query_one("#latents-off").content)
        assert f"Your voice {waiting.id[:12]} was made for another latent space: 'penpal encoder migrate'" in told
        await chat.drafts("Write.")
        turn_id = chat.screen.turn.turn.id
        assert {draft.encoder_id for draft in chat.penpal.store.drafts(turn_id)} == {None}
        await chat.press("1")
        assert chat.kinds() == ["pick"]
        assert chat.screen.notice.text == ""


async def test_rate_says_so_too(open_rate: Open, waiting: EncoderRecord) -> None:
    async with open_rate() as rate:
        await rate.until(lambda: rate.screen.pair)
        assert "takes it along" in str(rate.screen.query_one("#latents-off").content)
        await rate.answer("1")

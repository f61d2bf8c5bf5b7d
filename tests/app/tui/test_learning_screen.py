"""What PenPal learned, as the person sees it: words, curves, bars, and the keys that change who writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from textual.widgets import Footer, Static

from app.progress import traits_report
from app.tui.screens.learning import NO_NIGHTS, NO_TRAITS, NO_WEEKS, LearningScreen
from app.tui.widgets.explained_button import ExplainedButton
from app.tui.widgets.page import Page
from app.tui.widgets.trait_bars import TraitBars
from app.wiring import PenPal
from core.files import file_sha256
from core.protocols import Message, Sampling
from core.store import EncoderRecord, Store
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from tests.app.conftest import CLAP_ID, LATENT_SIZE
from tests.scripted_decoder import ScriptedDecoder

Open = Callable[..., AbstractAsyncContextManager[Any]]
WARM = ["I'm so happy you came! Will you come again?", "Thank you, my dear! I loved it.", "You did great! I'm glad."]
DRY = ["The committee acknowledges the receipt of the aforementioned documentation.", "The matter is closed."] * 2
FORESEEN = "it foresees 23 of 30 choices it has not seen"


def add_night(
    penpal: PenPal, days_ago: int, *, accuracy: float = 0.77, kept: bool = True, lean: float = 1.0
) -> EncoderRecord:
    """What `penpal personalize` leaves behind: a file, a record, and an activation when it is better."""
    partial = penpal.home.encoders / "new.safetensors"
    direction = np.linspace(-1, 1, LATENT_SIZE)
    GaussianEncoder(Parts(lean * direction, np.zeros(LATENT_SIZE), {})).save(
        partial, {"backbone": ScriptedDecoder.backbone_id, "clap": CLAP_ID}
    )
    name = file_sha256(partial)
    partial.replace(partial.with_name(f"{name}.safetensors"))
    report = {
        "reason": f"activated: {FORESEEN}" if kept else f"not activated: {FORESEEN}, which could be luck",
        "accuracy": accuracy,
        "accuracy_interval": (accuracy - 0.1, accuracy + 0.1),
        "last_act": penpal.store.last_act_id(),
        "traits": traits_report(WARM, DRY),
    }
    when = (datetime.now(UTC) - timedelta(days=days_ago)).isoformat()
    record = EncoderRecord(
        name, f"{name}.safetensors", "personalized", None, ScriptedDecoder.backbone_id, CLAP_ID, 47,
        "kept" if kept else "rejected", report, when,
    )  # fmt: skip
    penpal.store.add_encoder(record)
    if kept:
        penpal.store.activate_encoder(name, str(report["reason"]))
    return record


def keep_draft(store: Store, text: str, kept: str, *, encoder_id: str | None = None) -> int:
    """A turn whose first draft was kept in the person's own words."""
    turn = store.add_turn(store.add_conversation("Talk", origin="chat"), "Write.", [Message("user", "Write.")])
    draft = store.add_draft(
        turn, side=0, z=None, encoder_id=encoder_id, backbone_id=ScriptedDecoder.backbone_id, sampling=Sampling(),
        seed=1,
    )  # fmt: skip
    store.finish_draft(draft, text, tokens=3, finish="stop", duration_ms=1)
    store.add_act("accept", turn, draft_id=draft, text=kept)
    return turn


async def open_learning(chat: Any) -> LearningScreen:
    await chat.press("f2")
    await chat.until(lambda: isinstance(chat.pilot.app.screen, LearningScreen))
    screen: LearningScreen = chat.pilot.app.screen
    await chat.until(lambda: screen.portraits is not None)
    await chat.pilot.pause()
    return screen


def said(screen: LearningScreen, query: str = "Static") -> str:
    return "\n".join(str(one.render()) for one in screen.query(query).results(Static) if one.display)


def keys_of(screen: LearningScreen) -> list[str]:
    return [key.description for key in screen.query_one(Footer).children if hasattr(key, "description")]


def active_id(penpal: PenPal) -> str | None:
    record = penpal.store.active_encoder()
    return record.id if record else None


# --- what it says -------------------------------------------------------------------------------------------------


async def test_a_beginner_is_told_what_will_appear_where(penpal: PenPal, open_chat: Open) -> None:
    async with open_chat() as chat:
        screen = await open_learning(chat)
        text = said(screen)
        assert "every answer teaches it how you write" in text
        for nothing in (NO_NIGHTS, NO_WEEKS, NO_TRAITS):
            assert nothing in text
        assert not any(button.display for button in screen.query(ExplainedButton))
        assert keys_of(screen)[:3] == ["back", "numbers", "help"]
        await chat.press("o", "b", "w", "u")  # nothing to change, nothing happens
        assert active_id(penpal) is None
        await chat.press("f2")
        assert chat.pilot.app.screen is chat.screen


async def test_last_night_is_told_in_a_sentence_with_curves_and_bars(learning: PenPal, open_chat: Open) -> None:
    from app.tui.widgets.curve import Curve

    for night, accuracy in enumerate((0.52, 0.6, 0.7)):
        add_night(learning, 3 - night, accuracy=accuracy, kept=night > 0, lean=1 + night)
    for week in range(3):
        turn = keep_draft(learning.store, "One two three four.", "One two three.")
        when = (datetime.now(UTC) - timedelta(weeks=week)).isoformat()
        with learning.store._transaction() as db:
            db.execute("UPDATE feedback SET created_utc = ? WHERE turn_id = ?", [when, turn])
    async with open_chat() as chat:
        screen = await open_learning(chat)
        summary = said(screen, "#summary")
        assert FORESEEN in summary
        assert "PenPal writes with that voice now." in summary
        assert len(screen.query(Curve)) == 2
        drawn = said(screen, "TraitBars")
        for line in ("says I", "much warmer", "your voice", "generic", "what you keep"):
            assert line in drawn
        assert "not used" in str(screen.query_one("#foresight").border_subtitle)


async def test_without_a_voice_the_bars_show_what_is_kept(penpal: PenPal, open_chat: Open) -> None:
    for text in WARM:
        keep_draft(penpal.store, DRY[0], text)
    async with open_chat() as chat:
        screen = await open_learning(chat)
        drawn = said(screen, "TraitBars")
        assert "what you keep" in drawn
        assert "your voice" not in drawn
        assert "warmer" in drawn


async def test_everything_can_be_reached_at_any_size(learning: PenPal, open_chat: Open) -> None:
    add_night(learning, 2)
    add_night(learning, 1, lean=2.0)
    async with open_chat() as chat:
        screen = await open_learning(chat)
        page, button = screen.query_one(Page), screen.query(ExplainedButton).last()
        for columns, rows in ((120, 36), (80, 24), (60, 24)):
            await chat.pilot.resize_terminal(columns, rows)
            await chat.press("G")
            await chat.until(lambda: page.region.contains_region(button.region))
            assert page.max_scroll_x == 0
            assert all(bars.region.right <= page.region.right for bars in screen.query(TraitBars))


# --- what it changes ----------------------------------------------------------------------------------------------


async def test_going_back_using_generic_and_taking_it_back(learning: PenPal, open_chat: Open) -> None:
    first, second = add_night(learning, 2, lean=1.0), add_night(learning, 1, lean=2.0)
    async with open_chat() as chat:
        screen = await open_learning(chat)
        writer = await chat.pilot.app.writer()
        assert writer.voice.encoder_id == second.id
        assert "PenPal writes in your voice of" in said(screen, ".about")
        for key, expected in (("b", first.id), ("u", second.id), ("w", None), ("b", second.id), ("u", None)):
            await chat.press(key)
            await chat.until(lambda expected=expected: active_id(learning) == expected)
            await chat.until(lambda expected=expected: writer.voice.encoder_id == expected)
            await chat.until(lambda: not screen.changing)
        assert "PenPal writes in the generic voice" in screen.said.text
        await chat.press("escape")
        await chat.until(lambda: "generic voice" in str(chat.screen.query_one("#side-note").render()))


async def test_buttons_do_what_the_keys_do(learning: PenPal, open_chat: Open) -> None:
    first = add_night(learning, 2, lean=1.0)
    add_night(learning, 1, lean=2.0)
    async with open_chat() as chat:
        await open_learning(chat)
        await chat.press("tab", "tab", "enter")
        await chat.until(lambda: active_id(learning) == first.id)


async def test_once_without_my_voice_is_once(learning: PenPal, open_chat: Open, decoder: ScriptedDecoder) -> None:
    voice = add_night(learning, 1)
    async with open_chat() as chat:
        screen = await open_learning(chat)
        await chat.press("o")
        assert "Press again" in said(screen, ".about")
        await chat.press("o", "o", "escape")
        await chat.until(lambda: "generic, once" in str(chat.screen.query_one("#side-note").render()))
        await chat.drafts("First.")
        assert {draft.encoder_id for draft in learning.store.drafts(chat.screen.turn.turn.id)} == {None}
        await chat.until(lambda: "your voice" in str(chat.screen.query_one("#side-note").render()))
        await chat.drafts("Second.")
        assert {draft.encoder_id for draft in learning.store.drafts(chat.screen.turn.turn.id)} == {voice.id}


async def test_a_voice_whose_file_is_gone_is_said_and_nothing_breaks(learning: PenPal, open_chat: Open) -> None:
    add_night(learning, 2, lean=1.0)
    second = add_night(learning, 1, lean=2.0)
    async with open_chat() as chat:
        screen = await open_learning(chat)
        for file in learning.home.encoders.iterdir():
            file.write_bytes(b"damaged")
        await chat.press("b")
        await chat.until(lambda: "missing or damaged" in screen.notice.text)
        await chat.until(lambda: not screen.changing)
    assert active_id(learning) == second.id


# --- always in the title ------------------------------------------------------------------------------------------


async def test_the_title_says_who_writes_from_what_and_what_last_night_brought(
    learning: PenPal, open_chat: Open
) -> None:
    add_night(learning, 0)
    async with open_chat() as chat:
        await chat.drafts()
        await chat.press("1")
        note = chat.screen.query_one("#side-note", Static)
        await chat.until(lambda: str(note.render()).endswith("· 1 pair"))
        assert str(note.render()).startswith("your voice of ")
        assert "a better voice" in str(chat.screen.query_one("#wide-note", Static).render())
        await chat.press("u")
        await chat.until(lambda: str(note.render()).endswith("· 0 pairs"))


# --- learning off -------------------------------------------------------------------------------------------------


async def test_learning_is_switched_off_here_with_a_badge_and_on_again(learning: PenPal, open_chat: Open) -> None:
    async with open_chat() as chat:
        badge, note = chat.screen.query_one("#badge", Static), chat.screen.query_one("#side-note", Static)
        assert not badge.display
        await chat.drafts()
        await chat.press("1")
        writer = await chat.pilot.app.writer()
        await chat.until(lambda: writer.voice.encoder.parts.mean.any())
        await chat.press("ctrl+l")
        await chat.until(lambda: str(note.render()).endswith("0 pairs"))
        assert badge.display
        assert "learning off" in str(badge.render())
        await chat.until(lambda: not writer.voice.encoder.parts.mean.any())
        await chat.press("ctrl+n")
        assert not badge.display
        await chat.until(lambda: chat.screen.conversation_id is None)
        await chat.press("ctrl+l")
        assert badge.display
        await chat.drafts("Private.")
        assert badge.display
        assert not learning.store.is_learned_from(chat.screen.conversation_id)
        await chat.press("1")
        assert learning.store.count_lessons() == 0
        await chat.press("ctrl+l")
        await chat.until(lambda: str(note.render()).endswith("1 pair"))
        assert not badge.display


# --- how fast -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_it_opens_at_once_with_twenty_thousand_turns(penpal: PenPal, open_chat: Open) -> None:
    """Processor time, the best of five: what the person waits for on an idle machine, even when this one is busy."""
    fill(penpal.store, 20_000)
    penpal.store.count_lessons()
    took: list[float] = []
    async with open_chat() as chat:
        for _ in range(5):
            started = time.process_time()
            chat.pilot.app.action_learning()
            await chat.until(lambda: isinstance(chat.pilot.app.screen, LearningScreen))
            screen = chat.pilot.app.screen
            await chat.until(lambda screen=screen: screen.progress is not None)
            took.append(time.process_time() - started)
            await chat.until(lambda screen=screen: screen.portraits is not None)
            await chat.press("escape")
    assert min(took) < 0.1


def fill(store: Store, turns: int) -> None:
    """So many conversations of one answered, kept turn."""
    with store._transaction() as db:
        for number in range(1, turns + 1):
            day = f"2026-{1 + number * 10 // turns:02d}-{1 + number % 28:02d}T12:00:00.000+00:00"
            db.execute(
                "INSERT INTO conversations (id, title, origin, created_utc) VALUES (?, 'T', 'chat', ?)", [number, day]
            )
            db.execute(
                "INSERT INTO turns (id, conversation_id, prompt, messages, created_utc) VALUES (?, ?, 'W', '[]', ?)",
                [number, number, day],
            )
            for side in (0, 1):
                db.execute(
                    "INSERT INTO drafts (id, turn_id, side, text, status, backbone_id, sampling, seed, created_utc) "
                    "VALUES (?, ?, ?, ?, 'done', 'scripted', '{}', 1, ?)",
                    [2 * number + side, number, side, f"{DRY[0]} {number} {side}", day],
                )
            db.execute(
                "INSERT INTO feedback (kind, turn_id, draft_id, text, created_utc) VALUES ('accept', ?, ?, ?, ?)",
                [number, 2 * number, WARM[number % 3], day],
            )

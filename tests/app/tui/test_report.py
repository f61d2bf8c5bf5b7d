"""The report of the newest run, read in the terminal; and the line that says there is one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from textual.widgets import Footer, Markdown

from app.newest_run import NO_RUN
from app.tui.screens.help import HelpScreen
from app.tui.screens.learning import LearningScreen
from app.tui.screens.report import ReportScreen
from app.wiring import PenPal
from core.store import EncoderRecord

Open = Callable[..., AbstractAsyncContextManager[Any]]
KEPT = "activated: it foresees 23 of 30 choices it has not seen"
REJECTED = "not activated: it foresees 16 of 30 choices it has not seen, which could be luck"
MADE = "2020-11-20T12:31:00+00:00"
LONG = "# A new voice\n\n" + "\n\n".join(f"Line {number}, see https://example.org." for number in range(60))


def add_run(penpal: PenPal, reason: str, *, text: str | None = None) -> None:
    """What `penpal personalize` leaves behind."""
    status = "rejected" if reason.startswith("not") else "kept"
    report = {"reason": reason, "accuracy": 0.77, "last_act": penpal.store.last_act_id(), "markdown": "run.md"}
    record = EncoderRecord(
        "e" * 64,
        "e.safetensors",
        "personalized",
        None,
        "scripted",
        "c",
        47,
        status,
        report,
        "2020-11-20T12:31:00+00:00",
    )
    penpal.store.add_encoder(record)
    if status == "kept":
        penpal.store.activate_encoder(record.id, reason)
    if text is not None:
        penpal.home.runs.mkdir(parents=True)
        (penpal.home.runs / "run.md").write_text(text)


async def read_report(app: Any, until: Callable[..., Any]) -> str:
    """Opens it, one key deeper than what was learned, and returns its Markdown."""
    await app.press("f2")
    await until(lambda: isinstance(app.pilot.app.screen, LearningScreen))
    await app.press("n")
    await until(lambda: isinstance(app.pilot.app.screen, ReportScreen))
    await until(lambda: app.pilot.app.screen.query_one(Markdown).source)
    return str(app.pilot.app.screen.query_one(Markdown).source)


async def test_without_a_run_it_says_what_to_do(open_chat: Open) -> None:
    async with open_chat() as chat:
        assert not chat.screen.news.display
        assert await read_report(chat, chat.until) == NO_RUN


async def test_it_shows_the_report_scrolls_and_goes_back(penpal: PenPal, open_chat: Open) -> None:
    add_run(penpal, KEPT, text=LONG)
    async with open_chat() as chat:
        await chat.press(*"half a thought")
        text = await read_report(chat, chat.until)
        assert text.startswith(LONG)
        assert "## Night by night" in text
        report = chat.pilot.app.screen
        assert "in use" in str(report.query_one("#side-note").content)
        await chat.until(lambda: report.body.max_scroll_y > 0)
        for key, expected in (("down", 1), ("j", 2), ("k", 1), ("up", 0)):
            await chat.press(key)
            await chat.until(lambda y=expected: report.body.scroll_y == y)
        await chat.press("space")
        await chat.until(lambda: report.body.scroll_y > 5)
        await chat.press("G")
        await chat.until(lambda: report.body.scroll_y == report.body.max_scroll_y)
        await chat.press("g", "x", "1")
        await chat.until(lambda: report.body.scroll_y == 0)
        await chat.press("escape", "escape")
        assert chat.pilot.app.screen is chat.screen
        assert chat.screen.composer.text == "half a thought"


async def test_a_report_whose_file_is_gone_shows_the_numbers(penpal: PenPal, open_chat: Open) -> None:
    add_run(penpal, KEPT)
    async with open_chat() as chat:
        text = await read_report(chat, chat.until)
        assert "it foresees 23 of 30" in text
        assert "**47** answers" in text
        assert str(penpal.home.runs / "run.md") in text


async def test_its_own_keys_are_in_its_footer_and_its_help(penpal: PenPal, open_chat: Open) -> None:
    async with open_chat(size=(80, 24)) as chat:
        await read_report(chat, chat.until)
        footer = chat.pilot.app.screen.query_one(Footer)
        assert footer.compact
        await chat.until(lambda: len(footer.children) > 1)
        assert [key.description for key in footer.children][:2] == ["back", "help"]
        await chat.press("f1")
        assert isinstance(chat.pilot.app.screen, HelpScreen)
        titles = [str(title.content) for title in chat.pilot.app.screen.query(".help-title")]
        assert {"In the numbers", "On the page"} <= set(titles)


async def test_it_can_be_read_from_rate_too(open_rate: Open) -> None:
    async with open_rate() as rate:
        await rate.pilot.press("f2")
        await rate.until(lambda: isinstance(rate.pilot.app.screen, LearningScreen))
        await rate.pilot.press("n")
        await rate.until(lambda: isinstance(rate.pilot.app.screen, ReportScreen))
        await rate.pilot.press("q", "q")
        await rate.until(lambda: rate.pilot.app.screen is rate.screen)


async def test_a_click_on_what_looks_like_a_link_does_nothing(
    penpal: PenPal, open_chat: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    add_run(penpal, KEPT, text="https://example.org and [a file](run.md)")
    async with open_chat() as chat:
        monkeypatch.setattr(chat.pilot.app, "open_url", lambda url, **options: opened.append(url))
        await read_report(chat, chat.until)
        await chat.pilot.pause()
        assert await chat.pilot.click("MarkdownParagraph", offset=(3, 0))
        await chat.pilot.pause()
        assert isinstance(chat.pilot.app.screen, ReportScreen)
        assert opened == []


# --- the line at the start ----------------------------------------------------------------------------------------


async def test_a_new_run_is_news_until_the_person_answers_again(penpal: PenPal, open_chat: Open) -> None:
    add_run(penpal, KEPT)
    async with open_chat() as chat:
        assert chat.screen.news.text == (
            "PenPal learned on 20 Nov 2020: it foresees 23 of 30 choices it has not seen. F2 shows more."
        )
        await chat.drafts()
        assert not chat.screen.news.display
    async with open_chat() as chat:
        assert chat.screen.news.display
        await chat.press("1")
        await chat.until(lambda: not chat.screen.news.display)
    async with open_chat() as chat:
        assert not chat.screen.news.display


async def test_rate_tells_the_news_too(penpal: PenPal, open_rate: Open) -> None:
    add_run(penpal, KEPT)
    async with open_rate() as rate:
        assert "F2 shows more" in rate.screen.news.text
        await rate.answer("1")
        await rate.until(lambda: not rate.screen.news.display)


async def test_a_run_that_changed_nothing_says_why(penpal: PenPal, open_chat: Open) -> None:
    add_run(penpal, REJECTED)
    async with open_chat() as chat:
        assert chat.screen.news.text == f"PenPal tried a new voice on 20 Nov 2020; {REJECTED}. F2 shows more."
        await read_report(chat, chat.until)
        assert "not in use" in str(chat.pilot.app.screen.query_one("#side-note").content)

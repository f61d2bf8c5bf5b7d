"""What PenPal says about what it has learned."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.progress import Progress
from app.tui.learning_words import about_going_back, in_brief, last_night, standing, summary, voice_name
from core.store import EncoderRecord

NOTHING = Progress(0, None, None, before=None, can_roll_back=False, last_reason="", nights=(), weeks=())


def voice(name: str, *, days_ago: int = 0, status: str = "kept", origin: str = "personalized") -> EncoderRecord:
    found = "it foresees 23 of 30 choices it has not seen"
    reason = f"activated: {found}" if status == "kept" else f"not activated: {found}, which could be luck"
    when = (datetime.now(UTC) - timedelta(days=days_ago)).replace(hour=12).isoformat()
    return EncoderRecord(name * 64, name, origin, None, "b", "c", 47, status, {"reason": reason}, when)


NEW, OLD, WORSE = voice("a"), voice("b", days_ago=900), voice("d", status="rejected")


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (NOTHING, "has not learned anything yet"),
        (replace(NOTHING, lessons=1), "leans on your 1 answer already; about 49 more and a night"),
        (replace(NOTHING, lessons=60), "leans on your 60 answers already. 'penpal personalize' learns"),
        (replace(NOTHING, active=voice("e", origin="imported")), "PenPal writes in the imported voice eeeeeeee."),
        (replace(NOTHING, newest=NEW, active=NEW), "choices it has not seen. PenPal writes with that voice now."),
        (replace(NOTHING, newest=WORSE, active=None), "could be luck. Drafts stay in the generic voice."),
        (replace(NOTHING, newest=NEW, last_reason="chosen by hand"), "It is not in use: PenPal writes in the generic"),
        (
            replace(NOTHING, newest=NEW, last_reason="rolled back: you preferred the voice before it"),
            "It is not in use, because you preferred the voice before it: PenPal",
        ),
    ],
)
def test_the_summary_says_what_was_found_and_who_writes(progress: Progress, said: str) -> None:
    assert said in summary(progress)


def test_the_title_always_says_who_writes_from_what_and_what_the_newest_run_brought() -> None:
    found = replace(NOTHING, lessons=57, newest=NEW, active=NEW)
    assert standing(found) == f"{voice_name(NEW)} · 57 pairs"
    assert standing(found, generic=True) == "generic, once · 57 pairs"
    assert standing(replace(found, active=None)) == "generic voice · 57 pairs"
    assert last_night(found).endswith(": a better voice")
    assert last_night(replace(found, active=None)).endswith(": a new voice, not in use")
    assert last_night(replace(found, newest=WORSE)).endswith(": no better voice")
    assert last_night(NOTHING) == ""


def test_where_there_is_little_room_it_says_it_in_fewer_words() -> None:
    assert in_brief(replace(NOTHING, lessons=1)) == "generic voice · 1 pair"
    found = replace(NOTHING, lessons=57, newest=OLD, active=OLD)
    assert in_brief(found).startswith("your voice · 57 pairs · better ")
    assert " no better " in in_brief(replace(found, newest=WORSE))
    assert len(in_brief(found)) < 45


def test_a_voice_is_called_by_its_day_and_by_its_year_when_that_is_another_one() -> None:
    assert voice_name(None) == "the generic voice"
    assert voice_name(OLD).endswith(OLD.created_utc[:4])
    assert not voice_name(NEW).endswith(NEW.created_utc[:4])


def test_the_way_back_says_where_it_leads() -> None:
    assert about_going_back(replace(NOTHING, active=NEW, before=OLD)) == (
        f"PenPal writes in {voice_name(OLD)} again. The one in use now is not lost."
    )
    assert about_going_back(replace(NOTHING, before=NEW)) == f"PenPal writes in {voice_name(NEW)} again."

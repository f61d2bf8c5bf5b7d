"""How small things are said."""

from __future__ import annotations

from datetime import datetime

import pytest

from app.tui.wording import since_when

NOW = datetime.fromisoformat("2026-11-21T09:00").astimezone()


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("2026-11-21T02:30", "last night"),
        ("2026-11-20T23:10", "last night"),
        ("2026-11-21T08:10", "today"),
        ("2026-11-20T13:00", "yesterday"),
        ("2026-11-20T02:30", "yesterday"),
        ("2026-11-19T02:30", "on 19 Nov 2026"),
        ("2026-11-22T02:30", "on 22 Nov 2026"),
    ],
)
def test_past_moments_are_said_as_people_say_them(when: str, said: str) -> None:
    assert since_when(datetime.fromisoformat(when).astimezone().isoformat(), now=NOW) == said

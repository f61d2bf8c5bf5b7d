"""Voices from others: listed apart, tried for a session, compared on one's own choices, and a start for learning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.store import Store
from tests.app.conftest import Result, answer, learned, picks

Run = Callable[..., Result]
WARM, COLD = -1.0, 1.0
"""`learned` leans along (-1 ... 1), and the warm texts that `answer` picks lie at +2 in the first dimension."""


def guest(penpal: Run, store: Store, home: Path, tmp_path: Path, lean: float) -> str:
    """The id of an imported voice, made by somebody with another home."""
    file = tmp_path / f"{lean}.penpal"
    record = learned(home, lean)
    penpal("export", file, "--encoder", record.id, "--force")
    penpal("encoder", "remove", record.id)
    return str(penpal("import", file, "--json").json["id"])


@pytest.fixture
def warm(penpal: Run, store: Store, penpal_home: Path, tmp_path: Path) -> str:
    return guest(penpal, store, penpal_home, tmp_path, WARM)


@pytest.fixture
def cold(penpal: Run, store: Store, penpal_home: Path, tmp_path: Path) -> str:
    return guest(penpal, store, penpal_home, tmp_path, COLD)


def test_guests_are_listed_apart(penpal: Run, warm: str, penpal_home: Path) -> None:
    mine = learned(penpal_home, 0.25)
    told = penpal("encoder", "list").out.splitlines()
    apart = next(number for number, line in enumerate(told) if line.startswith("From others"))
    assert [mine.id[:12] in line for line in told].index(True) < apart
    assert warm[:12] in told[apart + 1]
    shown = penpal("encoder", "show", warm).out
    assert "licence       for personal use; ask the author for anything else" in shown
    assert "signed        no" in shown


# --- tried for a session ----------------------------------------------------------------------------------------


def test_a_guest_is_tried_once(penpal: Run, store: Store, warm: str) -> None:
    assert penpal("write", "Hi.", "--voice", warm[:8], "--json").json[0]["encoder"] == warm
    assert penpal("write", "Hi.", "--json").json[0]["encoder"] == "generic"
    assert store.active_encoder() is None
    assert penpal("write", "Hi.", "--voice", "generic", "--json").json[0]["encoder"] == "generic"
    unknown = penpal("write", "Hi.", "--voice", "zzz")
    assert (unknown.code, unknown.err.count("\n")) == (2, 1)


def test_answers_do_not_move_a_guest_but_are_kept(penpal: Run, store: Store, warm: str) -> None:
    from app import wiring

    alone = penpal("write", "Hi.", "--voice", warm, "--seed", "3", "--json").json[0]["id"]
    picks(store, 5)
    after = penpal("write", "Hi.", "--voice", warm, "--seed", "3", "--json").json[0]["id"]
    assert store.draft(after).z == store.draft(alone).z
    opened = wiring.open_penpal()
    opened.try_voice(warm)
    writer = opened.writer()
    answer(store, "One more")
    assert opened.learn_now(writer, store.turns(store.conversations()[0].id)[-1].id) is None
    assert writer.voice.encoder_id == warm
    opened.store.close()
    assert penpal("pairs", "list", "--json").json


# --- compared ---------------------------------------------------------------------------------------------------


def test_a_guest_of_the_same_taste_foresees_ones_own_choices(penpal: Run, store: Store, warm: str) -> None:
    picks(store, 20)
    found = penpal("encoder", "compare", warm, "--json").json
    assert found["guest"]["count"] == 20
    assert found["guest"]["right"] >= 16
    assert (found["generic"], found["active"], found["since"]) == (0.5, None, None)
    assert found["guest_interval"][0] > 0.5
    told = penpal("encoder", "compare", warm).out
    assert f"Of your 20 choices between two texts, voice {warm[:12]} foresees {found['guest']['right']}, " in told
    assert told.endswith(f"penpal personalize --start {warm[:12]}\n")


def test_a_guest_of_the_opposite_taste_is_said_to_lead_the_wrong_way(penpal: Run, store: Store, cold: str) -> None:
    picks(store, 20)
    assert "it would lead your drafts the wrong way" in penpal("encoder", "compare", cold).out


def test_beside_the_active_voice_only_choices_count_that_neither_has_learned_from(
    penpal: Run, store: Store, warm: str
) -> None:
    picks(store, 12)
    made = penpal("personalize", "--no-drafts", "--json").json
    assert penpal("encoder", "compare", warm, "--json").json["since"] is None
    for number in range(3):
        answer(store, f"Later {number}")
    found = penpal("encoder", "compare", warm, "--json").json
    assert found["active"] == made["accuracy"]
    assert [share["count"] for share in found["since"]] == [3, 3]
    assert "Of the 3 choices that neither has learned from" in penpal("encoder", "compare", warm).out


def test_only_a_guest_is_compared_and_only_on_choices(penpal: Run, store: Store, warm: str, penpal_home: Path) -> None:
    refused = penpal("encoder", "compare", warm)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "There are no choices between two texts" in refused.err
    for name, reason in (("generic", "no preference"), (learned(penpal_home, 0.3).id, "has learned from your choices")):
        refused = penpal("encoder", "compare", name)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert reason in refused.err


# --- a start ----------------------------------------------------------------------------------------------------


def run(penpal: Run, *options: str) -> Any:
    return penpal("personalize", "--no-drafts", "--json", *options).json


def test_few_choices_go_further_from_a_good_start(penpal: Run, store: Store, warm: str) -> None:
    picks(store, 12)
    alone = run(penpal)
    started = run(penpal, "--start", warm[:8])
    assert started["started_from"] == warm
    assert started["accuracy_start"] > 0.7
    assert started["accuracy"] >= alone["accuracy"]
    assert started["activated"]
    leans = [penpal("encoder", "show", each["encoder_id"], "--json").json["drift"] for each in (alone, started)]
    assert leans[1] > leans[0]


def test_later_runs_start_where_the_voice_in_use_did(penpal: Run, store: Store, warm: str) -> None:
    picks(store, 12)
    run(penpal, "--start", warm)
    answer(store, "Another one")
    assert run(penpal)["started_from"] == warm
    assert run(penpal, "--start", "generic", "--force")["started_from"] is None
    answer(store, "And another one")
    assert run(penpal)["started_from"] is None


def test_a_bad_start_is_not_activated_unless_it_beats_generic(penpal: Run, store: Store, cold: str) -> None:
    """Four answers cannot turn round a guest who likes the opposite."""
    picks(store, 6)
    report = run(penpal, "--start", cold)
    assert report["accuracy_start"] < 0.5
    assert not report["activated"] or report["accuracy"] > 0.5


def test_a_start_that_is_gone_is_no_start(penpal: Run, store: Store, warm: str) -> None:
    picks(store, 12)
    run(penpal, "--start", warm)
    penpal("encoder", "remove", warm, "--force")
    answer(store, "Another one")
    assert run(penpal)["started_from"] is None


def test_a_voice_of_ones_own_is_no_start(penpal: Run, store: Store, penpal_home: Path) -> None:
    picks(store, 12)
    refused = penpal("personalize", "--start", learned(penpal_home, 0.3).id)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "only a voice from somebody else can be a start" in refused.err
    refused = penpal("personalize", "--start", "generic", "--context", "mail")
    assert (refused.code, refused.err.count("\n")) == (2, 1)

"""Chat, rate, personalize, serve and scripts at once on one home: no row is lost, and nobody hears of a lock.

For ten minutes: `PENPAL_TOGETHER_SECONDS=600 pytest -s -m slow tests/app/test_together.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from app.tui.first_run import note_tour_seen
from core.feedback import Act
from core.files import file_sha256
from core.paths import Home
from core.store import Store, Turn
from models.backbone import open_backbone
from tests.app.at_once import (
    DRAFT_TOKENS,
    PATIENCE_S,
    Chatting,
    Done,
    Learning,
    Rating,
    Scripting,
    Serving,
    Together,
    letters,
)
from tests.app.conftest import answer

SECONDS = float(os.environ.get("PENPAL_TOGETHER_SECONDS", "20"))
ANSWERED_BEFORE = 24
PAIRS = 5000
"""More than anybody answers here."""
DRAFTS_BEFORE = 4
"""So many times drafts come while nothing learns, to compare with."""
LONG_RUN = 3
"""A run so many times as long as the longest wait for drafts before must see some arrive."""


@dataclass(frozen=True)
class Seen:
    """What each of them was shown as done, and when the first run began."""

    together: Together
    chatting: Chatting
    rating: Rating
    serving: Serving
    scripting: Scripting
    learning: Learning
    learning_since: float


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 6 * PATIENCE_S)
def test_all_at_once_lose_no_row_and_nobody_hears_of_a_lock(
    penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(penpal_home)
    monkeypatch.setenv("PENPAL_DRAFTS__MAX_TOKENS", DRAFT_TOKENS)
    with closing(Store(home.database)) as store:
        note_tour_seen(store)
        backbone_id = open_backbone(None).id
        for number in range(ANSWERED_BEFORE):
            answer(store, f"Thing {number}", backbone_id=backbone_id)
    seen = all_at_once(tmp_path)
    assert seen.together.trouble() == []
    with closing(Store(home.database)) as store:
        assert store.check() == []
        chat_is_all_there(store, seen.chatting)
        drafts_are_what_was_shown(store, seen.serving.written | seen.scripting.written)
        acts_are_all_there(store, seen.serving, seen.scripting)
        assert len(list(acts_in(store, "rate"))) == seen.rating.summed_up == seen.rating.answered > 0
        voices = {voice.id: voice for voice in store.encoders()}
        assert set(seen.learning.voices) == set(voices)
        assert all(file_sha256(home.encoders / voice.file) == voice.id for voice in voices.values())
    arrived = Arrivals(seen.together.drafts, seen.learning.runs, seen.learning_since)
    assert arrived.during > 0
    assert arrived.runs_without == 0, "drafts waited for a whole run"
    with capsys.disabled():
        print(f"\n{in_figures(seen)} All of it found. {arrived}")


def all_at_once(folder: Path) -> Seen:
    """Starts all of them, learning last, and lets them work together for `SECONDS`."""
    together = Together()
    with ExitStack() as opened:
        serving = opened.enter_context(closing(Serving(together)))
        serving.draft(0)  # alone: what is found out once about a backbone is known before others start
        together.drafts.clear()
        chatting = opened.enter_context(closing(Chatting(together)))
        rating = opened.enter_context(closing(Rating(together, folder, PAIRS)))
        scripting, learning = Scripting(together), Learning(together)
        with ThreadPoolExecutor() as pool:
            at_work = [pool.submit(guarded(together, one.run)) for one in (serving, chatting, rating, scripting)]
            try:
                wait_until(lambda: len(together.drafts) >= DRAFTS_BEFORE or together.stop.is_set())
                learning_since = time.monotonic()
                at_work.append(pool.submit(guarded(together, learning.run)))
                wait_until(lambda: bool(learning.runs) or together.stop.is_set())
                together.stop.wait(max(0.0, SECONDS - (time.monotonic() - learning_since)))
            finally:
                together.stop.set()
        for done in at_work:
            done.result()
    return Seen(together, chatting, rating, serving, scripting, learning, learning_since)


def guarded(together: Together, run: Callable[[], None]) -> Callable[[], None]:
    """One that fails ends all of them."""

    def running() -> None:
        try:
            run()
        finally:
            together.stop.set()

    return running


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2 * PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- what should be in the store ----------------------------------------------------------------------------------


def chat_is_all_there(store: Store, chatting: Chatting) -> None:
    """Each prompt once, with two whole drafts, the right one picked and its text kept; and what was typed at last."""
    turns = {turn.prompt: turn.id for turn in turns_in(store, "chat")}
    assert len(turns) == len(list(turns_in(store, "chat"))) == ANSWERED_BEFORE + len(chatting.drafted)
    for prompt in chatting.drafted:
        assert [draft.status for draft in store.drafts(turns[prompt])] == ["done", "done"]
    for prompt, side in chatting.picked:
        picked = [act.draft_id for act in store.acts(turns[prompt]) if act.kind == "pick"]
        assert picked == [store.drafts(turns[prompt])[side].id]
    assert all(store.accepted_text(turns[prompt]) for prompt in chatting.kept)
    assert store.unsaved("composer") == chatting.left_typed


def drafts_are_what_was_shown(store: Store, written: dict[int, str]) -> None:
    drafts = {draft_id: store.draft(draft_id) for draft_id in written}
    assert {draft_id: draft.text for draft_id, draft in drafts.items()} == written
    assert {draft.status for draft in drafts.values()} == {"done"}


def acts_are_all_there(store: Store, serving: Serving, scripting: Scripting) -> None:
    """Those, each once, and no others."""
    found = {act.id: Done(act.draft_id or 0, act.kind, act.text) for act in acts_in(store, "write")}
    of_scripts = [done for act_id, done in found.items() if act_id not in serving.acts]
    assert serving.acts.items() <= found.items()
    assert of_scripts == scripting.acts


def turns_in(store: Store, origin: str) -> Iterator[Turn]:
    for conversation in store.conversations(origin=origin, limit=10**6):  # type: ignore[arg-type]
        yield from store.turns(conversation.id)


def acts_in(store: Store, origin: str) -> Iterator[Act]:
    """In the order in which they were done."""
    yield from sorted((act for turn in turns_in(store, origin) for act in store.acts(turn.id)), key=lambda act: act.id)


# --- and in time --------------------------------------------------------------------------------------------------


class Arrivals:
    """How drafts came while nothing learned, and while something did."""

    def __init__(self, drafts: list[tuple[str, float, float]], runs: list[tuple[float, float]], begun: float) -> None:
        ends = sorted(end for _, _, end in drafts)
        came = [[end for end in ends if start < end < until] for start, until in runs]
        longest_wait = max(later - end for end, later in pairwise([end for end in ends if end < begun]))
        long = [until - start > LONG_RUN * longest_wait for start, until in runs]
        self.during = sum(map(len, came))
        self.runs_without = sum(is_long and not some for is_long, some in zip(long, came, strict=True))
        of_serve = [(asked, end) for who, asked, end in drafts if who == "serve"]
        beside = {run: [end - asked for asked, end in of_serve if any(s < end and asked < u for s, u in runs) is run]
                  for run in (True, False)}  # fmt: skip
        self.ratio = median(beside[True]) / median(beside[False]) if all(beside.values()) else None

    def __str__(self) -> str:
        slower = "" if self.ratio is None else f"; one of serve took {self.ratio:.2f} times as long as without a run"
        return f"Drafts came {self.during} times during a run{slower}."


def in_figures(seen: Seen) -> str:
    chatting, serving, scripting = seen.chatting, seen.serving, seen.scripting
    return (
        f"Together for {SECONDS:.0f} s: chat {len(chatting.drafted)} pairs of drafts, {len(chatting.picked)} picks, "
        f"{len(chatting.kept)} kept; rate {seen.rating.answered} answers; serve {len(serving.written)} drafts, "
        f"{len(serving.acts)} acts; scripts {len(scripting.written)} drafts, {len(scripting.acts)} picks; "
        f"{len(seen.learning.voices)} runs of personalize."
    )


# --- the test itself ----------------------------------------------------------------------------------------------


def test_trouble_is_found_in_whatever_frame_it_stands() -> None:
    together = Together()
    together.hear("chat", "│ /tmp/home/penpal.db is locked │\n│ by another program: close it  │")
    together.hear("rate", "the door was locked, and all was well")
    (found,) = together.trouble()
    assert found.startswith("chat: locked by another program")
    assert letters("Trace-back: 1\n") == "traceback"


def test_a_long_run_without_drafts_is_noticed() -> None:
    drafts = [("serve", at, at + 1.0) for at in (0, 2, 4, 6, 20, 22)]
    assert Arrivals(drafts, [(7.5, 19.0)], 7.5).runs_without == 1
    some = Arrivals(drafts, [(7.5, 10.0), (19.0, 30.0)], 7.5)
    assert (some.runs_without, some.during, some.ratio) == (0, 2, 1.0)

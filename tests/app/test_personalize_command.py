"""`penpal personalize`: what it says before, while and after it learns; the nightly run; and everything unlearnable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app.manners
from app.cli.output import time_left
from core.paths import Home
from core.run_lock import run_lock
from core.store import Store
from tests.app.conftest import CLAP_ID, LATENT_SIZE, Result, Terminal, answer, picks
from tests.hooked_decoder import HookedDecoder
from tests.scripted_text_encoder import ScriptedTextEncoder

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def on_mains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine runs on."""
    monkeypatch.setattr(app.manners, "on_battery", lambda: False)


def told_once(found: Result, code: int) -> str:
    """The one line on stderr."""
    assert (found.code, found.err.count("\n")) == (code, 1)
    assert found.err.startswith("penpal: ")
    return found.err.removeprefix("penpal: ").strip()


# --- before, and after ------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_there_is_and_changes_nothing(penpal: Run, store: Store, decoder: HookedDecoder) -> None:
    picks(store, 3)
    answer(store, "Write a review.", note="wrong fact")
    answer(store, "Write a mail.", answer="tie")
    assert penpal("personalize", "--dry-run", "--force", "--no-drafts", "--max-minutes", "5") == Result(
        0,
        "There are 4 answers to learn from.\n"
        "  by kind of answer: pick 3, tie 1\n"
        "  by kind of writing: other 3, mail 1\n"
        "Left out: 1 ('penpal pairs list' tells why).\n"
        "To be read first: 8 texts.\n"
        "Computed on cpu, float32 and float64 in NumPy: nothing here is large enough to gain from a GPU.\n"
        "Nothing was changed.\n",
        "",
    )
    assert penpal("personalize", "--dry-run", "--context", "Mail", "--json").json == {
        "evidence": 1,
        "left_out": 0,
        "by_source": {"tie": 1},
        "by_context": {"mail": 1},
        "to_read": 2,
        "device": "cpu, float32 and float64 in NumPy: nothing here is large enough to gain from a GPU",
    }
    assert (store.encoders(), decoder.asked) == ([], [])


def test_a_dry_run_with_nothing_to_learn_from_is_no_error(penpal: Run) -> None:
    found = penpal("personalize", "--dry-run")
    assert (found.code, found.out.splitlines()[0]) == (0, "There are 0 answers to learn from.")


def test_a_run_says_what_it_uses_then_what_came_of_it_and_where_that_is_written(
    penpal: Run, store: Store, penpal_home: Path
) -> None:
    picks(store, 12)
    found = penpal("personalize")
    assert (found.code, found.err) == (0, "")
    before, after = found.out.split("\n\n", 1)
    assert before.splitlines()[0] == "There are 12 answers to learn from."
    assert after.startswith("# A new voice\n")
    assert "It foresees **100%** of the choices" in after
    *_, last = found.out.splitlines()
    report = Path(last.removeprefix("Report: "))
    assert report.parent == penpal_home / "runs"
    assert report.read_text("utf-8") in found.out


def test_on_a_terminal_the_report_is_laid_out(penpal: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    picks(store, 12)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    shown = penpal("personalize", "--no-drafts").out
    assert "A new voice" in shown
    assert "# A new voice" not in shown
    assert "**" not in shown


def test_json_is_one_object_with_the_whole_report(penpal: Run, store: Store) -> None:
    picks(store, 12)
    found = penpal("personalize", "--json").json
    assert (found["activated"], found["pairs"], found["accuracy"], found["capacity"]) == (True, 12, 1, "shift")
    assert found["examples"][0] == {
        "prompt": "Thing 11",
        "before": "A warm and friendly draft.",
        "after": "A dry one.",
    }
    assert Path(found["markdown"]).is_file()


def test_a_gate_that_stays_closed_is_told_and_no_error(penpal: Run, store: Store) -> None:
    for number in range(12):
        texts = (f"Yes {number}!", f"No {number}.") if number % 2 else (f"No {number}.", f"Yes {number}!")
        answer(store, f"Thing {number}", texts=texts)
    found = penpal("personalize")
    assert found.code == 0
    assert "# No new voice" in found.out
    assert "which could be luck" in found.out
    assert store.active_encoder() is None
    assert penpal("personalize", "--force", "--json").json["reason"].startswith("activated because you said so")
    assert store.active_encoder() is not None


def test_without_drafts_none_is_written(penpal: Run, store: Store, decoder: HookedDecoder) -> None:
    picks(store, 12)
    assert penpal("personalize", "--no-drafts", "--json").json["examples"] == []
    assert decoder.asked == []


def test_one_kind_of_writing_is_learned_by_itself(penpal: Run, store: Store) -> None:
    picks(store, 4)
    for number in range(12):
        answer(store, f"Note {number}", context="my diary")
    found = penpal("personalize", "--context", "My  Diary", "--no-drafts", "--json").json
    assert (found["pairs"], found["contexts"]) == (12, {"my diary": [12, 12]})
    unknown = penpal("personalize", "--context", "poem")
    assert told_once(unknown, 1) == "Nothing was answered about 'poem'. There is: my diary, other."


def test_a_run_lets_other_programs_go_first_and_a_dry_run_need_not(
    penpal: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    nice: list[int] = []
    monkeypatch.setattr(app.manners, "be_nice", lambda: nice.append(1))
    picks(store, 12)
    penpal("personalize", "--dry-run")
    assert nice == []
    penpal("personalize", "--no-drafts", "--device", "cpu")
    assert nice == [1]


def test_time_that_is_up_changes_nothing(penpal: Run, store: Store) -> None:
    picks(store, 12)
    assert "The time is up before the run was done" in told_once(penpal("personalize", "--max-minutes", "0"), 1)
    assert store.encoders() == []
    assert penpal("personalize", "--max-minutes", "5", "--no-drafts").code == 0


@pytest.mark.parametrize(
    ("share", "elapsed_s", "told"),
    [
        (0.0, 60, ""),
        (0.5, 1, ""),
        (1.0, 60, ""),
        (0.5, 30, "about 30 s left"),
        (0.1, 60, "about 9 min left"),
    ],
)
def test_the_time_left_is_told_once_it_can_be_foreseen(share: float, elapsed_s: float, told: str) -> None:
    assert time_left(share, elapsed_s) == told


def test_progress_is_drawn_on_a_terminal(penpal: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    picks(store, 12)
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    assert penpal("personalize", "--no-drafts").code == 0
    assert "Done" in screen.getvalue()


# --- options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--schedule", "02:30", "--dry-run"], "--dry-run and --schedule do not go together."),
        (["--schedule", "02:30", "--unschedule"], "--schedule and --unschedule do not go together."),
        (["--watch", "02:30", "--schedule", "02:30"], "--schedule and --watch do not go together."),
        (["--watch", "02:30", "--on-schedule"], "--watch and --on-schedule do not go together."),
        (["--watch", "02:30", "--json"], "--watch and --json do not go together."),
        (["--schedule", "02:30", "--context", "mail"], "--schedule and --context do not go together."),
        (["--unschedule", "--force"], "--unschedule and --force do not go together."),
        (["--dry-run", "--when-idle"], "--dry-run and --when-idle do not go together."),
        (["--yes"], "--yes goes with --schedule."),
        (["--when-idle"], "--when-idle goes with --schedule or --watch or --on-schedule."),
    ],
)
def test_options_that_contradict_each_other_are_one_clear_line(penpal: Run, arguments: list[str], told: str) -> None:
    found = penpal("personalize", *arguments)
    assert (found.out, told_once(found, 2)) == ("", told)


@pytest.mark.parametrize(
    "arguments", [["--device", "cuda"], ["--max-minutes", "-1"], ["--max-minutes", "soon"], ["--watch"]]
)
def test_a_bad_option_ends_with_2(penpal: Run, arguments: list[str]) -> None:
    found = penpal("personalize", *arguments)
    assert (found.code, found.out) == (2, "")
    assert "Traceback" not in found.err


@pytest.mark.parametrize("option", ["--schedule", "--watch"])
def test_what_is_no_time_of_day_is_one_clear_line(penpal: Run, option: str) -> None:
    assert "'25:00' is no time of day" in told_once(penpal("personalize", option, "25:00"), 2)


# --- by night ---------------------------------------------------------------------------------------------------


def test_scheduling_asks_unless_yes_was_said(penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Home, str, bool, bool]] = []

    def schedule(
        home: Home, at: str, when_idle: bool, *, confirm: Callable[[str], bool], say: Callable[[str], None]
    ) -> None:
        say("A timer.")
        asked.append((home, at, when_idle, confirm("Install?")))

    monkeypatch.setattr("app.schedule.schedule", schedule)
    assert penpal("personalize", "--schedule", "02:30", "--when-idle", "--yes") == Result(0, "A timer.\n", "")
    assert asked == [(Home(penpal_home), "02:30", True, True)]
    assert "add --yes" in told_once(penpal("personalize", "--schedule", "02:30", piped=""), 2)


def test_unscheduling_says_what_it_did(penpal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.schedule.unschedule", lambda *, say: say("Removed the timer."))
    assert penpal("personalize", "--unschedule") == Result(0, "Removed the timer.\n", "")


DATED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d  (.*)\n")


def logged(found: Result) -> list[str]:
    """The lines of the nightly log, without their dates."""
    assert (found.code, found.err) == (0, "")
    assert DATED.sub("", found.out) == ""
    return DATED.findall(found.out)


def test_by_night_one_line_says_what_came_of_it(penpal: Run, store: Store) -> None:
    picks(store, 12)
    (line,) = logged(penpal("personalize", "--on-schedule"))
    record = store.active_encoder()
    assert record is not None
    assert line.startswith(
        f"Voice {record.id[:12]}: activated: it foresees 12 of 12 choices it has not seen. Report: /"
    )


def test_on_battery_nothing_is_learned_and_the_log_says_so(
    penpal: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    picks(store, 12)
    monkeypatch.setattr(app.manners, "on_battery", lambda: True)
    assert logged(penpal("personalize", "--on-schedule")) == ["Not learning now: the machine is on battery."]
    assert penpal("personalize", "--on-schedule", "--json").json == {
        "not_learned": "Not learning now: the machine is on battery."
    }
    assert store.encoders() == []


def test_when_idle_reaches_the_question(penpal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def why_not_now(*, when_idle: bool) -> str:
        asked.append(when_idle)
        return "Not learning now."

    monkeypatch.setattr(app.manners, "why_not_now", why_not_now)
    penpal("personalize", "--on-schedule")
    penpal("personalize", "--on-schedule", "--when-idle")
    assert asked == [False, True]


def test_by_night_too_little_to_learn_from_or_another_run_is_no_error(
    penpal: Run, store: Store, penpal_home: Path
) -> None:
    assert "There is not enough to learn from: 0 of 4 pairs" in logged(penpal("personalize", "--on-schedule"))[0]
    picks(store, 12)
    with run_lock(Home(penpal_home)):
        assert "Another run is learning" in logged(penpal("personalize", "--on-schedule"))[0]
    assert penpal("personalize", "--on-schedule", "--json").json["activated"]


def test_a_watch_learns_when_the_time_comes_until_it_is_interrupted(
    penpal: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nights(at: object, run: Callable[[], None], *, say: Callable[[str], None]) -> None:
        run()
        picks(store, 12)
        run()
        raise KeyboardInterrupt

    monkeypatch.setattr("app.watch.watch", nights)
    found = penpal("personalize", "--watch", "02:30", "--no-drafts")
    assert (found.code, found.err) == (130, "")
    nothing_yet, learned = DATED.findall(found.out)
    assert "not enough to learn from" in nothing_yet
    assert "activated" in learned


# --- what cannot be learned -------------------------------------------------------------------------------------


@pytest.fixture(params=["personalize", "personalize --json", "personalize --no-drafts --force"])
def refused(request: pytest.FixtureRequest, penpal: Run, store: Store) -> Iterator[Callable[[], str]]:
    """The one line on stderr of a run that must end with 1; afterwards everything must be as it was."""

    def run() -> str:
        nonlocal before
        before = store.counts(), store.active_encoder()
        return told_once(penpal(*request.param.split()), 1)

    before = store.counts(), store.active_encoder()
    yield run
    assert (store.counts(), store.active_encoder()) == before
    assert store.check() == []


def test_no_pairs(refused: Callable[[], str]) -> None:
    assert refused().startswith("There is not enough to learn from: 0 of 4 pairs.")


def test_one_pair(refused: Callable[[], str], store: Store) -> None:
    picks(store, 1)
    assert refused().startswith("There is not enough to learn from: 1 of 4 pairs.")


def test_all_ties(refused: Callable[[], str], store: Store) -> None:
    for number in range(12):
        answer(store, f"Thing {number}", answer="tie")
    assert refused().startswith("All your 12 answers are ties")


def test_only_wrong_facts(refused: Callable[[], str], store: Store) -> None:
    for number in range(12):
        answer(store, f"Thing {number}", note="wrong fact")
    assert "0 of 4 pairs (12 more say too little: 'penpal pairs list' tells why)" in refused()


def test_pairs_of_another_backbone(refused: Callable[[], str], store: Store) -> None:
    for number in range(12):
        answer(store, f"Thing {number}", backbone_id="d" * 64)
    assert refused().startswith("All you answered (12) is about drafts of another backbone")


def test_two_runs_at_once(refused: Callable[[], str], store: Store, penpal_home: Path) -> None:
    picks(store, 12)
    with run_lock(Home(penpal_home)):
        assert re.match(r"Another run is learning since \d\d:\d\d \(process \d+\)", refused())


def test_a_damaged_active_voice(refused: Callable[[], str], penpal: Run, store: Store, penpal_home: Path) -> None:
    picks(store, 12)
    made = penpal("personalize", "--no-drafts", "--json").json["encoder_id"]
    (penpal_home / "encoders" / f"{made}.safetensors").write_bytes(b"half a file")
    assert refused().endswith("'penpal encoder rollback'.")


@pytest.mark.parametrize("damaged", [b"", b"x", b"\0" * 12, b"\xff" * (8 * LATENT_SIZE)])
def test_a_damaged_vector_in_the_cache_is_read_anew(
    penpal: Run, store: Store, text_encoder: ScriptedTextEncoder, damaged: bytes
) -> None:
    picks(store, 12)
    whole = penpal("personalize", "--no-drafts", "--json").json["encoder_id"]
    assert len(text_encoder.read) == 24
    keys = keys_of_all_texts(store)
    store.add_vectors(CLAP_ID, {keys[5]: damaged, keys[9]: damaged})
    assert penpal("personalize", "--no-drafts", "--json").json["encoder_id"] == whole
    assert len(text_encoder.read) == 26


def keys_of_all_texts(store: Store) -> list[str]:
    from models.text_vectors import text_key

    return [text_key(store.turn(d.turn_id).messages, d.text) for d in (store.draft(i) for i in range(1, 25))]


def test_a_clock_that_went_backwards(penpal: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    picks(store, 12)
    first = penpal("personalize", "--no-drafts", "--json").json
    monkeypatch.setattr("core.database.now_utc", lambda: "2020-01-01T00:00:00.000+00:00")
    monkeypatch.setattr("app.learning.now_utc", lambda: "2020-01-01T00:00:00.000+00:00")
    for number in range(6):
        answer(store, f"Later thing {number}")
    second = penpal("personalize", "--no-drafts", "--force", "--json").json
    assert (second["activated"], second["pairs"]) == (True, 18)
    assert second["accuracy_active"] == 1.0
    active = store.active_encoder()
    assert active is not None
    assert (active.id, active.parent_id) == (second["encoder_id"], first["encoder_id"])
    assert penpal("encoder", "rollback", "--json").json["id"] == first["encoder_id"]

"""Forgetting: what is meant, what hangs on it, and that nothing of it can be read in the home afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from core.encoder_rows import MIGRATED, PRIVATE
from core.errors import BusyError, StoreError, UsageError
from core.forget_rows import EVERYTHING_GOES_FROM
from core.forgetting import Forgotten, Wanted, find, finish, forget, words_of
from core.paths import Home
from core.protocols import Message
from core.recorder import Recorder
from core.run_lock import run_lock
from core.store import EncoderRecord, Store
from models.text_vectors import text_key
from tests.answering import BACKBONE_ID, answer, drafts, said
from tests.home_bytes import files_with


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "forgetful")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = Store(home.database)
    yield store
    store.close()


def forgets(store: Store, home: Home, kind: str, *ids: int, **more: str) -> Forgotten:
    return forget(store, home, Wanted(kind, ids, **more), key_of=text_key, wait_s=0)  # type: ignore[arg-type]


def conversation_of(store: Store, turn_id: int) -> int:
    return store.turn(turn_id).conversation_id


def go_on(store: Store, conversation_id: int, prompt: str, written: str) -> int:
    """A further turn, for which the decoder saw what was kept so far."""
    before = [
        message
        for turn in store.thread(conversation_id)
        if (kept := store.accepted_text(turn.id))
        for message in (Message("user", turn.prompt), Message("assistant", kept))
    ]
    turn_id = store.add_turn(conversation_id, prompt, [*before, Message("user", prompt)])
    draft_id = drafts(store, "elsewhere", [written])[0]
    with store._transaction() as db:
        db.execute("UPDATE drafts SET turn_id = ? WHERE id = ?", [turn_id, draft_id])
    Recorder(store).accept(draft_id, written)
    return turn_id


def voice(store: Store, name: str, last_act: int, *, until: str = "last_act", made: str = "personalized") -> None:
    """A voice that was trained on everything until this act."""
    report = {until: last_act, "made": made}
    record = EncoderRecord(
        name, f"{name}.st", "personalized", None, BACKBONE_ID, "c" * 64, 1, "kept", report, "2999-01-01"
    )
    store.add_encoder(record)


# --- a conversation ---------------------------------------------------------------------------------------------


def test_a_conversation_goes_without_a_trace_and_the_rest_stays(store: Store, home: Home) -> None:
    gone = answer(store, "Tell Zebulon about the quokka.", "Quincunx!", "Zugzwang.")
    kept = answer(store, "Describe a marimba.", "Kazoo!", "Theremin.")
    store.keep_unsaved(f"composer of conversation {conversation_of(store, gone)}", "Xylophone")
    words = ["Zebulon", "quokka", "Quincunx", "Zugzwang", "Xylophone"]
    assert files_with(home.folder, words)
    forgotten = forgets(store, home, "conversation", conversation_of(store, gone))
    assert (len(forgotten.marked.turns), len(forgotten.marked.drafts), len(forgotten.marked.acts)) == (1, 2, 1)
    assert files_with(home.folder, words) == {}
    assert [evidence.turn_id for evidence in said(store)] == [kept]
    assert [found.turn_id for found in store.search("marimba")] == [kept]
    assert store.check() == []
    store.close()
    assert files_with(home.folder, words) == {}


def test_other_programs_can_open_the_home_again_afterwards(store: Store, home: Home) -> None:
    forgets(store, home, "conversation", conversation_of(store, answer(store, "One.", "a!", "b")))
    other = Store(home.database)
    answer(other, "Two.", "c!", "d")
    assert len(said(store)) == 1
    other.close()


def test_no_number_is_given_twice_and_each_says_what_became_of_it(store: Store, home: Home) -> None:
    turn = answer(store, "One.", "a!", "b")
    ids = [draft.id for draft in store.drafts(turn)]
    last_act = store.last_act_id()
    with time_machine.travel("2026-11-21T12:00:00+00:00", tick=False):
        forgets(store, home, "conversation", conversation_of(store, turn))
    for draft_id in ids:
        with pytest.raises(UsageError, match=rf"Draft {draft_id} was forgotten on 21 Nov 2026\."):
            store.draft(draft_id)
    again = answer(store, "Two.", "c!", "d")
    assert again > turn
    assert min(draft.id for draft in store.drafts(again)) > max(ids)
    assert store.last_act_id() > last_act


def test_a_later_run_hears_what_was_answered_after_the_forgetting(store: Store, home: Home) -> None:
    """A voice remembers the last act it has seen: an act that got an old number would never be learned from."""
    turn = answer(store, "One.", "a!", "b")
    voice(store, "v1", store.last_act_id())
    forgets(store, home, "conversation", conversation_of(store, turn))
    answer(store, "Two.", "c!", "d")
    heard = store.evidence(backbone_id=BACKBONE_ID, since_act=store.encoders()[0].report["last_act"])
    assert [evidence.chosen.text for evidence in heard if evidence.chosen] == ["c!"]


def test_an_unknown_conversation_is_one_clear_line(store: Store, home: Home) -> None:
    with pytest.raises(UsageError, match="There is no conversation 7"):
        forgets(store, home, "conversation", 7)


def test_a_branch_keeps_its_own_turns_without_what_it_shared(store: Store, home: Home) -> None:
    source = conversation_of(store, first := answer(store, "Tell of Zebulon.", "Quincunx!", "Zugzwang."))
    Recorder(store).accept(store.drafts(first)[0].id, "Quincunx!")
    second = go_on(store, source, "And now?", "Marimba.")
    branch = store.unsent_branch(second)
    own = go_on(store, branch, "Shorter.", "Kazoo.")
    assert "Quincunx" in str(store.turn(own).messages)
    forgets(store, home, "conversation", source)
    assert files_with(home.folder, ["Zebulon", "Quincunx", "Zugzwang"]) == {}
    assert [turn.id for turn in store.thread(branch)] == [own]
    assert store.conversation(branch).title == "Shorter."
    assert store.turn(own).messages[-1].content == "Shorter."


def test_what_penpal_asked_again_goes_with_the_prompt(store: Store, home: Home) -> None:
    turn = answer(store, "Tell of Zebulon.", "a!", "b")
    copy = store.add_turn(store.add_conversation("x", origin="rate"), "Tell of Zebulon.", [Message("user", "x")])
    forgets(store, home, "conversation", conversation_of(store, turn))
    with pytest.raises(UsageError):
        store.turn(copy)
    assert files_with(home.folder, ["Zebulon"]) == {}


def test_deleted_conversations_are_finished_off(store: Store, home: Home) -> None:
    gone, kept = answer(store, "Tell of Zebulon.", "a!", "b"), answer(store, "Two.", "c!", "d")
    store.delete_conversation(conversation_of(store, gone))
    forgets(store, home, "deleted")
    assert store.last_deleted() is None
    assert files_with(home.folder, ["Zebulon"]) == {}
    assert store.turn(kept).prompt == "Two."


# --- a draft ----------------------------------------------------------------------------------------------------


def test_a_draft_goes_with_what_was_said_about_it_and_its_prompt_stays(store: Store, home: Home) -> None:
    left, right = drafts(store, "Describe the sea.", ["Quincunx!", "Marimba."])
    recorder = Recorder(store)
    recorder.pick(right)
    recorder.edit(left, "Zugzwang Quincunx")
    kept = recorder.accept(right, "Marimba.")
    store.keep_unsaved(f"edit of draft {left} in window 2", "Xylophone")
    forgets(store, home, "draft", left)
    assert files_with(home.folder, ["Quincunx", "Zugzwang", "Xylophone"]) == {}
    turn = store.draft(right).turn_id
    assert [act.id for act in store.acts(turn)] == [kept]
    assert store.accepted_text(turn) == "Marimba."
    assert said(store) == []


def test_a_draft_that_was_merged_takes_the_merged_text_along(store: Store, home: Home) -> None:
    left, right = drafts(store, "Describe the sea.", ["Quincunx!", "Marimba."])
    recorder = Recorder(store)
    recorder.merge(right, left, "Marimba. Quincunx!")
    recorder.accept(right, "Marimba. Quincunx! Mine.")
    forgets(store, home, "draft", left)
    assert files_with(home.folder, ["Quincunx"]) == {}


def test_the_last_draft_of_a_prompt_takes_the_prompt_along(store: Store, home: Home) -> None:
    left, right = drafts(store, "Tell of Zebulon.", ["a", "b"])
    forgets(store, home, "draft", left, right)
    assert files_with(home.folder, ["Zebulon"]) == {}
    assert store.counts()["conversations"] == 0


# --- a time, and words ------------------------------------------------------------------------------------------


def test_a_time_takes_what_was_begun_in_it_and_answers_given_in_it(store: Store, home: Home) -> None:
    with time_machine.travel("2026-03-01T12:00:00+00:00"):
        old = answer(store, "Old marimba.", "a!", "b")
        star = store.drafts(old)[0].id
    with time_machine.travel("2026-06-01T12:00:00+00:00"):
        answer(store, "New Zebulon.", "c!", "d")
        Recorder(store).edit(star, "Quincunx in June")
        store.keep_unsaved("composer", "Zugzwang")
    forgets(store, home, "range", after="2026-05-01", before="2026-07-01")
    assert files_with(home.folder, ["Zebulon", "Quincunx", "Zugzwang"]) == {}
    assert [act.kind for act in store.acts(old)] == ["pick"]


def test_a_conversation_that_loses_its_first_turn_gets_another_title(store: Store, home: Home) -> None:
    with time_machine.travel("2026-03-01T12:00:00+00:00"):
        first = answer(store, "Tell of Zebulon.", "Quincunx!", "b")
        Recorder(store).accept(store.drafts(first)[0].id, "Quincunx!")
        conversation = conversation_of(store, first)
    second = go_on(store, conversation, "And now the marimba.", "Kazoo.")
    forgets(store, home, "range", before="2026-04-01")
    assert files_with(home.folder, ["Zebulon", "Quincunx"]) == {}
    assert store.conversation(conversation).title == "And now the marimba."
    assert store.turn(second).messages == (Message("user", "And now the marimba."),)


@pytest.mark.parametrize(
    ("typed", "text", "found"),
    [
        ("anna", "To ÁNNA's house", True),
        ("anna smith", "Smithson and Anna", True),
        ("anna", "Susanna", False),
        ("anna smith", "Anna", False),
        ("straße", "in der STRASSE", True),
        ("日本", "日本語", True),
        ("snake", "a_snake_case", True),
    ],
)
def test_words_are_found_as_a_person_means_them(typed: str, text: str, found: bool) -> None:
    assert words_of(typed)(text) is found


def test_a_search_without_a_word_finds_nothing_by_accident(store: Store) -> None:
    with pytest.raises(UsageError, match="no word"):
        find(store, Wanted("search", words=" ?! "))


def test_a_word_goes_from_wherever_it_stands(store: Store, home: Home) -> None:
    recorder = Recorder(store)
    in_prompt = answer(store, "Write to Zebulon.", "a!", "b")
    in_draft = answer(store, "One.", "Dear zebulon!", "c")
    in_own_version = store.drafts(answer(store, "Two.", "d!", "e"))[0].id
    recorder.edit(in_own_version, "Thanks, Zébulon")
    in_note = store.drafts(answer(store, "Three.", "f!", "g"))[0].id
    recorder.redo(in_note, note="less Zebulon")
    whole = [Message("system", "You are Zebulon's friend."), Message("user", "Hi.")]
    from_another_program = store.add_turn(store.add_conversation("Hi.", origin="write"), "Hi.", whole)
    store.keep_unsaved("composer", "about Zebulon")
    named = answer(store, "Four.", "h!", "i")
    store.rename_conversation(conversation_of(store, named), "For Zebulon")
    stays = answer(store, "Five.", "j!", "k")
    store.delete_conversation(conversation_of(store, in_draft))
    found = forgets(store, home, "search", words="zebulon").marked
    assert {in_prompt, in_draft, from_another_program} < found.turns
    assert len(found.turns) == 5
    assert files_with(home.folder, ["Zebulon", "Zébulon", "zébulon"]) == {}
    assert store.conversation(conversation_of(store, named)).title == "Four."
    assert store.turn(stays).prompt == "Five."


def test_a_later_turn_stays_without_the_exchange_that_had_the_word(store: Store, home: Home) -> None:
    first = answer(store, "Begin.", "Quincunx!", "b")
    Recorder(store).accept(store.drafts(first)[0].id, "Quincunx!")
    second = go_on(store, conversation_of(store, first), "Go on.", "Marimba.")
    assert forgets(store, home, "search", words="quincunx").marked.turns == {first}
    assert store.turn(second).messages == (Message("user", "Go on."),)
    assert files_with(home.folder, ["quincunx", "Quincunx"]) == {}


# --- what else holds it -----------------------------------------------------------------------------------------


def test_cached_vectors_and_digests_go_and_those_of_other_texts_stay(store: Store, home: Home) -> None:
    gone, kept = answer(store, "One.", "a!", "b"), answer(store, "Two.", "c!", "d")
    keys = {text_key(store.turn(turn).messages, text): turn for turn, text in ((gone, "a!"), (gone, ""), (kept, "c!"))}
    store.add_vectors("space", dict.fromkeys([*keys, "of no text"], b"1234"))
    assert store.count_lessons() == 2
    forgets(store, home, "conversation", conversation_of(store, gone))
    assert [keys[key] for key in store.vectors("space", [*keys, "of no text"])] == [kept]
    assert store.count_lessons() == 1


def test_copies_go_and_reports_that_quote(store: Store, home: Home) -> None:
    turn = answer(store, "Tell *Zebulon*\nabout it.", "a!", "b")
    (home.backups).mkdir()
    (home.backups / "penpal.db.before-v6.1").write_bytes(b"Zebulon")
    home.runs.mkdir()
    (home.runs / "quoting.md").write_text("# A new voice\n\n**Tell \\*Zebulon\\* about it.**\n\n> x\n")
    (home.runs / "other.md").write_text("# A new voice\n\n**Tell Bo.**\n\n> y\n")
    removed = forgets(store, home, "conversation", conversation_of(store, turn)).files
    assert [path.name for path in removed] == ["penpal.db.before-v6.1", "quoting.md"]
    assert files_with(home.folder, ["Zebulon"]) == {}
    assert (home.runs / "other.md").exists()


def test_voices_that_were_trained_on_it_are_marked_with_how_much(store: Store, home: Home) -> None:
    first, second = answer(store, "One.", "a!", "b"), answer(store, "Two.", "c!", "d")
    voice(store, "early", store.acts(first)[-1].id)
    voice(store, "late", store.acts(second)[-1].id)
    answer(store, "Three.", "e!", "f")
    assert forgets(store, home, "conversation", conversation_of(store, second)).choices == {"late": 1}
    assert forgets(store, home, "conversation", conversation_of(store, first)).choices == {"early": 1, "late": 1}
    assert store.forgotten_choices() == {"early": 1, "late": 2}


def test_a_private_voice_is_marked_too(store: Store, home: Home) -> None:
    turn_id = answer(store, "One.", "a!", "b")
    voice(store, "private", store.last_act_id(), until="answers_until", made=PRIVATE)
    assert forgets(store, home, "conversation", conversation_of(store, turn_id)).choices == {"private": 1}


def test_answers_about_another_backbones_drafts_mark_a_voice_that_came_along(store: Store, home: Home) -> None:
    turn_id = answer(store, "One.", "a!", "b")
    store.add_backbone("d" * 64, Path("/old.gguf"))
    with store._transaction() as db:
        db.execute("UPDATE drafts SET backbone_id = ?", ["d" * 64])
    voice(store, "mine", store.last_act_id(), made=MIGRATED)
    assert forgets(store, home, "conversation", conversation_of(store, turn_id)).choices == {"mine": 1}


STAYS = {
    "backbones": "where the person's files of weights lie",
    "parity_checks": "numbers about weights",
    "preferences": "a theme, and that the tour was seen",
    "encoders": "numbers; those that were learned here go",
    "_sqlite_migrations": "which schema it is",
}


def test_each_table_is_emptied_or_known_to_hold_nothing_written(store: Store) -> None:
    """A new table fails here until somebody has thought about what it holds."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%\\_fts%' ESCAPE '\\'"
    tables = {row["name"] for row in store._rows(sql, [])}
    assert tables == {*EVERYTHING_GOES_FROM, *STAYS}


def test_everything_leaves_an_empty_home_with_its_settings(store: Store, home: Home) -> None:
    for number in range(30):
        answer(store, f"Zebulon {number}", f"Quincunx {number}!", "Zugzwang")
    voice(store, "mine", store.last_act_id())
    store.activate_encoder("mine", "Zebulon")
    (home.folder / "config.toml").write_text("theme = 'light'\n")
    for file in (home.encoders / "mine.st", home.runs / "1.md", home.folder / "nightly.log"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("Quincunx")
    forgets(store, home, "everything")
    assert files_with(home.folder, ["Zebulon", "Quincunx", "Zugzwang"]) == {}
    assert set(store.counts().values()) == {0}
    assert (store.active_encoder(), store.encoders()) == (None, [])
    assert (home.folder / "config.toml").exists()
    answer(store, "A new start.", "a!", "b")
    assert store.check() == []


# --- not alone, or interrupted ----------------------------------------------------------------------------------


def test_nothing_is_forgotten_while_another_program_has_the_home_open(store: Store, home: Home) -> None:
    turn = answer(store, "Tell of Zebulon.", "a!", "b")
    other = Store(home.database)
    before = store.counts()
    with pytest.raises(BusyError, match=r"Another PenPal has .* open .* Nothing was forgotten yet\."):
        forgets(store, home, "conversation", conversation_of(store, turn))
    assert store.counts() == before
    answer(other, "Both go on.", "c!", "d")
    other.close()
    forgets(store, home, "conversation", conversation_of(store, turn))
    assert files_with(home.folder, ["Zebulon"]) == {}


def test_it_waits_for_one_that_is_about_to_end(store: Store, home: Home) -> None:
    turn, other = answer(store, "Tell of Zebulon.", "a!", "b"), Store(home.database)
    other.counts()
    threading.Timer(0.3, other.close).start()
    wanted = Wanted("conversation", (conversation_of(store, turn),))
    forget(store, home, wanted, key_of=text_key, wait_s=20)
    assert files_with(home.folder, ["Zebulon"]) == {}


def test_nothing_is_forgotten_while_a_run_learns(store: Store, home: Home) -> None:
    turn = answer(store, "Tell of Zebulon.", "a!", "b")
    with run_lock(home), pytest.raises(BusyError, match="Another run is learning"):
        forgets(store, home, "conversation", conversation_of(store, turn))
    assert store.turn(turn)


def test_an_interrupted_one_is_noticed_and_finished(store: Store, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = answer(store, "Tell of Zebulon.", "a!", "b")

    def full(self: Store) -> None:
        raise StoreError("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "sweep", full)
        with pytest.raises(StoreError, match="full"):
            forgets(store, home, "conversation", conversation_of(store, turn))
    assert not store.is_swept()
    finish(store, home)
    assert store.is_swept()
    assert files_with(home.folder, ["Zebulon"]) == {}

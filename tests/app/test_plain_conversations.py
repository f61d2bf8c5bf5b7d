"""`penpal chat --plain` and whole conversations: found, opened, named, deleted, branched off, not learned from."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import app.wiring
from app.plain import Lines
from app.plain_chat import PlainChat
from core.store import Store
from tests.app.conftest import Result, Terminal
from tests.hooked_decoder import BACKBONE_ID, HookedDecoder

Run = Callable[..., Result]
TWO = ("Thank Ann for the cake.", "1", "", "/new", "Ask Bo for the ladder.", "2", "")
"""Two conversations, each with a kept text; the second one is open."""


def titles(store: Store) -> list[str]:
    return [one.title for one in store.conversations()]


def test_everything_that_was_written_is_searched_and_a_place_is_opened(talk: Run) -> None:
    out = talk(*TWO, "/search cake", "/open 1", "/search no such word").out
    assert "Found in 1 place. /open 1 goes to the first.\n1  Thank Ann for the cake. (today" in out
    assert "you asked: Thank Ann for the cake." in out
    opened = out.split("Going on with: Thank Ann for the cake.")[1]
    assert "Prompt 1: Thank Ann for the cake.\nKept:\nA warm and friendly draft." in opened
    assert "Nothing found." in opened


def test_what_goes_on_after_a_search_belongs_to_the_conversation_that_was_opened(talk: Run, store: Store) -> None:
    talk(*TWO, "/search cake", "/open 1", "Now in French, please.")
    assert store.turn(3).conversation_id == store.turn(1).conversation_id


def test_conversations_are_listed_and_read(talk: Run) -> None:
    out = talk(*TWO, "And thank him already.", "1", "", "/list", "/open 1", "/read").out
    assert "1  Ask Bo for the ladder.\n2  Thank Ann for the cake.\n/open 1 opens the first." in out
    read = out.rpartition("Going on with")[2]
    assert read.index("Prompt 1: Ask Bo") < read.index("A dry one.") < read.index("Prompt 2: And thank him already.")


def test_a_conversation_gets_another_name(talk: Run, store: Store) -> None:
    out = talk(*TWO, "/rename The Ladder", "/rename").out
    assert "It is called 'The Ladder' now." in out
    assert "A name needs at least one letter" in out
    assert titles(store)[0] == "The Ladder"


def test_deleting_is_undone(talk: Run, store: Store) -> None:
    out = talk(*TWO, "/delete", "/delete 1", "/list", "/undelete", "/undelete", "/undelete").out
    assert "Deleted: Ask Bo for the ladder. PenPal no longer learns from it. /undelete brings it back." in out
    assert "Deleted: Thank Ann for the cake." in out
    assert "There are none yet." in out
    assert out.index("Back again: Thank Ann") < out.index("Back again: Ask Bo")
    assert "Nothing was deleted" in out
    assert len(titles(store)) == 2


def test_what_was_deleted_teaches_nothing_until_it_is_back(talk: Run, store: Store) -> None:
    talk(*TWO, "/delete", "/delete 1")
    assert store.count_lessons(backbone_id=BACKBONE_ID) == 0
    talk("/undelete")
    assert store.count_lessons(backbone_id=BACKBONE_ID) == 1


def test_an_earlier_prompt_is_said_differently_in_a_branch(talk: Run, store: Store, decoder: HookedDecoder) -> None:
    told = ("Thank Ann for the cake.", "1", "", "Now make it a little warmer.", "2", "")
    out = talk(*told, "/branch 2", "Now make it a little shorter.", "1", "", "/original", "/read").out
    assert "This prompt was: Now make it a little warmer." in out
    origin, branch = store.turn(1).conversation_id, store.turn(3).conversation_id
    assert branch != origin
    assert store.conversation(branch).branch_of == origin
    assert [turn.prompt for turn in store.thread(branch)] == [told[0], "Now make it a little shorter."]
    assert [message.content for message in decoder.asked[-1][0]][:2] == [
        "Thank Ann for the cake.", "A warm and friendly draft.",
    ]  # fmt: skip
    assert titles(store) == ["Now make it a little shorter.", "Thank Ann for the cake."]
    assert "Prompt 2: Now make it a little warmer." in out.rpartition("Going on with")[2]


def test_a_prompt_for_a_branch_that_was_not_sent_waits_there(talk: Run, store: Store) -> None:
    talk("Thank Ann for the cake.", "1", "", "/branch 1", "m", "Thank her,", "and Bo")
    out = talk("").out
    assert "You began this and did not send it: Thank her,\nand Bo" in out
    assert store.turn(2).prompt == "Thank her,\nand Bo"
    assert store.conversation(store.turn(2).conversation_id).branch_of == store.turn(1).conversation_id


def test_undo_in_a_new_branch_leaves_the_original_alone(talk: Run, store: Store) -> None:
    out = talk("Thank Ann for the cake.", "1", "", "/branch 1", "u").out
    assert "There is nothing to take back here." in out
    assert store.accepted_text(1) is not None


def test_learning_is_switched_off_for_one_conversation_before_it_is_there_or_later(talk: Run, store: Store) -> None:
    out = talk("/learning off", "Thank Ann for the cake.", "1", "", "/new", "Ask Bo for the ladder.", "/learning").out
    assert out.count("PenPal learns nothing from this conversation.") == 2
    first, second = store.turn(1).conversation_id, store.turn(2).conversation_id
    assert (store.is_learned_from(first), store.is_learned_from(second)) == (False, False)
    out = talk("/learning on", "/learning maybe").out
    assert "PenPal learns nothing from this conversation. /learning on changes that." in out
    assert "PenPal learns from this conversation." in out
    assert "Type /learning off or /learning on." in out
    assert (store.is_learned_from(first), store.is_learned_from(second)) == (False, True)


def test_help_lists_the_commands_wherever_it_is_asked_for(talk: Run) -> None:
    out = talk("/help", "Thank Ann for the cake.", "/help").out
    for command in ["search", "open", "read", "branch", "original", "rename", "delete", "undelete", "learning"]:
        assert out.count(f"/{command}") >= 2, command


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/read", "There is no conversation yet: the first prompt makes one."),
        ("/open 1", "There is no conversation yet."),
        ("/search", "Say what you are looking for: /search cake."),
        ("/frobnicate", "There is no command '/frobnicate'. /help lists them."),
        ("/delete", "There is no conversation yet: the first prompt makes one."),
        ("/branch", "There is no conversation yet: the first prompt makes one."),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_sends_nothing(
    talk: Run, decoder: HookedDecoder, line: str, said: str
) -> None:
    assert said in talk(line).out
    assert not decoder.asked


def test_numbers_that_are_none_are_answered_with_an_example(talk: Run) -> None:
    out = talk("Thank Ann for the cake.", "1", "", "/branch", "/branch 7", "/original", "/open x").out
    assert "Which prompt? Type its number: /branch 1" in out
    assert "There is no prompt 7: the last one is 1." in out
    assert "This conversation is no branch of another one." in out
    assert "Which conversation? Type its number: /open 2." in out


def test_a_prompt_may_begin_with_a_slash(talk: Run, store: Store) -> None:
    talk("/etc/hosts is a file: what does it do?")
    assert store.turn(1).prompt.startswith("/etc/hosts")


def test_an_earlier_prompt_and_a_merge_open_in_the_editor_of_whoever_types(
    decoder: HookedDecoder, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/Ann/Cleo/" "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    decoder.texts = ("Dear Ann. Thank you.", "Hello Ann. It was good.")
    typed = Terminal("Thank Ann.\n1\n\n/branch 1\n/merge\n1 4\ne\n\n\n")
    with closing(app.wiring.open_penpal()) as penpal:
        assert PlainChat(penpal, Lines(typed, io.StringIO())).run() == 0
    assert [store.turn(turn_id).prompt for turn_id in (1, 2)] == ["Thank Ann.", "Thank Cleo."]
    assert store.accepted_text(2) == "Dear Cleo. It was good."

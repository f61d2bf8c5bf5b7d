"""Redos with a hint: what the decoder reads, and what stays on record."""

from __future__ import annotations

from core.feedback import WRONG_FACT
from core.protocols import Sampling
from core.session import Voice, Writer
from core.store import Store
from tests.scripted_decoder import ScriptedDecoder


def writer(decoder: ScriptedDecoder) -> Writer:
    return Writer(Store(), decoder, Voice(None, None), sampling=Sampling())


def asked(decoder: ScriptedDecoder) -> list[str]:
    return [message.content for message in decoder.asked[-1][0]]


def test_the_decoder_reads_the_hint_and_the_turn_stays_as_it_was() -> None:
    decoder = ScriptedDecoder()
    write = writer(decoder)
    turn_id = write.propose("Write to Tom.").turn_id
    write.propose_again(turn_id, hint=" no \n exclamation marks ").run()
    assert asked(decoder) == ["Write to Tom.\n\nImportant: no exclamation marks."]
    turn = write.store.turn(turn_id)
    assert (turn.prompt, turn.messages[-1].content) == ("Write to Tom.", "Write to Tom.")
    assert [act.note for act in write.store.acts(turn_id)] == ["no exclamation marks"] * 2


def test_a_redo_without_a_hint_keeps_those_before_and_a_wrong_fact_is_none() -> None:
    decoder = ScriptedDecoder()
    write = writer(decoder)
    turn_id = write.propose("Write to Tom.").turn_id
    for hint in ("shorter", None, WRONG_FACT, "shorter"):
        write.propose_again(turn_id, hint=hint).run()
    assert asked(decoder) == ["Write to Tom.\n\nImportant: shorter."]


def test_a_hint_of_white_space_is_none() -> None:
    decoder = ScriptedDecoder()
    write = writer(decoder)
    turn_id = write.propose("Write to Tom.").turn_id
    write.propose_again(turn_id, hint=" ").run()
    assert asked(decoder) == ["Write to Tom."]
    assert [act.note for act in write.store.acts(turn_id)] == [None, None]


def test_where_the_hint_does_not_fit_too_the_oldest_exchange_goes_and_then_the_middle_of_the_prompt() -> None:
    decoder = ScriptedDecoder(room=12)
    write = writer(decoder)
    first = write.propose("one two three").run()
    write.recorder.accept(first[0].id, "four five six")
    conversation_id = write.store.turn(first[0].turn_id).conversation_id
    turn_id = write.propose("seven eight nine ten", conversation_id=conversation_id).turn_id
    write.propose_again(turn_id, hint="much shorter than before").run()
    assert asked(decoder) == ["seven eight nine ten\n\nImportant: much shorter than before."]
    long = write.propose(" ".join("abcdefghijkl")).turn_id
    write.propose_again(long, hint="shorter").run()
    assert asked(decoder)[0].endswith("Important: shorter.")
    assert "[…]" in asked(decoder)[0]

"""Propose, edit, record: rows before words, partial texts, conversations that grow too long."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import core.session
from core.errors import PromptTooLongError, UsageError
from core.protocols import Latent, Message, Sampling
from core.session import Voice, Writer, without_middle
from core.store import Store
from tests.hooked_decoder import HookedDecoder


class Leaning:
    """A personal encoder whose draws show their seed, and that remembers the contexts it is asked for."""

    def __init__(self) -> None:
        self.contexts: list[str] = []

    def mean(self, messages: object, context: str) -> Latent:
        self.contexts.append(context)
        return np.zeros(2, np.float32)

    def sample(self, messages: object, context: str, seed: int) -> Latent:
        self.contexts.append(context)
        return np.full(2, seed, np.float32)


@pytest.fixture
def decoder() -> HookedDecoder:
    return HookedDecoder()


@pytest.fixture
def writer(decoder: HookedDecoder) -> Writer:
    return Writer(Store(), decoder, Voice(Leaning(), None), sampling=Sampling())


@pytest.fixture
def conversation(writer: Writer) -> int:
    return writer.conversation("Hello", origin="chat")


def keep(writer: Writer, conversation: int, prompt: str, text: str) -> None:
    (draft,) = writer.propose(prompt, conversation_id=conversation, drafts=1).run()
    writer.recorder.accept(draft.id, text)


def test_two_drafts_are_written_side_by_side(writer: Writer, conversation: int) -> None:
    left, right = writer.propose("Write.", conversation_id=conversation).run()
    assert (left.text, left.side, left.status) == ("A warm and friendly draft.", 0, "done")
    assert (right.text, right.side, right.tokens) == ("A dry one.", 1, 3)


def test_drafts_are_rows_before_the_first_word(writer: Writer, conversation: int) -> None:
    proposal = writer.propose("Write.", conversation_id=conversation)
    assert [writer.store.draft(i).status for i in proposal.draft_ids] == ["writing", "writing"]


def test_drafts_that_explore_have_latents_of_their_own(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    left, right = writer.propose("Write.", conversation_id=conversation, seed=5).run()
    assert left.seed == 5
    assert right.seed not in (5, 6)
    assert left.z == pytest.approx((left.seed, left.seed))
    assert right.z == pytest.approx((right.seed, right.seed))
    assert [request.seed for request in decoder.asked[0][1]] == [left.seed, right.seed]


def test_drafts_that_do_not_explore_share_the_mean(writer: Writer, conversation: int) -> None:
    drafts = writer.propose("Write.", conversation_id=conversation, explore=False).run()
    assert [draft.z for draft in drafts] == [(0.0, 0.0)] * 2


def test_the_untouched_backbone_drafts_without_latents(decoder: HookedDecoder) -> None:
    writer = Writer(Store(), decoder, Voice(None, None), sampling=Sampling())
    drafts = writer.propose("Write.", conversation_id=writer.conversation("x", origin="chat")).run()
    assert [draft.z for draft in drafts] == [None, None]


@pytest.mark.parametrize("prompt", ["", " \n\t"])
def test_an_empty_prompt_is_refused_and_leaves_no_turn(writer: Writer, conversation: int, prompt: str) -> None:
    with pytest.raises(UsageError, match="There is nothing to write about"):
        writer.propose(prompt, conversation_id=conversation)
    assert writer.store.counts()["turns"] == 0


def test_cancelling_keeps_what_is_written(writer: Writer, conversation: int, decoder: HookedDecoder) -> None:
    words = 0

    def press_escape(number: int) -> None:
        nonlocal words
        words = number

    decoder.before_token = press_escape
    proposal = writer.propose("Write.", conversation_id=conversation)
    list(proposal.stream(cancelled=lambda: words >= 2))
    assert [(d.text, d.status) for d in writer.store.drafts(proposal.turn_id)] == [
        ("A warm", "cancelled"),
        ("A dry", "cancelled"),
    ]


def test_an_error_while_writing_keeps_what_is_written(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    def break_down(number: int) -> None:
        if number == 3:
            raise RuntimeError("out of memory")

    decoder.before_token = break_down
    proposal = writer.propose("Write.", conversation_id=conversation)
    with pytest.raises(RuntimeError):
        proposal.run()
    left, right = writer.store.drafts(proposal.turn_id)
    assert (left.text, left.status) == ("A warm and", "cancelled")
    assert (right.text, right.status) == ("A dry one.", "done")


def test_an_error_before_the_first_word_marks_drafts_as_failed(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    def break_down(number: int) -> None:
        raise RuntimeError("no")

    decoder.before_token = break_down
    proposal = writer.propose("Write.", conversation_id=conversation)
    with pytest.raises(RuntimeError):
        proposal.run()
    assert {draft.status for draft in writer.store.drafts(proposal.turn_id)} == {"failed"}


def test_a_stream_that_nobody_reads_on_is_finished_as_cancelled(writer: Writer, conversation: int) -> None:
    proposal = writer.propose("Write.", conversation_id=conversation)
    stream = proposal.stream()
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert writer.store.drafts(proposal.turn_id)[0].text == "A"
    assert "writing" not in {draft.status for draft in writer.store.drafts(proposal.turn_id)}


def test_partial_text_is_saved_while_it_streams(
    writer: Writer, conversation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.session, "SAVE_EVERY_S", -1.0)
    proposal = writer.propose("Write.", conversation_id=conversation)
    stream = proposal.stream()
    for _ in range(3):
        next(stream)
    assert [draft.text for draft in writer.store.drafts(proposal.turn_id)] == ["A warm", "A"]


def test_a_pick_is_held_against_the_draft_beside_it(writer: Writer, conversation: int) -> None:
    left, right = writer.propose("Write.", conversation_id=conversation).run()
    writer.recorder.pick(right.id)
    (found,) = writer.store.evidence(backbone_id=left.backbone_id)
    assert found.chosen is not None
    assert found.rejected is not None
    assert (found.chosen.text, found.rejected.text) == (right.text, left.text)


def test_a_pick_after_a_redo_is_held_against_all_four(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    first = writer.propose("Write.", conversation_id=conversation)
    first.run()
    decoder.texts = ["A third.", "A fourth."]
    third, fourth = writer.propose_again(first.turn_id).run()
    assert [draft.id for draft in writer.recorder.latest_drafts(first.turn_id)] == [third.id, fourth.id]
    writer.recorder.pick(third.id)
    found = writer.store.evidence(backbone_id=third.backbone_id)
    assert [e.source for e in found] == ["redo", "redo", "pick"]
    assert {e.chosen and e.chosen.text for e in found} == {"A third."}


def test_a_second_redo_after_an_undone_one_shows_what_it_wrote(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    turn_id = writer.propose("Write.", conversation_id=conversation).turn_id
    first = [draft.id for draft in writer.recorder.latest_drafts(turn_id)]
    writer.propose_again(turn_id).run()
    for act in writer.store.acts(turn_id):
        writer.recorder.undo(turn_id, act.id)
    assert [draft.id for draft in writer.recorder.latest_drafts(turn_id)] == first
    written = writer.propose_again(turn_id).run()
    assert writer.recorder.latest_drafts(turn_id) == written


def test_an_edit_leaves_the_draft_as_it_was(writer: Writer, conversation: int) -> None:
    left, _ = writer.propose("Write.", conversation_id=conversation).run()
    assert writer.recorder.edit(left.id, "Mine.") is not None
    assert writer.store.draft(left.id).text == left.text


def test_text_that_differs_by_white_space_at_its_end_is_no_edit(writer: Writer, conversation: int) -> None:
    left, _ = writer.propose("Write.", conversation_id=conversation).run()
    assert writer.recorder.edit(left.id, left.text + "\n") is None
    assert writer.store.acts(left.turn_id) == []


def test_an_empty_edit_is_refused(writer: Writer, conversation: int) -> None:
    left, _ = writer.propose("Write.", conversation_id=conversation).run()
    with pytest.raises(UsageError, match="The edited text is empty"):
        writer.recorder.edit(left.id, " ")


def test_an_undo_takes_an_act_back(writer: Writer, conversation: int) -> None:
    left, _ = writer.propose("Write.", conversation_id=conversation).run()
    writer.recorder.undo(left.turn_id, writer.recorder.pick(left.id))
    assert writer.store.evidence(backbone_id=left.backbone_id) == []


def test_the_conversation_goes_on_from_what_was_kept(writer: Writer, conversation: int, decoder: HookedDecoder) -> None:
    keep(writer, conversation, "First?", "Kept answer.")
    writer.propose("Dropped?", conversation_id=conversation).run()  # nothing of it was kept
    writer.propose("Second?", conversation_id=conversation).run()
    assert decoder.asked[-1][0] == [
        Message("user", "First?"),
        Message("assistant", "Kept answer."),
        Message("user", "Second?"),
    ]


def test_the_oldest_exchanges_go_first_when_a_conversation_gets_too_long(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    keep(writer, conversation, "one", "a b c")
    keep(writer, conversation, "two", "d e f")
    decoder.room = 6
    writer.propose("three", conversation_id=conversation).run()
    assert [message.content for message in decoder.asked[-1][0]] == ["two", "d e f", "three"]


def test_a_prompt_that_is_too_long_is_refused_with_its_size(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    decoder.room = 10
    with pytest.raises(PromptTooLongError, match=r"12 tokens, 10 fit") as caught:
        writer.propose("word " * 12, conversation_id=conversation)
    assert (caught.value.tokens, caught.value.room_tokens) == (12, 10)
    assert writer.store.counts()["turns"] == 0


def test_a_prompt_that_may_be_cut_keeps_its_start_and_its_end(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    decoder.room = 20
    prompt = "Summarize this: " + "middle " * 100 + "in one line."
    proposal = writer.propose(prompt, conversation_id=conversation, cut=True)
    asked = writer.store.turn(proposal.turn_id).prompt
    assert asked.startswith("Summarize this:")
    assert asked.endswith("in one line.")
    assert "[…]" in asked
    assert len(asked.split()) <= 20


@pytest.mark.parametrize(("tag", "stored"), [(None, None), (" ", None), ("My Club ", "my club")])
def test_a_turn_keeps_the_tag_it_is_given(
    writer: Writer, conversation: int, tag: str | None, stored: str | None
) -> None:
    proposal = writer.propose("Write.", conversation_id=conversation, context=tag)
    assert writer.store.turn(proposal.turn_id).context == stored


def test_the_voice_is_told_the_context_of_every_draft(writer: Writer, conversation: int) -> None:
    writer.propose("Write a mail.", conversation_id=conversation)
    turn_id = writer.propose("Write a mail.", conversation_id=conversation, context="club", explore=False).turn_id
    writer.propose_again(turn_id)
    assert isinstance(writer.voice.encoder, Leaning)
    assert writer.voice.encoder.contexts == ["mail"] * 2 + ["club"] * 4


def test_without_middle_keeps_the_share_it_is_told() -> None:
    assert without_middle("aaaaabbbbb", keep=0.4) == "aa\n[…]\nbb"


def test_a_conversation_is_titled_by_its_first_prompt(writer: Writer) -> None:
    writer.conversation("Write to\n my  landlord about the heating that has been broken since May", origin="chat")
    assert writer.store.conversations()[0].title == "Write to my landlord about the heating that has…"


def test_a_long_conversation_keeps_its_start_for_several_turns(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    """Whatever comes before the prompt has to be read anew when the start changes."""
    decoder.room, starts = 40, []
    for number in range(12):
        keep(writer, conversation, f"ask{number}", "four words each time")
        starts.append(decoder.asked[-1][0][0].content)
    changes = sum(a != b for a, b in pairwise(starts))
    assert 0 < changes <= 4


def test_what_is_typed_is_read_ahead_after_the_texts_that_were_kept(
    writer: Writer, conversation: int, decoder: HookedDecoder
) -> None:
    keep(writer, conversation, "one", "a b c")
    waiting = writer.propose("two", conversation_id=conversation)
    waiting.run()
    assert writer.warm("thr", conversation_id=conversation, choice=(waiting.turn_id, "d e f"))
    assert [message.content for message in decoder.warmed[-1]] == ["one", "a b c", "two", "d e f", "thr"]


def test_nothing_is_read_ahead_of_a_text_that_is_too_long(writer: Writer, decoder: HookedDecoder) -> None:
    decoder.room = 10
    assert not writer.warm("word " * 12, conversation_id=None)
    assert decoder.warmed == []

"""Tokens in, text that can be shown out: whole characters, and nothing of a stop sequence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.protocols import Sampling
from models.draft_text import DraftText


def draft(*stops: str, max_tokens: int = 100) -> DraftText:
    return DraftText(Sampling(max_tokens=max_tokens, stop=stops))


def test_plain_text_comes_out_at_once() -> None:
    text = draft()
    assert [text.add(b"Hello"), text.add(b" world")] == ["Hello", " world"]
    assert (text.tokens, text.finish) == (2, "")


def test_a_character_of_several_tokens_comes_out_whole() -> None:
    first, second = "🙂".encode()[:2], "🙂".encode()[2:]
    text = draft()
    assert [text.add(b"a" + first), text.add(second + b"b")] == ["a", "🙂b"]


def test_an_unfinished_character_at_the_end_is_replaced() -> None:
    text = draft()
    text.add("🙂".encode()[:2])
    assert text.end("cancelled") == "\ufffd"


def test_the_possible_start_of_a_stop_is_held_back_until_it_is_none() -> None:
    text = draft("\n\nUser:")
    assert [text.add(b"Hi\n"), text.add(b"\nUs"), text.add(b"ually")] == ["Hi", "", "\n\nUsually"]


def test_a_stop_over_several_tokens_is_cut_off() -> None:
    text = draft("\n\nUser:")
    shown = [text.add(piece) for piece in (b"Hi", b"\n", b"\nUser", b": what")]
    assert shown == ["Hi", "", "", ""]
    assert text.finish == "stop"


def test_held_back_text_is_shown_when_the_draft_ends_otherwise() -> None:
    text = draft("STOP")
    assert [text.add(b"a ST"), text.end("stop")] == ["a ", "ST"]


def test_the_last_token_ends_by_length_and_shows_all() -> None:
    text = draft("STOP", max_tokens=2)
    assert [text.add(b"one"), text.add(b" ST")] == ["one", " ST"]
    assert text.finish == "length"


def test_a_stop_in_the_last_token_is_still_a_stop() -> None:
    text = draft("STOP", max_tokens=1)
    assert (text.add(b"one STOP"), text.finish) == ("one ", "stop")


def test_an_empty_stop_sequence_is_no_stop() -> None:
    text = draft("")
    assert (text.add(b"Hello"), text.finish) == ("Hello", "")


def test_a_character_begun_after_the_stop_is_dropped_with_it() -> None:
    text = draft("0")
    assert text.add(b"1") + text.add("0\x80".encode()[:2]) == "1"


@pytest.mark.parametrize("stops", [("ab", "b"), ("b", "ab")])
def test_with_several_stops_nothing_of_any_is_shown(stops: tuple[str, ...]) -> None:
    text = draft(*stops)
    shown = text.add(b"xxab")
    assert text.finish == "stop"
    assert "b" not in shown


@given(st.text(max_size=60), st.lists(st.integers(1, 7), max_size=60), st.text(min_size=1, max_size=3))
def test_however_it_is_cut_into_tokens_the_text_before_the_stop_comes_out(
    whole: str, cuts: list[int], stop: str
) -> None:
    raw, text, shown, at = whole.encode("utf-8"), draft(stop, max_tokens=10_000), "", 0
    for size in [*cuts, len(raw)]:
        if text.finish or at >= len(raw):
            break
        shown += text.add(raw[at : at + size])
        at += size
    if not text.finish:
        shown += text.end("stop")
    assert shown == whole.partition(stop)[0]

"""Reading a conversation ahead while its last message is typed: what is spared, what it never does."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from core.protocols import DraftRequest, Message, Sampling
from models.decoder_llama import PREFILL_TOKENS, LlamaDecoder
from models.llama_runtime import Entry, LlamaContext
from tests import tiny

GREEDY = Sampling(temperature=0, max_tokens=8)
THREAD = [Message("user", "Write to Ann."), Message("assistant", "Dear Ann, " + "the garden is green. " * 20)]
TYPED = [*THREAD, Message("user", "Now a short note to the ")]
SENT = [*THREAD, Message("user", "Now a short note to the neighbours.")]


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call of llama.cpp was given."""
    seen: list[int] = []
    decode = LlamaContext.decode

    def spy(self: LlamaContext, entries: Sequence[Entry]) -> None:
        seen.append(len(entries))
        decode(self, entries)

    monkeypatch.setattr(LlamaContext, "decode", spy)
    return seen


def written(decoder: LlamaDecoder, messages: Sequence[Message] = SENT) -> list[str]:
    texts = ["", ""]
    requests = [DraftRequest(i, z) for i, z in enumerate(tiny.tiny_latents(2))]
    for chunk in decoder.generate(messages, requests, GREEDY):
        texts[chunk.draft] += chunk.text
    return texts


def test_what_was_read_ahead_is_not_read_again(tiny_llama: LlamaDecoder, blocks: list[int]) -> None:
    assert tiny_llama.warm(TYPED)
    blocks.clear()
    reads: list[tuple[int, int]] = []
    next(tiny_llama.generate(SENT, [DraftRequest(0)], GREEDY, on_prefill=lambda *read: reads.append(read)))
    added = tiny_llama.count_tokens(SENT) - tiny_llama.count_tokens(TYPED)
    # The end of the template after the last message, and a word that was half typed, cannot be known before.
    assert reads[-1][1] <= added + 12 < tiny_llama.count_tokens(SENT) / 4


def test_a_prompt_typed_to_its_end_leaves_only_the_template_to_read(
    tiny_llama: LlamaDecoder, blocks: list[int]
) -> None:
    tiny_llama.warm(SENT)
    blocks.clear()
    next(tiny_llama.generate(SENT, [DraftRequest(0)], GREEDY))
    assert sum(blocks) <= 16


def test_the_same_drafts_come_out(tiny_llama: LlamaDecoder) -> None:
    cold = written(tiny_llama)
    tiny_llama.warm([Message("user", "something else")])
    tiny_llama.warm(TYPED)
    assert written(tiny_llama) == cold


def test_reading_ahead_again_reads_only_what_is_new(tiny_llama: LlamaDecoder, blocks: list[int]) -> None:
    tiny_llama.warm(TYPED)
    blocks.clear()
    assert tiny_llama.warm(TYPED)
    assert blocks == []
    tiny_llama.warm(SENT)
    assert 0 < sum(blocks) < 20


def test_it_stops_when_told_and_goes_on_from_there(tiny_llama: LlamaDecoder, blocks: list[int]) -> None:
    assert not tiny_llama.warm(TYPED, cancelled=lambda: len(blocks) == 2)
    assert blocks == [PREFILL_TOKENS] * 2
    assert tiny_llama.warm(TYPED)
    assert sum(blocks) < tiny_llama.count_tokens(TYPED)


def test_drafts_wait_for_one_block_at_most(tiny_llama: LlamaDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[str] = []
    decode = LlamaContext.decode
    reading = threading.Event()

    def slowly(self: LlamaContext, entries: Sequence[Entry]) -> None:
        blocks.append(threading.current_thread().name)
        reading.set()
        time.sleep(0.05)
        decode(self, entries)

    monkeypatch.setattr(LlamaContext, "decode", slowly)
    ahead: list[bool] = []
    thread = threading.Thread(target=lambda: ahead.append(tiny_llama.warm(TYPED)), name="ahead")
    thread.start()
    assert reading.wait(10)
    next(tiny_llama.generate([Message("user", "Hello")], [DraftRequest(0)], GREEDY))
    thread.join(10)
    assert ahead == [False]
    assert blocks.count("ahead") <= 2


def test_it_does_nothing_while_drafts_are_written(tiny_llama: LlamaDecoder, blocks: list[int]) -> None:
    stream = tiny_llama.generate([Message("user", "Hello")], [DraftRequest(0)], GREEDY)
    next(stream)
    blocks.clear()
    assert not tiny_llama.warm(TYPED)
    assert blocks == []
    stream.close()


def test_a_text_that_does_not_fit_is_left_alone(tiny_llama: LlamaDecoder, blocks: list[int]) -> None:
    assert not tiny_llama.warm([Message("user", "garden " * 5000)])
    assert blocks == []

"""The llama.cpp decoder on a tiny file: one prefill, batches, seeds, stops, cancelling, and what it leaves behind."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from core.errors import LatentStateError, PromptTooLongError, UsageError
from core.protocols import Chunk, DraftRequest, Finish, Message, Sampling
from models.backbone import Backbone
from models.checkpoint import Arrays
from models.decoder_llama import MAX_DRAFTS, PREFILL_TOKENS, PROMPT, LlamaDecoder, log_softmax
from models.llama_runtime import Entry, LlamaContext, LlamaModel
from tests import tiny

HELLO = [Message("user", "Hello")]
GREEDY = Sampling(temperature=0, max_tokens=12)
WARM = Sampling(temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=12)


class Decodes(list[list[Entry]]):
    """Every batch that llama.cpp was given."""

    def tokens_of(self, sequence: int) -> int:
        return sum(entry.sequence == sequence for batch in self for entry in batch)


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Decodes:
    seen = Decodes()
    decode = LlamaContext.decode

    def spy(self: LlamaContext, entries: Sequence[Entry]) -> None:
        seen.append(list(entries))
        decode(self, entries)

    monkeypatch.setattr(LlamaContext, "decode", spy)
    return seen


def finished(chunks: Iterator[Chunk], drafts: int) -> tuple[list[str], list[Finish]]:
    texts, finishes = [""] * drafts, [[] for _ in range(drafts)]
    for chunk in chunks:
        texts[chunk.draft] += chunk.text
        if chunk.finish:
            finishes[chunk.draft].append(chunk.finish)
    assert all(len(ends) == 1 for ends in finishes), "each draft ends exactly once"
    return texts, [ends[0] for ends in finishes]


def write(
    decoder: LlamaDecoder,
    requests: Sequence[DraftRequest],
    sampling: Sampling = GREEDY,
    messages: Sequence[Message] = HELLO,
) -> list[str]:
    return finished(decoder.generate(messages, requests, sampling), len(requests))[0]


def after(calls: int) -> Callable[[], bool]:
    """A `cancelled` that says yes after so many times no."""
    asked = count(1)
    return lambda: next(asked) > calls


def sequences_in_use(decoder: LlamaDecoder) -> set[int]:
    """Sequences whose state is longer than that of one that was never used."""
    empty = len(decoder._context.state(2 * MAX_DRAFTS))
    return {s for s in range(1 + 2 * MAX_DRAFTS) if len(decoder._context.state(s)) > empty}


def test_prompt_is_prefilled_once_for_all_drafts(tiny_llama: LlamaDecoder, decodes: Decodes) -> None:
    latents = tiny.tiny_latents(4)
    write(tiny_llama, [DraftRequest(i, z) for i, z in enumerate(latents)])
    assert decodes.tokens_of(PROMPT) == tiny_llama.count_tokens(HELLO) - 1
    # All drafts in one batch: the first batch after the prefill holds one entry of each.
    first = next(batch for batch in decodes if batch[0].sequence != PROMPT)
    assert sorted(entry.sequence for entry in first) == [1, 2, 3, 4]


def test_common_start_of_two_prompts_is_reused(tiny_llama: LlamaDecoder, decodes: Decodes) -> None:
    first, second = ([Message("user", f"Write a note about the garden and {what}")] for what in ("the dog", "trains"))
    write(tiny_llama, [DraftRequest(0)], messages=first)
    decodes.clear()
    text = write(tiny_llama, [DraftRequest(0)], messages=second)
    shared = sum(a == b for a, b in zip(*(tiny_llama._ids(m) for m in (first, second)), strict=False))
    assert 0 < decodes.tokens_of(PROMPT) < tiny_llama.count_tokens(second) - shared + 5
    decodes.clear()
    assert write(tiny_llama, [DraftRequest(0)], messages=second) == text
    assert decodes.tokens_of(PROMPT) == 0


def test_a_reused_prefix_changes_nothing(tiny_backbone: Backbone, tiny_clap: Arrays, tiny_folder: Path) -> None:
    longer = [Message("user", "Hello neighbours, the garden and the noisy dog")]
    request = [DraftRequest(0, tiny.tiny_latents(1)[0])]
    fresh, used = (tiny.llama_decoder(tiny_backbone, tiny_clap, tiny_folder) for _ in range(2))
    write(used, request)
    assert write(used, request, messages=longer) == write(fresh, request, messages=longer)
    fresh.close()
    used.close()


def test_prefill_tells_how_far_it_is(tiny_llama: LlamaDecoder) -> None:
    told: list[tuple[int, int]] = []
    messages = [Message("user", "the garden " * 100)]
    stream = tiny_llama.generate(messages, [DraftRequest(0)], GREEDY, on_prefill=lambda *at: told.append(at))
    finished(stream, 1)
    total = tiny_llama.count_tokens(messages) - 1
    assert len(told) > 1
    assert told[0] == (PREFILL_TOKENS, total)
    assert told[-1] == (total, total)


def test_same_seed_writes_the_same_and_another_seed_does_not(tiny_llama: LlamaDecoder) -> None:
    one, again, other = (write(tiny_llama, [DraftRequest(seed)], WARM) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_draft_does_not_depend_on_its_place_in_the_batch(tiny_llama: LlamaDecoder) -> None:
    a, b = tiny.tiny_latents(2)
    assert (
        write(tiny_llama, [DraftRequest(5, a), DraftRequest(6, b)], WARM)
        == write(tiny_llama, [DraftRequest(6, b), DraftRequest(5, a)], WARM)[::-1]
    )


def test_untouched_drafts_stand_beside_latent_ones(tiny_llama: LlamaDecoder) -> None:
    z = tiny.tiny_latents(1)[0]
    requests = [DraftRequest(0), DraftRequest(0, z), DraftRequest(0)]
    bare, latent, bare_again = write(tiny_llama, requests)
    assert [bare] == write(tiny_llama, [DraftRequest(0)])
    assert [latent] == write(tiny_llama, [DraftRequest(0, z)])
    assert bare == bare_again != latent


def test_a_decoder_without_adapter_drafts_like_the_backbone_and_refuses_latents(
    tiny_backbone: Backbone, tiny_folder: Path, tiny_llama: LlamaDecoder
) -> None:
    generic = tiny.llama_decoder(tiny_backbone, None, tiny_folder)
    assert not generic.has_latents
    assert write(generic, [DraftRequest(0)]) == write(tiny_llama, [DraftRequest(0)])
    with pytest.raises(LatentStateError, match="no latent space"):
        write(generic, [DraftRequest(0, tiny.tiny_latents(1)[0])])
    assert sequences_in_use(generic) <= {PROMPT}
    generic.close()


def test_a_restored_state_that_reads_back_otherwise_is_refused(
    tiny_llama: LlamaDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = LlamaContext.state
    monkeypatch.setattr(LlamaContext, "state", lambda self, sequence: state(self, sequence)[:-2] + b"\x01\x02")
    with pytest.raises(LatentStateError, match="restored other"):
        write(tiny_llama, [DraftRequest(0, tiny.tiny_latents(1)[0])])
    monkeypatch.undo()
    assert sequences_in_use(tiny_llama) <= {PROMPT}


def test_stop_sequence_ends_the_draft_and_is_never_shown(tiny_llama: LlamaDecoder) -> None:
    [text] = write(tiny_llama, [DraftRequest(0)])
    stop = text[4:7]
    at = text.index(stop)
    stopping = Sampling(temperature=0, max_tokens=12, stop=(stop,))
    shown = ""
    for chunk in tiny_llama.generate(HELLO, [DraftRequest(0)], stopping):
        shown += chunk.text
        # Held back: never more is shown than what comes before the stop.
        assert text[:at].startswith(shown)
    assert (shown, chunk.finish) == (text[:at], "stop")


def test_max_tokens_ends_a_draft_by_length(tiny_llama: LlamaDecoder) -> None:
    chunks = list(tiny_llama.generate(HELLO, [DraftRequest(0)], GREEDY))
    assert (chunks[-1].tokens, chunks[-1].finish) == (GREEDY.max_tokens, "length")


def test_end_token_stops_one_draft_and_not_the_other(tiny_llama: LlamaDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = tiny.tiny_latents(2)
    requests = [DraftRequest(0, a), DraftRequest(0, b)]
    before = write(tiny_llama, requests)
    asked = count(1)
    # Asked of each draft in turn: the fifth time is the third token of the first draft.
    monkeypatch.setattr(LlamaModel, "ends_text", lambda self, token: next(asked) == 5)
    texts, finishes = finished(tiny_llama.generate(HELLO, requests, GREEDY), 2)
    assert finishes[0] == "stop"
    assert 0 < len(texts[0]) < len(before[0])
    assert before[0].startswith(texts[0])
    assert (texts[1], finishes[1]) == (before[1], "length")


@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_cancelling_takes_effect_within_one_token(tiny_llama: LlamaDecoder, decodes: Decodes, tokens: int) -> None:
    write(tiny_llama, [DraftRequest(0)])  # the prompt is in the cache: no prefill asks
    decodes.clear()
    requests = [DraftRequest(0), DraftRequest(1)]
    texts, finishes = finished(tiny_llama.generate(HELLO, requests, GREEDY, cancelled=after(tokens)), 2)
    assert finishes == ["cancelled", "cancelled"]
    assert len(decodes) == tokens
    assert all((text != "") is (tokens > 0) for text in texts)


def test_cancelling_during_the_prefill_stops_it_and_the_rest_is_done_later(
    tiny_llama: LlamaDecoder, decodes: Decodes
) -> None:
    messages = [Message("user", "the garden " * 100)]
    texts, finishes = finished(
        tiny_llama.generate(messages, [DraftRequest(0), DraftRequest(1)], GREEDY, cancelled=after(1)), 2
    )
    assert (texts, finishes) == (["", ""], ["cancelled", "cancelled"])
    assert decodes.tokens_of(PROMPT) == PREFILL_TOKENS
    write(tiny_llama, [DraftRequest(0)], messages=messages)
    assert decodes.tokens_of(PROMPT) == tiny_llama.count_tokens(messages) - 1


def test_too_long_a_prompt_says_how_much_fits(tiny_llama: LlamaDecoder, decodes: Decodes) -> None:
    messages = [Message("user", "garden " * 2000)]
    room = tiny_llama.room_tokens(GREEDY)
    with pytest.raises(PromptTooLongError, match=f"{room} fit") as caught:
        write(tiny_llama, [DraftRequest(0)], messages=messages)
    assert (caught.value.tokens, caught.value.room_tokens) == (tiny_llama.count_tokens(messages), room)
    with pytest.raises(PromptTooLongError):
        tiny_llama.likelihood(messages, "yes")
    assert decodes == []


def test_the_longest_prompt_that_fits_leaves_room_for_a_full_batch(tiny_llama: LlamaDecoder) -> None:
    sampling = Sampling(temperature=0, max_tokens=40)
    words = 1
    while tiny_llama.count_tokens([Message("user", "a" * (words + 1))]) <= tiny_llama.room_tokens(sampling):
        words += 1
    messages = [Message("user", "a" * words)]
    latents = tiny.tiny_latents(MAX_DRAFTS)
    _, finishes = finished(
        tiny_llama.generate(messages, [DraftRequest(i, z) for i, z in enumerate(latents)], sampling), MAX_DRAFTS
    )
    assert "cancelled" not in finishes


@pytest.mark.parametrize("drafts", [0, MAX_DRAFTS + 1])
def test_no_drafts_or_too_many_are_refused(tiny_llama: LlamaDecoder, drafts: int) -> None:
    with pytest.raises(UsageError, match=f"not {drafts}"):
        write(tiny_llama, [DraftRequest(i) for i in range(drafts)])


def test_an_abandoned_generator_frees_its_sequences(tiny_llama: LlamaDecoder) -> None:
    stream = tiny_llama.generate(HELLO, [DraftRequest(i, z) for i, z in enumerate(tiny.tiny_latents(3))], GREEDY)
    next(stream)
    assert {1, 2, 3, 1 + MAX_DRAFTS} <= sequences_in_use(tiny_llama)
    del stream
    gc.collect()
    assert sequences_in_use(tiny_llama) == {PROMPT}
    assert len(write(tiny_llama, [DraftRequest(0)])) == 1


def test_nothing_stays_in_the_cache_but_the_prompt(tiny_llama: LlamaDecoder) -> None:
    write(tiny_llama, [DraftRequest(i, z) for i, z in enumerate(tiny.tiny_latents(MAX_DRAFTS))])
    tiny_llama.likelihood(HELLO, " I hope so.", tiny.tiny_latents(1)[0])
    assert sequences_in_use(tiny_llama) == {PROMPT}


def test_likelihood_reads_a_long_response_in_blocks(tiny_llama: LlamaDecoder) -> None:
    response = "the garden " * 100
    rows = tiny_llama.log_probs(HELLO, response, None)
    ids = tiny_llama._model.tokenize(response)
    assert len(ids) > PREFILL_TOKENS
    assert rows.shape == (len(ids), tiny.VOCAB_SIZE)
    expected = -sum(row[i] for row, i in zip(rows, ids, strict=True))
    assert tiny_llama.likelihood(HELLO, response).nll == pytest.approx(expected, rel=1e-5)


def test_log_softmax_sums_to_one_and_survives_large_logits() -> None:
    rows = log_softmax(np.array([[1000.0, 1000.0, -1000.0], [0.0, 1.0, 2.0]], np.float32))
    np.testing.assert_allclose(np.exp(rows).sum(-1), 1, rtol=1e-6)
    assert rows[0, 0] == pytest.approx(np.log(0.5))


def test_a_backbone_is_named_and_its_device_told(tiny_llama: LlamaDecoder, tiny_backbone: Backbone) -> None:
    assert tiny_llama.backbone_id == tiny_backbone.id
    assert "CPU" in tiny_llama.device


def test_closing_while_another_thread_writes_ends_its_drafts_first(
    tiny_backbone: Backbone, tiny_clap: Arrays, tiny_folder: Path
) -> None:
    decoder = tiny.llama_decoder(tiny_backbone, tiny_clap, tiny_folder)
    started, finishes = threading.Event(), list[Finish]()

    def slowly() -> bool:
        started.set()
        time.sleep(0.2)
        return False

    def write_on() -> None:
        finishes.extend(c.finish for c in decoder.generate(HELLO, [DraftRequest(1)], WARM, cancelled=slowly))

    thread = threading.Thread(target=write_on)
    thread.start()
    assert started.wait(10)
    decoder.close()
    thread.join(10)
    assert not thread.is_alive()
    assert finishes[-1] == "cancelled"
    late = list(decoder.generate(HELLO, [DraftRequest(1)], WARM))
    assert [chunk.finish for chunk in late] == ["cancelled"]

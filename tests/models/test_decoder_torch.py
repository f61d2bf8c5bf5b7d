"""The reference decoder: its draws, its ends, and that it counts like llama.cpp."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from core.errors import PromptTooLongError
from core.protocols import Chunk, DraftRequest, Message, Sampling
from models.decoder_torch import TorchDecoder, draw_token
from tests import tiny

HELLO = [Message("user", "Hello")]
GREEDY = Sampling(temperature=0, max_tokens=6)
LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def draws(sampling: Sampling, number: int = 2000) -> list[int]:
    random = torch.Generator().manual_seed(0)
    return [draw_token(LOGITS, sampling, random) for _ in range(number)]


def test_no_temperature_takes_the_most_probable_token() -> None:
    assert set(draws(Sampling(temperature=0), 5)) == {0}


@pytest.mark.parametrize(
    ("top_p", "min_p", "possible"), [(1, 0, {0, 1, 2, 3}), (0.75, 0, {0, 1}), (1, 0.25, {0, 1, 2}), (0.1, 0, {0})]
)
def test_top_p_and_min_p_leave_improbable_tokens_out(top_p: float, min_p: float, possible: set[int]) -> None:
    assert set(draws(Sampling(temperature=1, top_p=top_p, min_p=min_p))) == possible


def test_temperature_sharpens_what_is_left() -> None:
    """At temperature 1/2 shares are squared: 0.25 of 0.25 + 0.09 + 0.0225 + 0.0025."""
    tokens = draws(Sampling(temperature=0.5, top_p=1, min_p=0))
    assert tokens.count(0) / len(tokens) == pytest.approx(0.25 / 0.365, abs=0.03)


def test_every_draft_ends_once_however_the_others_end(tiny_torch: TorchDecoder) -> None:
    requests = [DraftRequest(i, z) for i, z in enumerate(tiny.tiny_latents(3))]
    warm = Sampling(temperature=1, max_tokens=10, stop=(" ", "e"))
    chunks = list(tiny_torch.generate(HELLO, requests, warm))
    ends = [chunk for chunk in chunks if chunk.finish]
    assert sorted(chunk.draft for chunk in ends) == [0, 1, 2]
    assert all(chunks.index(end) == max(i for i, c in enumerate(chunks) if c.draft == end.draft) for end in ends)


def test_same_seed_writes_the_same(tiny_torch: TorchDecoder) -> None:
    warm = Sampling(temperature=1, max_tokens=10)
    one, again, other = (list(tiny_torch.generate(HELLO, [DraftRequest(seed)], warm)) for seed in (1, 1, 2))
    assert one == again != other


def test_cancelling_takes_effect_within_one_token(tiny_torch: TorchDecoder) -> None:
    asked = count()
    chunks = list(
        tiny_torch.generate(HELLO, [DraftRequest(0), DraftRequest(1)], GREEDY, cancelled=lambda: next(asked) == 3)
    )
    assert [(c.draft, c.tokens, c.finish) for c in chunks[-2:]] == [(0, 3, "cancelled"), (1, 3, "cancelled")]


def test_too_long_a_prompt_says_how_much_fits(tiny_torch: TorchDecoder) -> None:
    messages = [Message("user", "garden " * 2000)]
    with pytest.raises(PromptTooLongError, match=f"{tiny_torch.room_tokens(GREEDY)} fit"):
        list(tiny_torch.generate(messages, [DraftRequest(0)], GREEDY))


def test_prefill_is_told_once(tiny_torch: TorchDecoder) -> None:
    told: list[tuple[int, int]] = []
    chunks: list[Chunk] = list(
        tiny_torch.generate(HELLO, [DraftRequest(0)], GREEDY, on_prefill=lambda *at: told.append(at))
    )
    assert chunks
    assert told == [(tiny_torch.count_tokens(HELLO),) * 2]

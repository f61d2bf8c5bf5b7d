"""torch and llama.cpp read the same tiny file the same way: with and without latents, alone and in a batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from core.protocols import DraftRequest, Likelihood, Message, Sampling
from models import parity
from models.checkpoint import Arrays
from models.decoder_llama import LlamaDecoder
from models.decoder_torch import TorchDecoder
from tests import tiny

MAX_KL = 1e-3
GREEDY = Sampling(temperature=0, max_tokens=24)
SHORT = [Message("user", "Hello")]
LONG = [Message("system", "Be brief."), Message("user", "Write to the neighbours about the garden. " * 8)]


@pytest.fixture(
    scope="module",
    params=[("f32", True), ("f32", False), ("f16", True), ("f16", False)],
    ids=lambda p: f"{p[0]} {'flash' if p[1] else 'no flash'}",
)
def both(
    request: pytest.FixtureRequest, tiny_clap: Arrays, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TorchDecoder, LlamaDecoder]]:
    kind: Literal["f32", "f16"]
    kind, flash = request.param
    folder = tmp_path_factory.mktemp("parity")
    backbone = tiny.write_tiny_backbone(folder, kind)
    decoder = tiny.llama_decoder(backbone, tiny_clap, folder, flash_attention=flash)
    yield tiny.torch_decoder(backbone, tiny_clap), decoder
    decoder.close()


@pytest.fixture(scope="module")
def tiny_pair(
    tiny_torch: TorchDecoder, tiny_clap: Arrays, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TorchDecoder, LlamaDecoder]]:
    folder = tmp_path_factory.mktemp("pair")
    decoder = tiny.llama_decoder(tiny.write_tiny_backbone(folder), tiny_clap, folder)
    yield tiny_torch, decoder
    decoder.close()


def test_same_latents_agree_and_different_ones_differ_ten_times_more(both: tuple[TorchDecoder, LlamaDecoder]) -> None:
    found = parity.parity_between(*both, tiny.LATENT_SIZE)
    assert found.same < MAX_KL
    assert found.other > 10 * found.same
    assert found.other > MAX_KL


@pytest.mark.parametrize("messages", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("with_latent", [True, False], ids=["latent", "no latent"])
def test_prompts_of_any_length_agree(
    both: tuple[TorchDecoder, LlamaDecoder], messages: list[Message], with_latent: bool
) -> None:
    z = tiny.tiny_latents(1)[0] if with_latent else None
    reference, found = (decoder.log_probs(messages, parity.RESPONSE, z) for decoder in both)
    assert parity.kl(reference, found) < MAX_KL


def test_a_latent_changes_what_follows(both: tuple[TorchDecoder, LlamaDecoder]) -> None:
    _, llama = both
    with_z, without = (llama.log_probs(SHORT, parity.RESPONSE, z) for z in (tiny.tiny_latents(1)[0], None))
    assert parity.kl(without, with_z) > 10 * MAX_KL


def test_likelihoods_agree(tiny_pair: tuple[TorchDecoder, LlamaDecoder]) -> None:
    for z in (None, tiny.tiny_latents(1)[0]):
        reference, found = (decoder.likelihood(SHORT, " I hope so.", z) for decoder in tiny_pair)
        assert reference.tokens == found.tokens
        assert found.nll == pytest.approx(reference.nll, abs=0.05)


def test_likelihood_of_nothing_is_nothing(tiny_pair: tuple[TorchDecoder, LlamaDecoder]) -> None:
    for decoder in tiny_pair:
        assert decoder.likelihood(SHORT, "") == Likelihood(nll=0.0, tokens=0)


def drafts(decoder: TorchDecoder | LlamaDecoder, requests: list[DraftRequest]) -> list[str]:
    texts = [""] * len(requests)
    for chunk in decoder.generate(SHORT, requests, GREEDY):
        texts[chunk.draft] += chunk.text
    return texts


def test_two_latents_in_one_batch_write_what_each_writes_alone(both: tuple[TorchDecoder, LlamaDecoder]) -> None:
    for decoder in both:
        requests = [DraftRequest(0, z) for z in tiny.tiny_latents(2)]
        alone = [drafts(decoder, [request])[0] for request in requests]
        assert drafts(decoder, requests) == alone
        assert alone[0] != alone[1]


def test_both_decoders_write_the_same_greedy_drafts(tiny_pair: tuple[TorchDecoder, LlamaDecoder]) -> None:
    torch_decoder, llama = tiny_pair
    for z in (None, *tiny.tiny_latents(2)):
        # The first characters: with such a flat model, f16 cache entries may turn a near tie later on.
        assert drafts(torch_decoder, [DraftRequest(0, z)])[0][:6] == drafts(llama, [DraftRequest(0, z)])[0][:6]


@pytest.mark.parametrize(
    "text",
    [
        "Hello world",
        " leading and trailing  ",
        "tabs\tand\n\nnew lines\r\n",
        "In 2024 we had 12345 things, 3.14%",
        "don't I'll they've WE'RE",
        "naïve café Zürich, e\u0301 combining, 日本語, नमस्ते, ½²³",
        "emoji 🙂👍🏽👨‍👩‍👧 ok",
        "<|im_start|>user\nhi<|im_end|>\n",
        "",
    ],
)
def test_both_tokenizers_are_equal(tiny_pair: tuple[TorchDecoder, LlamaDecoder], text: str) -> None:
    torch_decoder, llama = tiny_pair
    ids = llama._model.tokenize(text)
    assert torch_decoder._tokenizer(text, add_special_tokens=False).input_ids == ids
    assert b"".join(llama._model.piece(i) for i in ids) == b"".join(torch_decoder._piece(i) for i in ids)


def test_kl_of_known_distributions() -> None:
    p, q = (np.log(np.array([[share, 1 - share]], np.float32)) for share in (0.5, 0.25))
    assert parity.kl(p, p) == pytest.approx(0, abs=1e-7)
    assert parity.kl(p, q) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75), abs=1e-6)


def test_compare_takes_the_worst_agreement_and_the_smallest_difference() -> None:
    a, b, c = (np.log(np.array([[share, 1 - share]], np.float32)) for share in (0.5, 0.25, 0.01))
    found = parity.compare(np.stack([a, c]), np.stack([b, c]))
    assert found.same == pytest.approx(parity.kl(a, b))
    assert found.other == pytest.approx(min(parity.kl(a, c), parity.kl(c, b)))


def test_another_tokenizer_is_no_parity() -> None:
    zeros = np.zeros((2, 3, 4), np.float32)
    assert not parity.compare(zeros, zeros[:, :2]).passed


@pytest.mark.parametrize(
    ("same", "other", "passed"),
    [(0.005, 0.24, True), (0.021, 9.0, False), (0.005, 0.04, False), (0.0, 0.0, False)],
)
def test_parity_needs_agreement_and_contrast(same: float, other: float, passed: bool) -> None:
    assert parity.Parity(same, other).passed is passed


def test_published_reference_is_compared_without_torch(
    tiny_pair: tuple[TorchDecoder, LlamaDecoder], tiny_clap: Arrays, tmp_path: Path
) -> None:
    torch_decoder, llama = tiny_pair
    reference = parity.reference_log_probs(torch_decoder, tiny.LATENT_SIZE).astype(np.float16)
    found = parity.parity_with_reference(llama, {**tiny_clap, "parity.log_probs": reference})
    assert found.same < parity.MAX_KL
    assert found.other > found.same

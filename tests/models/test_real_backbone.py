"""The embedded backbone itself: llama.cpp writes what torch writes, and the released CLaP is what it should be.

Slow: 135M parameters in fp32 beside the GGUF, about a minute on two cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from core.files import file_sha256
from core.protocols import DraftRequest, Message, Sampling
from models import parity
from models.adapter import Adapter, prompt_caches
from models.backbone import EMBEDDED_SHA256, Backbone, open_backbone
from models.checkpoint import Arrays, read_arrays
from models.clap import response_log_likelihood
from models.decoder_llama import LlamaDecoder
from models.decoder_torch import TorchDecoder
from models.llama_runtime import write_gguf_as
from tests import tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RELEASED = Path(__file__).parents[2] / "models" / "pretrained" / "smollm2-135m-instruct.clap.safetensors"
MAX_RELEASED_BYTES = 32 * 2**20


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return open_backbone()


@pytest.fixture(scope="module")
def clap() -> Arrays:
    return read_arrays(RELEASED)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def reference(backbone: Backbone, clap: Arrays) -> TorchDecoder:
    return tiny.torch_decoder(backbone, clap)


@pytest.fixture(scope="module", params=[True, False], ids=["flash", "no flash"])
def quantized(request: pytest.FixtureRequest, backbone: Backbone, clap: Arrays, folder: Path) -> Iterator[LlamaDecoder]:
    decoder = tiny.llama_decoder(backbone, clap, folder, flash_attention=request.param)
    yield decoder
    decoder.close()


def test_quantized_llama_cpp_writes_what_torch_writes(reference: TorchDecoder, quantized: LlamaDecoder) -> None:
    found = parity.parity_between(reference, quantized, parity_size(quantized))
    assert found.same < 0.02
    assert found.other > 10 * found.same


def test_quantization_costs_as_much_without_a_latent(reference: TorchDecoder, quantized: LlamaDecoder) -> None:
    bare = [decoder.log_probs(parity.MESSAGES, parity.RESPONSE, None) for decoder in (reference, quantized)]
    assert parity.kl(*bare) < 0.02


def test_published_reference_is_passed_without_torch(quantized: LlamaDecoder, clap: Arrays) -> None:
    found = parity.parity_with_reference(quantized, clap)
    assert found.passed, found


def test_drafts_of_one_batch_are_those_made_alone(quantized: LlamaDecoder) -> None:
    greedy = Sampling(temperature=0, max_tokens=24)
    requests = [DraftRequest(0, z) for z in parity.parity_latents(parity_size(quantized))]

    def write(some: list[DraftRequest]) -> list[str]:
        texts = [""] * len(some)
        for chunk in quantized.generate(parity.MESSAGES, some, greedy):
            texts[chunk.draft] += chunk.text
        return texts

    together, alone = write(requests), [write([request])[0] for request in requests]
    assert together[0] != together[1]
    # Batches round differently, which may turn a near tie after some words.
    alike = [one[:20] == other[:20] for one in together for other in alone]
    assert alike[0] or alike[3]
    assert not alike[1]
    assert not alike[2]


@pytest.mark.parametrize("flash_attention", [True, False], ids=["flash", "no flash"])
def test_an_f16_file_of_the_same_weights_is_nearly_exact(
    reference: TorchDecoder, backbone: Backbone, clap: Arrays, folder: Path, flash_attention: bool
) -> None:
    path = write_gguf_as(backbone.path, folder / "dense.f16.gguf", "F16")
    dense = Backbone(path, file_sha256(path))
    decoder = tiny.llama_decoder(dense, clap, folder, flash_attention=flash_attention)
    found = parity.parity_between(reference, decoder, parity_size(decoder))
    decoder.close()
    assert found.same < 1e-3
    assert found.other > 10 * found.same


def test_both_tokenizers_are_equal(reference: TorchDecoder, quantized: LlamaDecoder) -> None:
    for text in (
        "Hello world,  two  spaces\tand\n\nlines\r\n ",
        "In 2024 we had 12345 things, 3.14%; don't WE'RE they'll",
        "naïve café Zürich, e\u0301, 日本語, नमस्ते, ½²³, ١٢٣, 🙂👍🏽👨‍👩‍👧",
        "<|im_start|>user\nhi<|im_end|>\n<repo_name>",
    ):
        ids = quantized._model.tokenize(text)
        assert reference._tokenizer(text, add_special_tokens=False).input_ids == ids
        assert b"".join(map(quantized._model.piece, ids)) == b"".join(map(reference._piece, ids))


def test_an_untrained_latent_that_starts_as_text_is_hardly_felt(reference: TorchDecoder) -> None:
    """Nats per token of a plausible answer: bare, started as text, and started at zero."""
    lm = reference._lm
    prompts = [
        reference._ids([Message("user", f"Write a short note to {who} about {what}.")])
        for who in ("my boss", "a close friend", "the neighbours", "my sister")
        for what in ("the garden", "a lost parcel")
    ]
    ids, response = reference._ids(parity.MESSAGES), reference._tokenizer(parity.RESPONSE).input_ids
    torch.manual_seed(0)
    made = Adapter(lm, latent_size=32, width=96)
    z, cache = torch.randn(4, 32), prompt_caches(lm, [ids])

    @torch.no_grad()
    def nll_per_token() -> float:
        return -response_log_likelihood(lm, cache, [0] * 4, [response] * 4, made(z)).mean().item() / len(response)

    bare = reference.likelihood(parity.MESSAGES, parity.RESPONSE).nll / len(response)
    as_zero = nll_per_token()
    made.start_as_text(lm, prompts)
    as_text = nll_per_token()
    assert as_text - bare < 0.5 * (as_zero - bare), (bare, as_text, as_zero)


def test_the_released_clap_is_of_the_embedded_backbone_small_and_without_its_embedding(backbone: Backbone) -> None:
    arrays, about = read_arrays(RELEASED)
    assert about["backbone"] == EMBEDDED_SHA256 == backbone.id
    assert RELEASED.stat().st_size <= MAX_RELEASED_BYTES
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert {name.split(".")[0] for name in arrays} == {"encoder", "adapter", "parity"}
    vocabulary = 49152
    assert not any(vocabulary in array.shape for name, array in arrays.items() if not name.startswith("parity.")), (
        "the embedding is the backbone's own"
    )


def parity_size(decoder: LlamaDecoder) -> int:
    assert decoder._adapter is not None
    return decoder._adapter.latent_size

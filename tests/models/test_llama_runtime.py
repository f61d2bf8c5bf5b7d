"""The layer over llama.cpp's C API: contexts that fill up, samplers, and files without block quantization."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader

from core.errors import BackboneError
from core.protocols import Sampling
from models.backbone import Backbone
from models.llama_runtime import Entry, LlamaContext, LlamaModel, TokenSampler, write_gguf_as
from tests import tiny


@pytest.fixture
def context(tiny_backbone: Backbone) -> Iterator[LlamaContext]:
    model = LlamaModel(tiny_backbone.path)
    context = LlamaContext(model, tokens=256, sequences=4, unified=True, threads=1)
    yield context
    context.close()
    model.close()


def logits_after(
    context: LlamaContext, ids: list[int], sequence: int = 0
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    context.decode([Entry(t, i, sequence, i == len(ids) - 1) for i, t in enumerate(ids)])
    return context.logits(len(ids) - 1)


def test_a_full_context_is_one_clear_line(context: LlamaContext) -> None:
    context.decode([Entry(5, i, 0) for i in range(250)])
    with pytest.raises(BackboneError, match="context is full"):
        context.decode([Entry(5, 250 + i, 0) for i in range(20)])


def test_what_is_forgotten_makes_room_and_is_not_seen(context: LlamaContext) -> None:
    fresh = logits_after(context, [5, 6, 7])
    context.decode([Entry(8, i, 1) for i in range(240)])
    context.forget(1)
    context.forget(0, from_position=1)
    context.decode([Entry(6, 1, 0), Entry(7, 2, 0, True)])
    np.testing.assert_allclose(context.logits(1), fresh, atol=0.05)


def test_a_shared_prefix_is_read_like_ones_own(context: LlamaContext) -> None:
    whole = logits_after(context, [5, 6, 7, 8])
    context.forget()
    context.decode([Entry(t, i, 0) for i, t in enumerate([5, 6, 7])])
    context.share(0, 2)
    context.decode([Entry(8, 3, 2, True)])
    np.testing.assert_allclose(context.logits(0), whole, atol=0.05)


def test_logits_are_a_copy(context: LlamaContext) -> None:
    first = logits_after(context, [5, 6, 7])
    kept = first.copy()
    context.forget()
    logits_after(context, [9, 10, 11])
    np.testing.assert_array_equal(first, kept)


def drawn(context: LlamaContext, sampling: Sampling, seeds: range) -> list[int]:
    tokens = []
    for seed in seeds:
        sampler = TokenSampler(sampling, seed)
        tokens.append(sampler.draw(context, 2))
        sampler.close()
    return tokens


def test_no_temperature_takes_the_most_probable_token(context: LlamaContext) -> None:
    logits = logits_after(context, [5, 6, 7])
    assert set(drawn(context, Sampling(temperature=0), range(3))) == {int(logits.argmax())}


def test_min_p_and_top_p_leave_improbable_tokens_out(context: LlamaContext) -> None:
    logits = logits_after(context, [5, 6, 7]).astype(np.float64)
    p = np.exp(logits - logits.max())
    likely = set(np.flatnonzero(p >= 0.3).tolist())
    assert set(drawn(context, Sampling(temperature=1, top_p=1, min_p=0.3), range(200))) <= likely
    assert len(set(drawn(context, Sampling(temperature=1, top_p=1, min_p=0), range(200)))) > len(likely)
    assert len(set(drawn(context, Sampling(temperature=1, top_p=1e-6, min_p=0), range(20)))) == 1


def test_draws_follow_the_distribution(context: LlamaContext) -> None:
    logits = logits_after(context, [5, 6, 7]).astype(np.float64)
    p = np.exp(logits - logits.max())
    p /= p.sum()
    tokens = drawn(context, Sampling(temperature=1, top_p=1, min_p=0), range(3000))
    best = int(p.argmax())
    assert tokens.count(best) / len(tokens) == pytest.approx(p[best], abs=0.03)


def test_a_dense_copy_holds_the_same_weights(tiny_backbone: Backbone, tmp_path: Path) -> None:
    path = write_gguf_as(tiny_backbone.path, tmp_path / "new" / "dense.f16.gguf", "F16")
    dense, source = ({t.name: t for t in GGUFReader(p).tensors} for p in (path, tiny_backbone.path))
    assert set(dense) == set(source)
    assert dense["blk.0.attn_k.weight"].tensor_type.name == "F16"
    # The tiny weights are exact in f16.
    assert all(np.array_equal(dense[name].data.astype(np.float32), source[name].data) for name in source)
    model = LlamaModel(path)
    assert model.vocab_size == tiny.VOCAB_SIZE
    model.close()


def test_an_existing_dense_copy_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "dense.gguf"
    target.write_bytes(b"made before")
    assert write_gguf_as(Path("nowhere"), target, "F16").read_bytes() == b"made before"


def test_a_copy_that_fails_is_one_clear_line_and_leaves_no_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    with pytest.raises(BackboneError, match=r"broken\.gguf"):
        write_gguf_as(broken, tmp_path / "dense.gguf", "F16")
    assert list(tmp_path.iterdir()) == [broken]

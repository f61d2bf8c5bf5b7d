"""The latent's key/value entries, equal to torch's; and the state blob that carries them, checked field by field."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import LatentStateError
from models.adapter import LATENT_POSITIONS, rotate
from models.backbone import Backbone
from models.checkpoint import Arrays
from models.decoder_torch import adapter_from
from models.latent_kv import StateLayout, backbone_projections, gelu
from models.llama_runtime import Entry, LlamaContext, LlamaModel
from tests import tiny

ROW_VALUES = tiny.KV_HEADS * tiny.HEAD_SIZE
ROW_BYTES = 2 * ROW_VALUES
SEQUENCE = 5
SHAPE = {"sequence": SEQUENCE, "layers": tiny.LAYERS, "cells": LATENT_POSITIONS, "row_values": ROW_VALUES}


@pytest.fixture(params=[True, False], ids=["flash", "no flash"])
def context(request: pytest.FixtureRequest, tiny_backbone: Backbone) -> Iterator[LlamaContext]:
    model = LlamaModel(tiny_backbone.path)
    context = LlamaContext(model, tokens=256, sequences=8, unified=True, flash_attention=request.param)
    yield context
    context.close()
    model.close()


def template(context: LlamaContext) -> bytes:
    context.decode([Entry(0, i, SEQUENCE) for i in range(LATENT_POSITIONS)])
    state = context.state(SEQUENCE)
    context.forget()
    return state


def test_numpy_adapter_gives_what_torch_gives_in_the_order_of_the_gguf(
    tiny_backbone: Backbone, tiny_clap: Arrays, tmp_path: Path
) -> None:
    lm, start = tiny.tiny_lm(), 37
    z = tiny.tiny_latents(1)[0]
    keys, values = tiny.latent_adapter(tiny_backbone, tiny_clap, tmp_path).entries(z, start)
    with torch.no_grad():
        kv = adapter_from(tiny_clap, lm)(torch.from_numpy(z)[None])[0]  # [L, 2, G, P, d]
        cos, sin = lm.model.rotary_emb(kv, torch.arange(start, start + LATENT_POSITIONS)[None])
        rotated = rotate(kv[:, 0], cos[:, None], sin[:, None])
    # Half-split [.., 2, d/2] to interleaved [.., d/2, 2]; then heads beside each other: [L, P, G*d].
    in_halves = rotated.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)
    np.testing.assert_allclose(keys, in_halves.transpose(1, 2).flatten(2), atol=2e-5)
    np.testing.assert_allclose(values, kv[:, 1].transpose(1, 2).flatten(2), atol=2e-5)


def test_interleaving_takes_halves_to_even_and_odd_rows() -> None:
    rows = torch.arange(8)[:, None]  # two heads of four dimensions
    assert tiny.interleaved(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_gelu_is_that_of_torch() -> None:
    x = np.linspace(-5, 5, 101, dtype=np.float32)
    np.testing.assert_allclose(gelu(x), torch.nn.functional.gelu(torch.from_numpy(x)), atol=1e-6)


def test_projections_are_read_from_the_gguf_once(tiny_backbone: Backbone, tmp_path: Path) -> None:
    kept = tmp_path / "projections.safetensors"
    arrays, about = backbone_projections(tiny_backbone.path, kept)
    again, about_again = backbone_projections(Path("no such file"), kept)
    assert about == about_again == {"rope_base": tiny.ROPE_BASE, "head_size": tiny.HEAD_SIZE}
    assert {name: array.shape for name, array in arrays.items()} == {
        "norm": (tiny.LAYERS, tiny.HIDDEN),
        "key": (tiny.LAYERS, ROW_VALUES, tiny.HIDDEN),
        "value": (tiny.LAYERS, ROW_VALUES, tiny.HIDDEN),
    }
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def test_a_real_template_is_understood(context: LlamaContext, request: pytest.FixtureRequest) -> None:
    layout = StateLayout.parse(template(context), **SHAPE)
    assert layout.values_transposed is ("no flash" in request.node.name)
    assert len(layout.position_offsets) == LATENT_POSITIONS
    assert len(layout.key_offsets) == len(layout.value_offsets) == tiny.LAYERS


def test_what_is_filled_in_comes_back_from_llama_cpp_in_any_sequence(context: LlamaContext) -> None:
    layout = StateLayout.parse(template(context), **SHAPE)
    random = np.random.default_rng(0)
    for sequence in (1, SEQUENCE, 7):
        keys, values = random.standard_normal((2, tiny.LAYERS, LATENT_POSITIONS, ROW_VALUES)).astype(np.float32)
        blob = layout.filled(keys, values, start=100, sequence=sequence)
        context.restore(sequence, blob)
        assert context.state(sequence) == blob
        assert blob != layout.template
        first_key = np.frombuffer(blob, np.float16, ROW_VALUES, layout.key_offsets[0])
        np.testing.assert_array_equal(first_key, keys[0, 0].astype(np.float16))
        last_value = np.frombuffer(blob, np.float16, LATENT_POSITIONS * ROW_VALUES, layout.value_offsets[-1])
        rows = last_value.reshape((-1, LATENT_POSITIONS) if layout.values_transposed else (LATENT_POSITIONS, -1))
        expected = values[-1].T if layout.values_transposed else values[-1]
        np.testing.assert_array_equal(rows, expected.astype(np.float16))


def test_positions_are_those_asked_for(context: LlamaContext) -> None:
    layout = StateLayout.parse(template(context), **SHAPE)
    zeros = np.zeros((tiny.LAYERS, LATENT_POSITIONS, ROW_VALUES), np.float32)
    blob = layout.filled(zeros, zeros, start=100, sequence=SEQUENCE)
    found = [struct.unpack_from("<i", blob, offset)[0] for offset in layout.position_offsets]
    assert found == [100, 101, 102, 103]


CELLS_AT = 16
"""After magic, sequence, streams, cells."""
LAYERS_AT = CELLS_AT + 12 * LATENT_POSITIONS
FIRST_KEY_AT = LAYERS_AT + 8
FIRST_VALUE_AT = FIRST_KEY_AT + tiny.LAYERS * (12 + LATENT_POSITIONS * ROW_BYTES)


@pytest.mark.parametrize(
    ("offset", "kind", "value", "named"),
    [
        (0, "<I", 1, "magic"),
        (4, "<I", SEQUENCE + 1, "sequence"),
        (8, "<I", 2, "streams"),
        (12, "<I", LATENT_POSITIONS + 1, "cells"),
        (CELLS_AT, "<i", 1, "position"),
        (CELLS_AT + 4, "<I", 2, "sequences of a cell"),
        (CELLS_AT + 8, "<i", SEQUENCE + 1, "sequence of a cell"),
        (CELLS_AT + 12 * (LATENT_POSITIONS - 1), "<i", 0, "position"),
        (LAYERS_AT, "<I", 2, "where 0 or 1"),
        (LAYERS_AT + 4, "<I", tiny.LAYERS + 1, "layers"),
        (FIRST_KEY_AT, "<i", 8, "key type"),
        (FIRST_KEY_AT + 4, "<Q", ROW_BYTES + 2, "key row bytes"),
        (FIRST_VALUE_AT, "<i", 8, "value type"),
    ],
)
def test_each_changed_field_is_refused_by_name(
    context: LlamaContext, offset: int, kind: str, value: int, named: str
) -> None:
    blob = bytearray(template(context))
    struct.pack_into(kind, blob, offset, value)
    with pytest.raises(LatentStateError, match=named):
        StateLayout.parse(bytes(blob), **SHAPE)


@pytest.mark.parametrize(
    ("context", "offset", "kind", "named"),
    [
        (True, FIRST_VALUE_AT + 4, "<Q", "value row bytes"),
        (False, FIRST_VALUE_AT + 4, "<I", "value element bytes"),
        (False, FIRST_VALUE_AT + 8, "<I", "value rows"),
    ],
    indirect=["context"],
)
def test_each_changed_field_of_the_values_is_refused_by_name(
    context: LlamaContext, offset: int, kind: str, named: str
) -> None:
    blob = bytearray(template(context))
    struct.pack_into(kind, blob, offset, 4)
    with pytest.raises(LatentStateError, match=named):
        StateLayout.parse(bytes(blob), **SHAPE)


def test_a_flipped_transposition_is_refused(context: LlamaContext) -> None:
    blob = bytearray(template(context))
    blob[LAYERS_AT] ^= 1
    with pytest.raises(LatentStateError, match="value"):
        StateLayout.parse(bytes(blob), **SHAPE)


def test_a_blob_cut_anywhere_is_refused(context: LlamaContext) -> None:
    blob = template(context)
    for length in (0, 3, CELLS_AT + 2, LAYERS_AT, FIRST_KEY_AT + 20, FIRST_VALUE_AT, len(blob) - 1):
        with pytest.raises(LatentStateError, match="ends early"):
            StateLayout.parse(blob[:length], **SHAPE)


def test_trailing_bytes_are_refused(context: LlamaContext) -> None:
    with pytest.raises(LatentStateError, match="3 bytes too many"):
        StateLayout.parse(template(context) + b"\0\0\0", **SHAPE)


def test_llama_cpp_refuses_a_state_that_it_does_not_take_whole(context: LlamaContext) -> None:
    blob = template(context)
    with pytest.raises(LatentStateError, match="took"):
        context.restore(SEQUENCE, blob[:-8])


def test_a_damaged_copy_of_the_projections_is_made_anew(tiny_backbone: Backbone, tmp_path: Path) -> None:
    file = tmp_path / "projections.safetensors"
    first, about = backbone_projections(tiny_backbone.path, file)
    file.write_bytes(file.read_bytes()[:100])
    again, about_again = backbone_projections(tiny_backbone.path, file)
    assert about == about_again
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert backbone_projections(tiny_backbone.path, file)[1] == about

"""The ONNX graphs give what torch gives, for any number of texts of any length, without torch.

Slow where torch follows the graphs: ten seconds.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import PackError
from core.protocols import Message
from exporters.onnx_export import encoder_graphs, export_onnx, torch_encoder
from exporters.onnx_int8 import write_int8
from models.backbone import Backbone
from models.checkpoint import Arrays
from models.learner import Parts
from models.onnx_encoder import ABOUT, POSTERIOR, VOICE, OnnxEncoders
from models.personal_encoder import GaussianEncoder
from models.text_encoder import TextEncoder
from tests import tiny

PAIRS = [((5, 6, 7), (8, 9)), ((5,), tuple(range(20, 60))), ((), (11,))]
HIDDEN = tiny.HIDDEN


@pytest.fixture(scope="module")
def voice(reader: TextEncoder) -> GaussianEncoder:
    """With a shift, two kinds of writing, a head and layers of its own."""
    random = np.random.default_rng(5)
    parts = Parts(
        random.normal(size=tiny.LATENT_SIZE) * 0.5,
        random.normal(size=tiny.LATENT_SIZE) * 0.1,
        {"mail": random.normal(size=tiny.LATENT_SIZE), "note": random.normal(size=tiny.LATENT_SIZE) * 5},
        random.normal(size=HIDDEN),
        random.normal(size=(HIDDEN, tiny.LATENT_SIZE)) * 0.05,
    )
    layers = {name: (array * 1.1).astype(np.float16) for name, array in reader.layers.items()}
    own = reader.with_layers(layers)
    return GaussianEncoder(parts, layers=layers, features=lambda messages: own.prompt_features([messages])[0])


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_backbone: Backbone,
    tiny_clap: Arrays,
    reader: TextEncoder,
    voice: GaussianEncoder,
) -> OnnxEncoders:
    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(folder, tiny_backbone, "c" * 64, tiny_clap, reader, voice)
    return OnnxEncoders(folder)


@pytest.mark.slow
def test_posteriors_are_those_of_torch(exported: OnnxEncoders, reader: TextEncoder, tiny_clap: Arrays) -> None:
    arrays = reader.layers | {name: tiny_clap[f"encoder.{name}"] for name in ("head.weight", "head.bias")}
    expected = torch_encoder(reader, arrays, torch.from_numpy(reader.embedding))(PAIRS)
    found = exported.posteriors(PAIRS)
    np.testing.assert_allclose(found.mean, expected.mean.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.log_variance, expected.log_variance.numpy(), atol=1e-4)


@pytest.mark.slow
def test_the_personal_encoder_is_the_one_that_drafts(
    exported: OnnxEncoders, reader: TextEncoder, voice: GaussianEncoder
) -> None:
    messages = [[Message("user", text)] for text in ("Hello", "Write to the neighbours about the garden")]
    ids = [reader.prompt_ids(prompt) for prompt in messages]
    for context in ("mail", "note", "of no kind"):
        expected = [voice.mean(prompt, context) for prompt in messages]
        np.testing.assert_allclose(exported.means(ids, [context] * 2), expected, atol=1e-4)


@pytest.mark.slow
def test_entries_are_those_that_llama_cpp_gets(
    exported: OnnxEncoders, tiny_backbone: Backbone, tiny_clap: Arrays, tmp_path: Path
) -> None:
    adapter = tiny.latent_adapter(tiny_backbone, tiny_clap, tmp_path)
    for z, start in zip(tiny.tiny_latents(2), (0, 37), strict=True):
        for found, expected in zip(exported.entries(z, start), adapter.entries(z, start), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.slow
def test_weights_of_8_bits_say_nearly_the_same_in_less_room(exported: OnnxEncoders) -> None:
    [posterior, voice] = write_int8(exported.folder, reads_prompts=True)
    assert posterior.stat().st_size < (exported.folder / POSTERIOR).stat().st_size
    assert voice.stat().st_size < (exported.folder / VOICE).stat().st_size
    smaller = OnnxEncoders(exported.folder, int8=True)
    exact = exported.posteriors(PAIRS).mean
    found = smaller.posteriors(PAIRS).mean
    assert 0 < np.abs(found - exact).max() < 0.1
    assert smaller.means([(5, 6, 7)], ["mail"]).shape == (1, tiny.LATENT_SIZE)
    np.testing.assert_array_equal(smaller.entries(exact[0], 3), exported.entries(exact[0], 3))


@pytest.mark.slow
def test_the_device_is_what_the_session_uses(exported: OnnxEncoders) -> None:
    assert exported.provider in ("CPUExecutionProvider", "CUDAExecutionProvider")


@pytest.mark.slow
def test_the_page_names_every_input(exported: OnnxEncoders) -> None:
    page = (exported.folder / "README.md").read_text()
    for file, graph in exported.about["graphs"].items():
        for name, of in graph["inputs"].items():
            assert f"| {file} | {name} | {of['type']} |" in page
    assert "1 mail, 2 note" in page


def test_a_voice_that_reads_no_prompts_needs_none(tiny_clap: Arrays, reader: TextEncoder) -> None:
    voice = GaussianEncoder(Parts(np.full(tiny.LATENT_SIZE, 3.0), np.zeros(tiny.LATENT_SIZE), {}))
    graph = encoder_graphs(tiny_clap, reader, voice, torch.from_numpy(np.array(reader.embedding)))[VOICE]
    assert list(graph.inputs) == ["context"]
    mean, log_variance = graph.module(**graph.inputs)
    np.testing.assert_allclose(mean.numpy(), [voice.mean([], "mail")] * 2, atol=1e-6)
    assert not log_variance.any()


def test_another_folder_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no ONNX export"):
        OnnxEncoders(tmp_path)
    (tmp_path / ABOUT).write_text(json.dumps({"format": "penpal-onnx", "format_version": 2}))
    with pytest.raises(PackError, match="export it again"):
        OnnxEncoders(tmp_path)

"""A GGUF that the gguf library reads back bit for bit, beside its backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import PackError
from core.files import file_sha256
from exporters.gguf_export import export_latent, put_beside, read_latent
from models.backbone import Backbone
from models.checkpoint import Arrays
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from models.text_encoder import TextEncoder
from tests import tiny


@pytest.fixture(scope="module")
def voice(reader: TextEncoder) -> GaussianEncoder:
    random = np.random.default_rng(5)
    size = tiny.LATENT_SIZE
    parts = Parts(
        random.normal(size=size),
        random.normal(size=size) * 0.1,
        {"mail to a friend": random.normal(size=size)},
        random.normal(size=tiny.HIDDEN),
        random.normal(size=(tiny.HIDDEN, size)),
    )
    return GaussianEncoder(parts, layers={name: array * 2 for name, array in reader.layers.items()})


def test_every_array_comes_back_bit_for_bit(
    tmp_path: Path, tiny_backbone: Backbone, tiny_clap: Arrays, reader: TextEncoder, voice: GaussianEncoder
) -> None:
    path = tmp_path / "new" / "latent.gguf"
    metadata = export_latent(path, tiny_backbone, "c" * 64, tiny_clap, voice, reader.shape)
    expected = {name: array for name, array in tiny_clap.items() if name.startswith(("encoder.", "adapter."))}
    expected |= {f"voice.{name}": array for name, array in voice.arrays().items()}
    found, about = read_latent(path)
    assert {name: (array.dtype, array.shape, array.tobytes()) for name, array in found.items()} == {
        name: (array.dtype, array.shape, array.tobytes()) for name, array in expected.items()
    }
    assert about == {key: pytest.approx(value) for key, value in metadata.items()}
    assert about["penpal.backbone.sha256"] == tiny_backbone.id
    assert "voice.context.mail to a friend" in found
    assert [file.name for file in path.parent.iterdir()] == ["latent.gguf"]


def test_a_name_that_ggml_would_cut_is_refused(
    tmp_path: Path, tiny_backbone: Backbone, tiny_clap: Arrays, reader: TextEncoder
) -> None:
    voice = GaussianEncoder(Parts(np.zeros(8), np.zeros(8), {"m" * 50: np.zeros(8)}))
    with pytest.raises(PackError, match="too long a name"):
        export_latent(tmp_path / "latent.gguf", tiny_backbone, "c" * 64, tiny_clap, voice, reader.shape)


def test_other_files_are_refused(tmp_path: Path, tiny_backbone: Backbone) -> None:
    with pytest.raises(PackError, match="holds no latent space"):
        read_latent(tiny_backbone.path)
    (tmp_path / "text").write_text("no GGUF at all")
    with pytest.raises(PackError, match="not a GGUF"):
        read_latent(tmp_path / "text")


def test_the_backbone_lies_beside(tmp_path: Path, tiny_backbone: Backbone) -> None:
    for _ in range(2):  # the second takes the place of the first
        assert file_sha256(put_beside(tiny_backbone, tmp_path)) == tiny_backbone.id

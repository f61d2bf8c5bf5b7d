"""The tiny backbone and its CLaP, written once for all tests of models, and decoders over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.backbone import Backbone
from models.checkpoint import Arrays
from models.decoder_llama import LlamaDecoder
from models.decoder_torch import TorchDecoder
from tests import tiny
from tests.tiny_fixtures import tiny_backbone, tiny_clap, tiny_folder

__all__ = ["tiny_backbone", "tiny_clap", "tiny_folder"]


@pytest.fixture(scope="session")
def telling_clap(tiny_clap: Arrays) -> Arrays:
    """The untrained encoder says nearly the same of all texts; here its means lie as far apart as a trained one's."""
    weights = tiny_clap["encoder.head.weight"].astype("float32")
    weights[: tiny.LATENT_SIZE] *= 8
    return tiny_clap | {"encoder.head.weight": weights}


@pytest.fixture(scope="session")
def tiny_torch(tiny_backbone: Backbone, tiny_clap: Arrays) -> TorchDecoder:
    return tiny.torch_decoder(tiny_backbone, tiny_clap)


@pytest.fixture
def tiny_llama(tiny_backbone: Backbone, tiny_clap: Arrays, tiny_folder: Path) -> Iterator[LlamaDecoder]:
    decoder = tiny.llama_decoder(tiny_backbone, tiny_clap, tiny_folder)
    yield decoder
    decoder.close()

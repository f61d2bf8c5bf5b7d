"""The tiny backbone and its CLaP, written once for all tests of exporters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.backbone import Backbone
from models.checkpoint import Arrays
from models.text_encoder import TextEncoder
from tests.tiny_fixtures import tiny_backbone, tiny_clap, tiny_folder

__all__ = ["tiny_backbone", "tiny_clap", "tiny_folder"]


@pytest.fixture(scope="session")
def reader(tiny_backbone: Backbone, tiny_clap: Arrays) -> Iterator[TextEncoder]:
    encoder = TextEncoder(tiny_backbone, tiny_clap)
    yield encoder
    encoder.close()

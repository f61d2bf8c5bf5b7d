"""The tiny backbone and its CLaP as fixtures, for the folders of tests that say so in their conftest.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.backbone import Backbone
from models.checkpoint import Arrays
from tests import tiny


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session")
def tiny_backbone(tiny_folder: Path) -> Backbone:
    return tiny.write_tiny_backbone(tiny_folder)


@pytest.fixture(scope="session")
def tiny_clap(tiny_folder: Path, tiny_backbone: Backbone) -> Arrays:
    return tiny.read_clap(tiny.write_tiny_clap(tiny_folder, tiny_backbone))

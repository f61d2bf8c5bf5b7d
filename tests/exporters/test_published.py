"""A published latent space: written whole, checked before use, and put where PenPal finds it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import pytest

from core.config_file import change_settings
from core.errors import BackboneError, UsageError
from core.files import file_sha256
from core.paths import Home
from core.settings import read_settings
from exporters import published as module
from exporters.published import (
    CARD,
    CLAP,
    CONFIG,
    LOG,
    Published,
    backbone_of,
    install,
    read_published,
    with_numbers,
    write_published,
)
from models.backbone import Backbone
from tests import tiny

NUMBERS = {"contrastive_accuracy_k4": 0.93, "active_dims": 32}
CONTROL = {
    "48": [{"property": "questions", "effect": 1.25, "length": 4.0, "perplexity": 4.5, "perplexity_generic": 4.0}]
}


@cache
def tiny_files() -> tuple[Backbone, Path]:
    """A GGUF and CLaP weights over it."""
    folder = Path(tempfile.mkdtemp(prefix="penpal-tiny-"))
    backbone = tiny.write_tiny_backbone(folder)
    return backbone, tiny.write_tiny_clap(folder, backbone)


def publish_tiny(folder: Path, *, log: Path | None = None) -> Published:
    backbone, clap = tiny_files()
    return write_published(folder, clap, backbone, numbers=NUMBERS, control=CONTROL, sampling={"plain": 3}, log=log)


def test_what_is_published_reads_back(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"nll": 1}\n')
    folder = publish_tiny(tmp_path / "published", log=tmp_path / "log").folder
    found = read_published(folder)
    backbone, clap = tiny_files()
    assert found.config.backbone.sha256 == backbone.id
    assert found.config.clap_sha256 == file_sha256(clap)
    assert (found.config.numbers, found.config.control) == (NUMBERS, CONTROL)
    assert (folder / LOG).read_text() == '{"nll": 1}\n'


def test_the_card_has_a_header_for_the_hub_and_numbers_for_people(tmp_path: Path) -> None:
    card = (publish_tiny(tmp_path).folder / CARD).read_text()
    header = card.split("---")[1]
    assert "license: apache-2.0" in header
    assert "library_name: penpal" in header
    assert "| `contrastive_accuracy_k4` | 0.930 |" in card
    assert "| questions | 1.25 | 4 | 4.50 | 4.00 |" in card
    assert tiny_files()[0].id in card


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clap_sha256": "0" * 64}, "is damaged"),
        ({"clap_sha256": "../../etc"}, "clap_sha256"),
        ({"format": "something"}, "format"),
        ({"format_version": 2}, "format_version"),
        ({"more": 1}, "more"),
    ],
)
def test_a_config_that_says_something_else_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    folder = publish_tiny(tmp_path).folder
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(BackboneError, match=said):
        read_published(folder)


def test_half_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="not a published latent space"):
        read_published(tmp_path)
    folder = publish_tiny(tmp_path).folder
    (folder / CLAP).unlink()
    with pytest.raises(BackboneError, match=f"lacks {CLAP}"):
        read_published(folder)
    (folder / CONFIG).write_text("{" * 10)
    with pytest.raises(BackboneError, match="not what PenPal understands"):
        read_published(folder)
    (folder / CONFIG).write_text(" " * (module.MAX_CONFIG_BYTES + 1))
    with pytest.raises(BackboneError, match="too large"):
        read_published(folder)


def test_another_backbone_is_named(tmp_path: Path) -> None:
    found = publish_tiny(tmp_path / "published")
    backbone, _ = tiny_files()
    assert backbone_of(found, backbone.path) == backbone
    padded = tmp_path / "padded.gguf"
    padded.write_bytes(backbone.path.read_bytes() + b"\0")
    with pytest.raises(BackboneError, match=r"other weights, with the same tokenizer.*--gguf"):
        backbone_of(found, padded)
    with pytest.raises(BackboneError, match="another tokenizer"):
        backbone_of(found, None)  # the embedded one


def test_installed_it_is_what_the_settings_name(tmp_path: Path) -> None:
    found = publish_tiny(tmp_path / "published")
    backbone, clap = tiny_files()
    (found.folder / "tiny.gguf").write_bytes(backbone.path.read_bytes())
    home = Home(tmp_path / "home")
    where, gguf = install(found, backbone_of(found, None), home.backbones)
    assert where.read_bytes() == clap.read_bytes()
    assert gguf is not None
    assert gguf.parent == where.parent
    change_settings(home, {"clap": str(where), "backbone": str(gguf)})
    settings = read_settings(home)
    assert (settings.clap, settings.backbone) == (where, gguf)


# --- the settings' file ---------------------------------------------------------------------------------------------


def test_a_changed_setting_leaves_the_rest_of_the_file_as_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path)
    mine = '# my settings\ntheme = "light"\n\n[drafts]\ntemperature = 0.9  # wild\n'
    home.config_file.write_text(mine)
    change_settings(home, {"clap": "/x", "backbone": None})
    assert "# wild" in home.config_file.read_text()
    assert read_settings(home).clap == Path("/x")
    assert read_settings(home).drafts.temperature == 0.9
    change_settings(home, {"clap": None})
    assert home.config_file.read_text().strip() == mine.strip()


def test_a_file_that_is_no_toml_is_left_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config_file.write_text("theme = = light")
    with pytest.raises(UsageError, match="Nothing was changed"):
        change_settings(home, {"clap": "/x"})
    assert home.config_file.read_text() == "theme = = light"


def test_without_a_file_one_is_made(tmp_path: Path) -> None:
    change_settings(Home(tmp_path / "new"), {"theme": "light"})
    assert read_settings(Home(tmp_path / "new")).theme == "light"


def test_what_is_measured_later_is_added_and_the_rest_stays(tmp_path: Path) -> None:
    found = publish_tiny(tmp_path)
    again = with_numbers(found, numbers={"active_dims": 31})
    assert read_published(tmp_path).config == again.config
    assert again.config == found.config.model_copy(update={"numbers": {"active_dims": 31}})
    assert "| `active_dims` | 31 |" in (tmp_path / CARD).read_text()
    assert "| questions | 1.25 |" in (tmp_path / CARD).read_text()

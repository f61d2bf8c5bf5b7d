"""What an installed PenPal consists of: the four packages with their data files, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("app", "core", "models", "exporters")


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in the wheel. Built by the hatchling of this environment, so without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_source_and_data_file(wheel_files: set[str]) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in ("**/*.py", "tui/*.tcss", "pretrained/**/*")
        for path in (ROOT / package).glob(pattern)
        if path.is_file()
    }
    assert wanted - wheel_files == set()


def test_wheel_holds_the_released_clap_and_the_screens_style(wheel_files: set[str]) -> None:
    assert any(name.startswith("models/pretrained/") and name.endswith(".safetensors") for name in wheel_files)
    assert any(name.startswith("app/tui/") and name.endswith(".tcss") for name in wheel_files)


def test_wheel_holds_nothing_but_the_four_packages(wheel_files: set[str]) -> None:
    roots = {name.partition("/")[0] for name in wheel_files}
    assert {root for root in roots if not root.endswith(".dist-info")} == set(PACKAGES)


def test_every_dependency_has_an_exact_version() -> None:
    """`make setup` and CI install the same versions everywhere."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if line and not line.startswith("#")]
    assert all(equals and version for _, equals, version in pins)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    pinned = {normalized(name) for name, _, _ in pins}
    assert [name for name in map(normalized, wanted) if name not in pinned] == []


def normalized(requirement: str) -> str:
    """The bare name: `sqlite-utils>=4.2` and `sqlite_utils` are the same package."""
    name = requirement.partition(";")[0]
    for sign in ("==", ">=", "["):
        name = name.partition(sign)[0]
    return name.strip().lower().replace("_", "-")

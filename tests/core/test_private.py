"""A home is its owner's alone: what is made in it, and what older versions left open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.backup import write_backup
from core.config_file import change_settings
from core.files import make_folder, write_atomically
from core.paths import Home
from core.private import make_private
from core.run_lock import run_lock
from core.store import Store
from tests.core.filled_home import filled_home

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights are other things there")


@pytest.fixture(autouse=True)
def usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(path: Path) -> str:
    return f"{path.stat().st_mode & 0o777:o}"


def open_to_others(folder: Path) -> list[str]:
    """Everything in a folder, and itself, that anybody but its owner has rights on."""
    return [str(path) for path in (folder, *folder.rglob("*")) if path.lstat().st_mode & 0o077]


def test_a_home_with_wider_rights_is_narrowed(penpal_home: Path) -> None:
    home = filled_home(penpal_home)
    for path in (home.folder, *home.folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    make_private(home)
    assert open_to_others(home.folder) == []
    assert (rights(home.folder), rights(home.database), rights(home.encoders)) == ("700", "600", "700")
    assert os.access(next(home.encoders.iterdir()), os.R_OK)


def test_what_is_not_penpals_stays_as_it_is(penpal_home: Path, tmp_path: Path) -> None:
    home = filled_home(penpal_home)
    (tmp_path / "outside.txt").write_text("mine")
    (home.encoders / "link").symlink_to(tmp_path / "outside.txt")
    for path in (home.folder, tmp_path / "outside.txt"):
        path.chmod(0o755)
    (home.folder / "photos").mkdir(mode=0o755)
    make_private(home)
    assert (rights(home.folder), rights(home.folder / "photos"), rights(tmp_path / "outside.txt")) == ("755",) * 3
    assert (rights(home.database), rights(home.encoders)) == ("600", "700")


def test_a_folder_that_holds_nothing_of_penpals_is_left_alone(tmp_path: Path) -> None:
    for folder in (tmp_path / "empty", tmp_path / "none"):
        make_private(Home(folder))
    (tmp_path / "empty").mkdir(mode=0o755)
    make_private(Home(tmp_path / "empty"))
    assert rights(tmp_path / "empty") == "755"


def test_what_is_made_in_a_home_is_private_from_its_first_byte(penpal_home: Path, tmp_path: Path) -> None:
    home = Home(penpal_home)
    store = Store(home.database)
    store.add_conversation("t", origin="chat")  # the write-ahead log too
    change_settings(home, {"theme": "light"})
    write_atomically(home.encoders / "a.safetensors", b"x")
    write_atomically(home.backbones / "b" / "clap.safetensors", b"x")
    with run_lock(home):
        pass
    write_backup(home, tmp_path / "b.zip")
    assert (home.folder / "penpal.db-wal").exists()
    assert open_to_others(home.folder) == []
    store.close()


def test_what_is_handed_out_has_the_rights_that_files_have_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write_atomically(tmp_path / "deep" / "me.penpal", b"x")
    assert (rights(tmp_path / "deep"), rights(tmp_path / "deep" / "me.penpal")) == ("755", "644")
    os.umask(0o077)
    write_atomically(tmp_path / "mine.penpal", b"x")
    assert rights(tmp_path / "mine.penpal") == "600"


def test_folders_are_as_private_as_the_one_they_lie_in(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (rights(tmp_path / "a"), rights(tmp_path / "a" / "b")) == ("700", "700")

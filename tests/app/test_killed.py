"""The real program, killed with SIGKILL at any moment, over and over, on one home: nothing that was shown is lost.

`PENPAL_KILLS=500 pytest -m slow tests/app/test_killed.py -s` is the long form. `PENPAL_KILLS_SEED` repeats the choices
of a run, though not to the millisecond what they met.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from app.cli import main
from core.paths import Home
from models.backbone import Backbone
from models.checkpoint import read_arrays, write_arrays
from models.publish import SHARDS, with_parity
from tests import tiny
from tests.app.killed_sessions import TRAINING, Sessions
from tests.killed import KilledHome
from tests.models.test_pretrain import rows

KILLS = int(os.environ.get("PENPAL_KILLS", "10"))
SEED = int(os.environ.get("PENPAL_KILLS_SEED", random.SystemRandom().randrange(1_000_000)))
OFTEN = {"chat": 40, "rate": 15, "import": 12, "forget": 12, "backup": 10, "personalize": 8, "pretrain": 3}
"""Of a hundred kills."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 60 * KILLS)]


def test_what_was_shown_as_saved_outlives_every_kill(
    tmp_path: Path, penpal_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds: dict[str, Callable[[Sessions], None]] = {
        "chat": Sessions.chat, "rate": Sessions.rate, "import": Sessions.take_voice, "forget": Sessions.forget,
        "backup": Sessions.back_up, "personalize": Sessions.personalize, "pretrain": Sessions.pretrain,
    }  # fmt: skip
    chance = random.Random(SEED)
    backbone = tiny_backbone(tmp_path / "tiny", monkeypatch)
    killed = KilledHome(Home(penpal_home), chance)
    sessions = Sessions(killed, tmp_path, backbone, trained_samples(tmp_path / "trained", monkeypatch))
    first = list(kinds)  # each at least once
    try:
        while first or killed.kills.total() < KILLS:
            name = first.pop(0) if first else chance.choices(list(OFTEN), list(OFTEN.values()))[0]
            print(f"--- {killed.kills.total()}: {name}")
            kinds[name](sessions)
            killed.look()
    except BaseException as error:
        error.add_note(f"PENPAL_KILLS_SEED={SEED}, after {killed.figures()}")
        raise
    with capsys.disabled():
        print(f"\n{killed.figures()} (PENPAL_KILLS_SEED={SEED})")
    assert killed.rows_checked
    assert killed.shown


def tiny_backbone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """Real files of a tiny backbone, which every program of this test uses."""
    backbone = tiny.write_tiny_backbone(folder)
    clap = tiny.write_tiny_clap(folder, backbone)
    arrays, about = read_arrays(clap)
    write_arrays(clap, arrays, {**about, "backbone": backbone.id})
    with_parity(backbone, clap, clap)
    for name, value in {"BACKBONE": backbone.path, "CLAP": clap, "DRAFTS__MAX_TOKENS": 8}.items():
        monkeypatch.setenv(f"PENPAL_{name}", str(value))
    return backbone


def trained_samples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Responses to train on, and beside them what comes of it without a kill."""
    (folder / SHARDS).mkdir(parents=True)
    (folder / SHARDS / "00000.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows()))
    untrained = folder.with_name("untrained")
    shutil.copytree(folder, untrained)
    monkeypatch.setattr("sys.argv", ["penpal", "backbone", "train", "--out", str(folder), *TRAINING])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    return untrained

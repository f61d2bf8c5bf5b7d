"""Chat, rate, write, learning from an answer, and packs: in a process where torch cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.checkpoint import read_arrays, write_arrays
from models.parity import reference_log_probs
from tests import tiny

ROOT = Path(__file__).resolve().parent.parent

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "accelerate"):
            raise AssertionError(f"something imports {name}")

sys.meta_path.insert(0, Blocked())
"""

USE_EVERYTHING = """
import asyncio

from app.cli import main
from app.pair_sources import pair_source
from app.tui.app import PenPalApp
from app.tui.screens.chat import ChatScreen
from app.tui.screens.rate import RateScreen
from app.wiring import open_penpal
from core.recorder import Recorder
from tests.app.conftest import answer


def penpal(*arguments):
    sys.argv = ["penpal", *map(str, arguments)]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (arguments, end.code)


async def opens(penpal, screen):
    async with PenPalApp(penpal, screen).run_test(size=(120, 36)) as pilot:
        await pilot.app.writer()
        await pilot.app.ready_to_learn()
        await pilot.pause()
        assert screen in pilot.app.screen_stack


penpal("write", "Write to the neighbours about the garden.", "-n", "2", "--max-tokens", "12")
opened = open_penpal()
writer = opened.writer()
assert writer.voice.encoder is not None and not opened.latents_off, opened.latents_off
before = writer.voice.encoder.parts.mean.copy()
Recorder(opened.store).pick(1)
assert opened.learn_now(writer, 1) == 1
assert (writer.voice.encoder.parts.mean != before).any(), "the answer moved nothing"

asyncio.run(opens(opened, ChatScreen(opened.store)))
asyncio.run(opens(opened, RateScreen(opened.store, pair_source(["Hello"]), goal=1)))
for number in range(6):
    texts = ("No.", f"Thank you for the garden, number {number}! " * 3)
    answer(opened.store, f"Write to neighbour {number}.", texts=texts, backbone_id=opened.backbone.id)
opened.close()

penpal("personalize", "--no-drafts", "--force")
penpal("export", "me.penpal")
penpal("import", "me.penpal")
penpal("write", "Hello", "--max-tokens", "8")
print(sorted(sys.modules.keys() & {"torch", "transformers", "onnxruntime"}))
"""


@pytest.fixture
def tiny_settings(tmp_path: Path) -> dict[str, str]:
    """A backbone and a CLaP that needed torch to be made, with the reference that a published one carries."""
    backbone = tiny.write_tiny_backbone(tmp_path)
    clap = tiny.write_tiny_clap(tmp_path, backbone)
    arrays, about = read_arrays(clap)
    reference = reference_log_probs(tiny.torch_decoder(backbone, arrays), tiny.LATENT_SIZE)
    write_arrays(clap, {**arrays, "parity.log_probs": reference}, about)
    return {"PENPAL_BACKBONE": str(backbone.path), "PENPAL_CLAP": str(clap)}


def without_torch(folder: Path, **settings: str) -> str:
    """What a process that does everything prints last."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCK + USE_EVERYTHING], cwd=folder, capture_output=True, text=True, timeout=280,
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def test_everything_a_person_does_needs_no_torch(tmp_path: Path, tiny_settings: dict[str, str]) -> None:
    assert without_torch(tmp_path, **tiny_settings) == "[]"


@pytest.mark.slow
def test_the_embedded_backbone_needs_no_torch(tmp_path: Path) -> None:
    assert without_torch(tmp_path) == "[]"

"""No command reaches for a network, but for those whose whole purpose it is. Each is run for real, on tiny weights.

In a network namespace without any interface where the system allows one, and always under a guard that notes what
Python's sockets are asked for. A new command fails the first test until it is listed here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer._click import Command
from typer.core import TyperGroup
from typer.main import get_command

from app.cli.commands import application
from core.store import Store
from models.checkpoint import read_arrays, write_arrays
from models.publish import with_parity
from tests import tiny
from tests.app.conftest import answer
from tests.app.test_privacy import WITHOUT_NETWORK, can_go_without_network

FOR_THE_NETWORK = {
    "serve": "listens for other programs",
    "backbone pull": "downloads what the person names",
    "backbone push": "uploads what the person names",
}
RUNS: list[tuple[str, str, str]] = [
    # command, arguments, what is piped in
    ("write", '"Write about the sea." -n 2', ""),
    ("chat", "--plain", "Write about the sea.\n1\n\n"),
    ("rate", "--plain --from TMP/pairs.jsonl", "1\nq\n"),
    ("feedback pick", "1", ""),
    ("feedback edit", "1 --text Mine.", ""),
    ("feedback star", "2", ""),
    ("pairs list", "", ""),
    ("personalize", "--force", ""),
    ("bench", "--quick", ""),
    ("encoder list", "", ""),
    ("encoder show", "{voice}", ""),
    ("encoder diff", "generic {voice}", ""),
    ("encoder rollback", "", ""),
    ("encoder use", "{voice}", ""),
    ("export", "TMP/me.penpal", ""),
    ("pack show", "TMP/me.penpal", ""),
    ("pack verify", "TMP/me.penpal", ""),
    ("pack mix", "TMP/me.penpal TMP/me.penpal --weights .5,.5 --out TMP/both.penpal", ""),
    ("import", "TMP/both.penpal", ""),
    ("encoder compare", "{voice}", ""),
    ("encoder migrate", "{voice}", ""),
    ("backup", "TMP/backup.zip", ""),
    ("data export", "TMP/data", ""),
    ("forget", "--search sea --yes", ""),
    ("encoder use", "generic", ""),
    ("encoder remove", "{voice} --force", ""),
    ("restore", "TMP/backup.zip", ""),
    ("doctor", "", ""),
    ("demo", "--pairs 4 --prompts 1", ""),
    ("backbone sample", "--out TMP/bb --prompts 48 --further 0 --responses 2 --styled 0 --max-tokens 8", ""),
    ("backbone train", "--out TMP/bb --steps 1 --warm-steps 1 --k 2 --update 1", ""),
    ("backbone publish", "--out TMP/bb", ""),
    ("backbone pretrain", "--out TMP/pre --prompts 48 --further 0 --max-tokens 8 --steps 1 --warm-steps 1", ""),
    ("backbone eval", "--prompts 4 --max-tokens 8", ""),
    ("backbone control", "--samples TMP/bb --prompts 4 --tokens 8", ""),
    ("backbone sameness", "--prompts 8 --out TMP/sameness.safetensors", ""),
    ("backbone quantize", "GGUF --out TMP/quantized --types Q8_0", ""),
    ("backbone add", "TMP/bb/published --gguf GGUF", ""),
    ("backbone remove", "", ""),
]
MAY_END_WITH = {"doctor": 1, "demo": 1, "encoder migrate": 2}
"""What untrained weights, and a home with one backbone, give them to complain of."""


def commands(name: str, command: Command) -> Iterator[str]:
    """The names of all commands below this one."""
    if isinstance(command, TyperGroup):
        for below, found in command.commands.items():
            yield from commands(f"{name} {below}".strip(), found)
    else:
        yield name


def test_every_command_is_run_without_a_network_or_is_there_for_it() -> None:
    assert set(commands("", get_command(application))) == {name for name, _, _ in RUNS} | set(FOR_THE_NETWORK)


def test_hub_libraries_are_offline_and_silent_whatever_the_environment_says() -> None:
    asked = (
        "import app.wiring, exporters.published, huggingface_hub.constants as c, transformers.utils.hub as t; "
        "print(c.HF_HUB_OFFLINE, c.HF_HUB_DISABLE_TELEMETRY, t.is_offline_mode())"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "0"}
    told = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True", "True", "True"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_does_its_work_and_reaches_for_no_network(tmp_path: Path, penpal_home: Path) -> None:
    launcher = list(WITHOUT_NETWORK) if can_go_without_network() else []  # then only the guard tells
    ended = run_everything(tmp_path, penpal_home, launcher)
    assert {name: end["attempts"] for (name, _, _), end in ended if end["attempts"]} == {}
    assert {name: end for (name, _, _), end in ended if end["code"] not in (0, MAY_END_WITH.get(name))} == {}


def run_everything(tmp_path: Path, home: Path, launcher: list[str]) -> list[tuple[tuple[str, str, str], Any]]:
    """Runs all commands in one process on a home that has answers to learn from; with each, what came of it."""
    backbone = tiny.write_tiny_backbone(tmp_path / "tiny")
    clap = tiny.write_tiny_clap(tmp_path / "tiny", backbone)
    arrays, about = read_arrays(clap)
    write_arrays(clap, arrays, {**about, "backbone": backbone.id})
    with_parity(backbone, clap, clap)
    store = Store(home / "penpal.db")
    for number in range(12):
        texts = ("No.", f"Thank you for the garden, number {number}! " * 3)
        answer(store, f"Write to neighbour {number}.", texts=texts, backbone_id=backbone.id)
    store.close()
    pairs = [{"prompt": f"Praise number {number}.", "a": "No.", "b": f"Yes, {number}!"} for number in range(4)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    places = {"TMP": str(tmp_path), "GGUF": str(backbone.path)}
    asked = [{"argv": [*name.split(), *_words(arguments, places)], "piped": piped} for name, arguments, piped in RUNS]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment |= {
        "PENPAL_BACKBONE": str(backbone.path), "PENPAL_CLAP": str(clap), "PENPAL_DRAFTS__MAX_TOKENS": "8",
        "HOME": str(tmp_path), "OMP_NUM_THREADS": "2",
    }  # fmt: skip
    done = subprocess.run(
        [*launcher, sys.executable, "-m", "tests.guarded_commands"], input=json.dumps(asked), capture_output=True,
        text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return list(zip(RUNS, json.loads(done.stdout), strict=True))


def _words(arguments: str, places: dict[str, str]) -> list[str]:
    import shlex

    words = shlex.split(arguments)
    for name, place in places.items():
        words = [word.replace(name, place) for word in words]
    return words

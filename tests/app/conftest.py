"""A home whose decoder is a script, and `penpal` run in this process through the real `main`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app.wiring
from app.cli import main
from app.wiring import Clap, PenPal
from core.paths import Home, penpal_home
from core.settings import read_settings
from core.store import EncoderRecord, Store
from models.backbone import Backbone, file_sha256
from models.personal_encoder import ShiftEncoder
from tests.hooked_decoder import BACKBONE_ID, HookedDecoder

CLAP_ID = "c" * 64
LATENT_SIZE = 8


@dataclass(frozen=True)
class Result:
    """What a person sees of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Terminal(io.StringIO):
    """Text that does not come from a pipe."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HookedDecoder:
    """Takes the place of llama.cpp in every PenPal of this test."""
    decoder = HookedDecoder()
    gguf = tmp_path / "scripted.gguf"
    gguf.write_bytes(b"GGUF")

    def open_scripted(home: Home | None = None) -> PenPal:
        place = home or penpal_home()
        penpal = PenPal(place, read_settings(place))
        arrays = {"adapter.inp.weight": np.zeros((4, LATENT_SIZE), np.float32)}
        parts = {
            "decoder": decoder,
            "backbone": Backbone(gguf, BACKBONE_ID),
            "clap": Clap(Path("scripted.clap"), CLAP_ID, arrays, {}),
        }
        vars(penpal).update(parts)
        return penpal

    monkeypatch.setattr(app.wiring, "open_penpal", open_scripted)
    monkeypatch.setattr(PenPal, "latents_trusted", lambda self: True)
    return decoder


@pytest.fixture
def penpal(
    decoder: HookedDecoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """`penpal("write", "Hello")` runs the command; `piped` is what comes through stdin."""

    def run(*arguments: str | Path, piped: str | None = None) -> Result:
        monkeypatch.setattr(sys, "argv", ["penpal", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", Terminal() if piped is None else io.StringIO(piped))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return Result(int(end.value.code or 0), shown.out, shown.err)

    return run


@pytest.fixture
def store(penpal_home: Path) -> Store:
    """A second connection to the home's database."""
    return Store(penpal_home / "penpal.db")


def learned(home: Path, lean: float) -> EncoderRecord:
    """An encoder as `penpal personalize` leaves it behind, listed but not active."""
    file = home / "encoders" / "new.safetensors"
    mean = np.linspace(-lean, lean, LATENT_SIZE).astype(np.float32)
    ShiftEncoder(mean, np.full(LATENT_SIZE, -0.1, np.float32)).save(file, {"backbone": BACKBONE_ID, "clap": CLAP_ID})
    name = file_sha256(file)
    file.replace(file.with_name(f"{name}.safetensors"))
    report = {"accuracy": 0.75, "reason": "/home/ann/secret made it"}
    record = EncoderRecord(
        name,
        f"{name}.safetensors",
        "personalized",
        None,
        BACKBONE_ID,
        CLAP_ID,
        12,
        "kept",
        report,
        "2026-11-20T23:59:59",
    )
    store = Store(home / "penpal.db")
    store.add_encoder(record)
    store.close()
    return record

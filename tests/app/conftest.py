"""A home whose decoder is a script, and `penpal` run in this process through the real `main`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import app.wiring
from app.cli import main
from app.wiring import Clap, PenPal
from core.files import file_sha256
from core.paths import Home, penpal_home
from core.protocols import Message, Sampling
from core.settings import read_settings
from core.store import EncoderRecord, Store
from models.backbone import Backbone
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from tests.hooked_decoder import BACKBONE_ID, HookedDecoder
from tests.scripted_text_encoder import HIDDEN_SIZE, ScriptedTextEncoder

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
def text_encoder() -> ScriptedTextEncoder:
    return ScriptedTextEncoder(LATENT_SIZE)


@pytest.fixture
def run_for_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command with `--json` on the real parts; returns what it printed."""

    def run(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["penpal", *arguments, "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        assert not end.value.code, shown.err
        return json.loads(shown.out)

    return run


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text_encoder: ScriptedTextEncoder) -> HookedDecoder:
    """Takes the place of llama.cpp in every PenPal of this test, and a rule that of the encoder of texts."""
    decoder = HookedDecoder()
    gguf = tmp_path / "scripted.gguf"
    gguf.write_bytes(b"GGUF")

    def open_scripted(home: Home | None = None) -> PenPal:
        place = home or penpal_home()
        penpal = PenPal(place, read_settings(place))
        arrays = {
            "adapter.inp.weight": np.zeros((4, LATENT_SIZE), np.float32),
            "encoder.norm.weight": np.ones(HIDDEN_SIZE, np.float32),
        }
        parts = {
            "decoder": decoder,
            "text_encoder": text_encoder,
            "backbone": Backbone(gguf, BACKBONE_ID),
            "clap": Clap(Path("scripted.clap"), CLAP_ID, arrays, {}),
        }
        vars(penpal).update(parts)
        return penpal

    monkeypatch.setattr(app.wiring, "open_penpal", open_scripted)
    monkeypatch.setattr(PenPal, "latents_trusted", lambda self: True)
    monkeypatch.setattr("app.manners.be_nice", lambda: None)  # it would hold for all tests after this one
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
def talk(penpal: Callable[..., Result]) -> Callable[..., Result]:
    """`talk("Say hello.", "1", "")` types these lines into plain chat."""

    def run(*lines: str, options: tuple[str, ...] = ()) -> Result:
        return penpal("chat", "--plain", *options, piped="".join(f"{line}\n" for line in lines))

    return run


@pytest.fixture
def store(penpal_home: Path) -> Store:
    """A second connection to the home's database."""
    return Store(penpal_home / "penpal.db")


def learned(home: Path, lean: float, *, contexts: dict[str, float] | None = None, **report: Any) -> EncoderRecord:
    """An encoder as `penpal personalize` leaves it behind, listed but not active."""
    file = home / "encoders" / "new.safetensors"
    direction = np.linspace(-1, 1, LATENT_SIZE)
    shifts = {name: length * direction for name, length in (contexts or {}).items()}
    encoder = GaussianEncoder(Parts(lean * direction, np.zeros(LATENT_SIZE), shifts))
    encoder.save(file, {"backbone": BACKBONE_ID, "clap": CLAP_ID})
    name = file_sha256(file)
    file.replace(file.with_name(f"{name}.safetensors"))
    record = EncoderRecord(
        name,
        f"{name}.safetensors",
        "personalized",
        None,
        BACKBONE_ID,
        CLAP_ID,
        12,
        "kept",
        {"accuracy": 0.75, "reason": "/home/ann/secret made it", **report},
        "2026-11-20T23:59:59",
    )
    store = Store(home / "penpal.db")
    store.add_encoder(record)
    store.close()
    return record


Answer = Literal["pick", "tie"]


def answer(
    store: Store,
    prompt: str,
    *,
    answer: Answer = "pick",
    texts: tuple[str, str] | None = None,
    backbone_id: str = BACKBONE_ID,
    context: str | None = None,
    note: str | None = None,
) -> int:
    """Two drafts for a prompt, and what the person said: the first, warm one, or that both are as good."""
    turn = store.add_turn(
        store.add_conversation(prompt, origin="chat"), prompt, [Message("user", prompt)], context=context
    )
    written = texts or (f"How lovely, {prompt} indeed!", f"No, {prompt} again.")
    drafts = [
        store.add_draft(
            turn, side=side, z=None, encoder_id=None, backbone_id=backbone_id, sampling=Sampling(), seed=side
        )
        for side in (0, 1)
    ]
    for draft, text in zip(drafts, written, strict=True):
        store.finish_draft(draft, text, tokens=3, finish="stop", duration_ms=1)
    if answer == "tie":
        return store.add_act("tie", turn, note=note)
    return store.add_act("pick", turn, draft_id=drafts[0], other_draft_id=drafts[1], note=note)


def picks(store: Store, count: int) -> None:
    """So many different choices of the same taste."""
    for number in range(count):
        answer(store, f"Thing {number}")

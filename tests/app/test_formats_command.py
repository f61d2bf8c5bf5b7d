"""`penpal export --onnx` and `--gguf`, with and without `--freeze`; `penpal backbone quantize`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from core.files import file_sha256
from exporters.gguf_export import LATENT, read_latent
from models.checkpoint import read_arrays
from models.onnx_encoder import OnnxEncoders
from tests import tiny


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tiny")
    backbone = tiny.write_tiny_backbone(folder)
    return {"PENPAL_BACKBONE": str(backbone.path), "PENPAL_CLAP": str(tiny.write_tiny_clap(folder, backbone))}


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, output and errors of a command."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["penpal", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def on_tiny_files(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in files.items():
        monkeypatch.setenv(name, value)


def written(result: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = result
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.usefixtures("on_tiny_files")
def test_gguf_lies_beside_its_backbone(run: Run, files: dict[str, str], tmp_path: Path) -> None:
    found = written(run("export", "--gguf", tmp_path / "out", "--json"))
    assert found["encoder_id"] is None
    assert sorted(Path(file).name for file in found["files"]) == ["backbone.gguf", LATENT]
    assert file_sha256(tmp_path / "out" / "backbone.gguf") == file_sha256(Path(files["PENPAL_BACKBONE"]))
    arrays, about = read_latent(tmp_path / "out" / LATENT)
    clap, _ = read_arrays(Path(files["PENPAL_CLAP"]))
    assert arrays["adapter.out"].tobytes() == clap["adapter.out"].tobytes()
    assert about["penpal.clap.sha256"] == file_sha256(Path(files["PENPAL_CLAP"]))
    assert not arrays["voice.mean"].any()


@pytest.mark.usefixtures("on_tiny_files")
def test_a_frozen_voice_comes_with_texts_and_a_page(run: Run, tmp_path: Path) -> None:
    code, out, err = run("export", "--gguf", tmp_path, "--freeze", "--prompt", "Hello")
    assert code == 0, err
    assert "exactly as PenPal does" in out
    page = (tmp_path / "README-llama.cpp.md").read_text()
    assert "--prompt-cache voice.session" in page
    prompt = (tmp_path / "prompt.txt").read_text()
    stand_ins = 4 * "<|endoftext|>"
    assert prompt == f"<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant{stand_ins}\n"
    assert run("export", "--gguf", tmp_path, "--freeze", "--force")[0] == 0
    assert (tmp_path / "start.txt").read_text() == f"<|im_start|>user{stand_ins}\n"
    assert (tmp_path / "end.txt").read_text() == "<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.usefixtures("on_tiny_files")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one place to write to"),
        (["me.penpal", "--onnx", "x"], "one place to write to"),
        (["--onnx", "x", "--freeze"], "--freeze goes with --gguf"),
        (["--gguf", "x", "--prompt", "Hello"], "--prompt goes with --freeze"),
        (["--gguf", "x", "--private", "1"], "go with a file"),
    ],
)
def test_wrong_use_is_one_line(run: Run, arguments: list[str], said: str) -> None:
    code, out, err = run("export", *arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.usefixtures("on_tiny_files")
def test_a_folder_with_something_in_it_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    code, _, err = run("export", "--gguf", tmp_path)
    assert (code, [file.name for file in tmp_path.iterdir() if file.is_file()]) == (2, ["notes.txt"])
    assert "is not empty" in err


@pytest.mark.usefixtures("on_tiny_files")
def test_quantize_says_what_it_wrote(run: Run, files: dict[str, str], tmp_path: Path) -> None:
    code, out, err = run("backbone", "quantize", files["PENPAL_BACKBONE"], "--out", tmp_path, "--types", "q8_0")
    assert code == 0, err
    assert "tiny-f32.Q8_0.gguf: " in out
    assert "quantized already" not in out
    _, again, _ = run("backbone", "quantize", tmp_path / "tiny-f32.Q8_0.gguf", "--out", tmp_path, "--types", "F16")
    assert "is quantized already (Q8_0): what it lost stays lost" in again


def test_quantize_refuses_what_is_not_there(run: Run, tmp_path: Path) -> None:
    code, _, err = run("backbone", "quantize", tmp_path / "none", "--out", tmp_path)
    assert (code, "There is no" in err) == (1, True)


@pytest.mark.slow
def test_the_embedded_backbone_runs_in_onnx_runtime(run: Run, tmp_path: Path) -> None:
    found = written(run("export", "--onnx", tmp_path / "onnx", "--json"))
    assert found["difference"] < 1e-4
    assert found["int8"]
    assert found["int8_kl"] < 0.02
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "onnx").iterdir()}
    assert sizes["posterior.int8.onnx"] < 0.3 * sizes["posterior.onnx"]
    exported = OnnxEncoders(tmp_path / "onnx")
    assert exported.provider == found["provider"]
    assert exported.posteriors([((1, 2), (3,))]).mean.shape == (1, 32)

"""What `penpal export` writes besides packs: a voice for ONNX Runtime, for programs that read GGUF, for llama.cpp."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import notice, print_json
from core.errors import UsageError

if TYPE_CHECKING:
    from app.wiring import PenPal
    from models.personal_encoder import GaussianEncoder

Onnx = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write both encoders and the adapter as ONNX graphs into this folder instead of a file.",
        show_default=False,
    ),
]
Gguf = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write the latent space and the voice as a GGUF beside their backbone's instead of a file.",
        show_default=False,
    ),
]
Freeze = Annotated[
    bool,
    typer.Option("--freeze", help="With --gguf: also a prompt cache with which llama.cpp's own tools write like you."),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="With --freeze: for this prompt, exactly; else for any, a little weaker.",
        show_default=False,
    ),
]


def refuse_misuse(file: Path | None, onnx: Path | None, gguf: Path | None, *, freeze: bool, prompt: str | None) -> None:
    """Raises UsageError for options that do not go together, or when nothing says where to write."""
    if sum(place is not None for place in (file, onnx, gguf)) != 1:
        raise UsageError("Say one place to write to: a file such as me.penpal, --onnx DIR or --gguf DIR.")
    if freeze and gguf is None:
        raise UsageError("--freeze goes with --gguf DIR.")
    if prompt is not None and not freeze:
        raise UsageError("--prompt goes with --freeze.")
    for folder in (onnx, gguf):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file: give the name of a folder.")


def export_folder(
    encoder_id: str | None,
    strength: float,
    *,
    onnx: Path | None,
    gguf: Path | None,
    freeze: bool,
    prompt: str | None,
    force: bool,
    json: bool,
) -> None:
    """Writes one of the folders and says what is in it. The generic voice can be exported too."""
    from app.wiring import open_penpal
    from core.voices import usable_encoder
    from models.personal_encoder import GaussianEncoder

    folder = onnx or gguf
    assert folder is not None, "refuse_misuse has seen to it"
    if folder.exists() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} is not empty: choose another folder, or add --force to write into it.")
    with closing(open_penpal()) as penpal:
        record = (
            usable_encoder(penpal.store, encoder_id, penpal.home.encoders)
            if encoder_id
            else penpal.store.active_encoder()
        )
        voice = penpal.load_encoder(record) if record else GaussianEncoder.generic(penpal.clap.latent_size)
        voice = voice.scaled(strength)
        if onnx is not None:
            written = _write_onnx(penpal, voice, onnx)
        else:
            written = _write_gguf(penpal, voice, folder, freeze=freeze, prompt=prompt)
    written = {"folder": str(folder), "encoder_id": record.id if record else None, **written}
    if json:
        print_json(written)
    else:
        typer.echo(_told(written))


def _write_onnx(penpal: PenPal, voice: GaussianEncoder, folder: Path) -> dict[str, Any]:
    notice("Exporting; this takes about half a minute.")
    from exporters.onnx_check import effect_of_int8, largest_difference
    from exporters.onnx_export import export_onnx
    from exporters.onnx_int8 import MAX_KL, write_int8

    reader = penpal.text_encoder
    files = export_onnx(folder, penpal.backbone, penpal.clap.id, penpal.clap.arrays, reader, voice)
    differs = largest_difference(folder, reader, voice, penpal.adapter)
    smaller = write_int8(folder, reads_prompts=voice.reads_prompts)
    if not (effect := effect_of_int8(folder, reader, penpal.decoder)) < MAX_KL:
        for file in smaller:
            file.unlink()
        smaller = []
    return {
        "files": [str(file) for file in (*files, *smaller)],
        "provider": differs.provider,
        "difference": differs.largest,
        "int8": bool(smaller),
        "int8_kl": effect,
    }


def _write_gguf(
    penpal: PenPal, voice: GaussianEncoder, folder: Path, *, freeze: bool, prompt: str | None
) -> dict[str, Any]:
    from core.contexts import context_of
    from core.protocols import Message
    from exporters.frozen import freeze_before_prompts, freeze_for_prompt
    from exporters.gguf_export import LATENT, export_latent, put_beside
    from models.backbone import ChatTemplate

    clap, path = penpal.clap, folder / LATENT
    export_latent(path, penpal.backbone, clap.id, clap.arrays, voice, penpal.text_encoder.shape)
    found: dict[str, Any] = {"files": [str(path), str(put_beside(penpal.backbone, folder))]}
    if not freeze:
        return found
    model = penpal.decoder.model
    template = ChatTemplate(model.metadata("tokenizer.chat_template"))
    if prompt is None:
        unread = voice.with_parts(replace(voice.parts, head=None, center=None))
        frozen = freeze_before_prompts(folder, model, template, penpal.adapter, unread.mean([], ""))
    else:
        messages = [Message("user", prompt)]
        z = voice.mean(messages, context_of(prompt))
        frozen = freeze_for_prompt(folder, model, penpal.adapter, template.render(messages), z)
    return {"files": [*found["files"], *map(str, frozen.files)], "exact": frozen.exact}


def _told(written: dict[str, Any]) -> str:
    """What was written, for a person."""
    voice = "your voice" if written["encoder_id"] else "the generic voice"
    lines = [f"Wrote {voice} into {written['folder']}: {', '.join(Path(file).name for file in written['files'])}."]
    if "difference" in written:
        lines.append(
            f"Computed by ONNX Runtime ({written['provider']}), it differs from PenPal's own by at most "
            f"{written['difference']:.0e}. The README there says what goes in and what comes out."
        )
        kept = "" if written["int8"] else " That is too much: they are left out."
        lines.append(f"Encoders of 8 bits move drafts by {written['int8_kl']:.3f} nats per token.{kept}")
    if "exact" in written:
        about = "drafts that prompt exactly as PenPal does" if written["exact"] else "drafts any prompt in it"
        lines.append(f"llama.cpp's own tools can load it: {about}. README-llama.cpp.md there says how.")
    return "\n".join(lines)

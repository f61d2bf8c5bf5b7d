"""A published latent space: a folder as a model hub keeps it, and as a person adds it to their PenPal.

`clap.safetensors`, `config.json` (hashes of the backbone, its tokenizer and the weights, how it was trained, its
numbers), `README.md` (the model card), `log.jsonl` (the losses of each step). The backbone itself stays where it is
published; a GGUF that lies in the folder is used. Nothing here is code, and nothing is run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from huggingface_hub import ModelCardData
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import BackboneError
from core.files import file_sha256, write_atomically
from models.backbone import Backbone, open_backbone
from models.checkpoint import read_arrays
from models.gguf_header import read_by_gguf

CLAP, CONFIG, CARD, LOG = "clap.safetensors", "config.json", "README.md", "log.jsonl"
FORMAT = "penpal-latent-space"
MAX_CONFIG_BYTES = 1_000_000
MAX_CLAP_BYTES = 2_000_000_000
SHA256 = r"^[0-9a-f]{64}$"


class BackboneConfig(BaseModel):
    """Which backbone the latent space belongs to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(max_length=200)
    sha256: str = Field(pattern=SHA256)
    """Of the GGUF."""
    tokenizer_sha256: str = Field(pattern=SHA256)


class Config(BaseModel):
    """`config.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = Field(FORMAT, pattern=f"^{FORMAT}$")
    format_version: int = Field(1, ge=1, le=1)
    backbone: BackboneConfig
    clap_sha256: str = Field(pattern=SHA256)
    license: str = Field("apache-2.0", max_length=100)
    sampling: dict[str, Any] = {}
    training: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    """Held-out, by `penpal backbone eval`."""
    control: dict[str, Any] = {}
    """By `penpal backbone control`: rows by length of the drafts in tokens."""


@dataclass(frozen=True)
class Published:
    """A folder whose files are what its config says."""

    folder: Path
    config: Config

    @property
    def clap(self) -> Path:
        return self.folder / CLAP

    @property
    def gguf(self) -> Path | None:
        """A backbone that lies beside the weights."""
        return next(iter(sorted(self.folder.glob("*.gguf"))), None)


def tokenizer_sha256(gguf: Path) -> str:
    """Of the tokens, the merges and their kinds, in the GGUF's order."""
    digest = hashlib.sha256()
    named = ("tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type")
    with read_by_gguf(gguf):
        fields = GGUFReader(gguf).fields
        for name in named:
            if name in fields:
                digest.update(json.dumps([name, fields[name].contents()], ensure_ascii=False, default=str).encode())
    return digest.hexdigest()


def write_published(
    folder: Path,
    clap: Path,
    backbone: Backbone,
    *,
    numbers: dict[str, Any] | None = None,
    control: dict[str, Any] | None = None,
    sampling: dict[str, Any] | None = None,
    log: Path | None = None,
) -> Published:
    """Writes all of the folder; `config.json` last, so that a half-written folder is none."""
    _, about = read_arrays(clap)
    config = Config(
        backbone=BackboneConfig(
            name=backbone.path.stem, sha256=backbone.id, tokenizer_sha256=tokenizer_sha256(backbone.path)
        ),
        clap_sha256=file_sha256(clap),
        sampling=sampling or {},
        training=dict(about.get("config") or {}),
        numbers=numbers or {},
        control=control or {},
    )
    folder.mkdir(parents=True, exist_ok=True)
    if clap.resolve() != (folder / CLAP).resolve():
        write_atomically(folder / CLAP, clap.read_bytes())
    if log is not None and log.exists():
        write_atomically(folder / LOG, log.read_bytes())
    return _described(folder, config)


def with_numbers(
    published: Published, *, numbers: dict[str, Any] | None = None, control: dict[str, Any] | None = None
) -> Published:
    """The same folder with what was measured in its config and card; None leaves what was there."""
    known = {"numbers": numbers, "control": control}
    found = {name: value for name, value in known.items() if value is not None}
    return _described(published.folder, published.config.model_copy(update=found))


def _described(folder: Path, config: Config) -> Published:
    write_atomically(folder / CARD, model_card(config).encode())
    write_atomically(folder / CONFIG, (json.dumps(config.model_dump(), indent=1) + "\n").encode())
    return Published(folder, config)


def read_published(folder: Path) -> Published:
    """Raises BackboneError, naming what is wrong, unless the folder is whole and its weights are those it names."""
    path = folder / CONFIG
    if not path.is_file():
        raise BackboneError(f"{folder} is not a published latent space: it has no {CONFIG}.")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise BackboneError(f"{path} is too large for what it should be.")
    try:
        config = Config.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise BackboneError(f"{path} is not what PenPal understands: {where}: {first['msg']}.") from error
    published = Published(folder, config)
    if not published.clap.is_file():
        raise BackboneError(f"{folder} lacks {CLAP}.")
    if published.clap.stat().st_size > MAX_CLAP_BYTES:
        raise BackboneError(f"{published.clap} is larger than {MAX_CLAP_BYTES // 10**9} GB.")
    if (digest := file_sha256(published.clap)) != config.clap_sha256:
        raise BackboneError(
            f"{published.clap} is damaged: its SHA-256 is {digest[:12]}, it should be {config.clap_sha256[:12]}."
        )
    return published


def backbone_of(published: Published, gguf: Path | None) -> Backbone:
    """The GGUF that the latent space belongs to: the given one, one in its folder, or the embedded one.

    Raises BackboneError when it is another one; says so apart when at least the tokenizer fits.
    """
    backbone = open_backbone(gguf or published.gguf)
    wanted = published.config.backbone
    if backbone.id == wanted.sha256:
        return backbone
    same_words = tokenizer_sha256(backbone.path) == wanted.tokenizer_sha256
    differs = "other weights, with the same tokenizer" if same_words else "another tokenizer"
    raise BackboneError(
        f"{published.folder} belongs to the backbone {wanted.name} ({wanted.sha256[:12]}); {backbone.path} "
        f"({backbone.id[:12]}) has {differs}: give the right GGUF with --gguf."
    )


def install(published: Published, backbone: Backbone, backbones: Path) -> tuple[Path, Path | None]:
    """Copies weights, and the GGUF if it lies in the folder, below `backbones`; returns where both are.

    None for the GGUF: the embedded one.
    """
    target = backbones / published.config.clap_sha256[:16]
    target.mkdir(parents=True, exist_ok=True)
    write_atomically(target / CLAP, published.clap.read_bytes())
    gguf = None if backbone.id == open_backbone().id else backbone.path
    if gguf is not None and gguf == published.gguf:
        copied = target / gguf.name
        shutil.copyfile(gguf, copied)
        gguf = copied
    return target / CLAP, gguf


def model_card(config: Config) -> str:
    """In Hugging Face's format: a header that a hub reads, and the numbers for people."""
    data = ModelCardData(
        license=config.license, library_name="penpal", base_model=config.backbone.name, tags=["penpal", "latent-dpo"]
    )
    lines = [
        "---",
        data.to_yaml(),
        "---",
        "",
        f"# A latent space for {config.backbone.name}",
        "",
        "Posterior encoder and adapter (CLaP) for exactly one backbone, whose weights it neither holds nor changes:",
        f"the GGUF with SHA-256 `{config.backbone.sha256}`.",
        "Made with `penpal backbone sample`, `train` and `publish`.",
        "",
        "Use it: `penpal backbone add FOLDER`, with `--gguf FILE` unless it is the embedded backbone.",
        "",
        f"SHA-256 of `{CLAP}`: `{config.clap_sha256}`. Tokenizer: `{config.backbone.tokenizer_sha256}`.",
    ]
    if config.numbers:
        lines += ["", "## Held-out numbers", "", "| number | value |", "| --- | --- |"]
        lines += [f"| `{name}` | {_shown(value)} |" for name, value in config.numbers.items()]
    for length, rows in config.control.items():
        lines += [
            "",
            f"## What can be steered, drafts of {length} tokens",
            "",
            "Cohen's d of drafts for held-out prompts along the best direction of z against drafts at z = 0.",
            "",
            "| property | d | length of z | perplexity | generic |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {row['property']} | {row['effect']:.2f} | {row['length']:.0f} | {row['perplexity']:.2f} | "
            f"{row['perplexity_generic']:.2f} |"
            for row in rows
        ]
    for title, table in (("Sampled with", config.sampling), ("Trained with", config.training)):
        if table:
            lines += ["", f"## {title}", "", "| setting | value |", "| --- | --- |"]
            lines += [f"| `{name}` | {_shown(value)} |" for name, value in table.items()]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)

"""The CLaP encoder, the adapter and a personal encoder as one GGUF, bit for bit, beside their backbone's.

llama.cpp runs none of them by itself; the file is for programs that do, with the names and the metadata that
docs/running-it.md lists. Arrays keep their types (F16, F32) and names; the personal encoder's begin with `voice.`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFWriter
from numpy.typing import NDArray

from core.errors import PackError
from core.files import make_folder
from models.adapter import LATENT_POSITIONS
from models.backbone import Backbone
from models.checkpoint import Arrays
from models.personal_encoder import MAX_NORM, GaussianEncoder
from models.text_encoder import (
    LOG_VARIANCE_RANGE,
    LOG_VARIANCE_START,
    MAX_PROMPT_TOKENS,
    MAX_RESPONSE_TOKENS,
    POOLED_NORM_EPSILON,
    LlamaShape,
)

ARCHITECTURE = "penpal-latent"
FORMAT_VERSION = 1
LATENT, BACKBONE = "penpal-latent.gguf", "backbone.gguf"
VOICE = "voice."
PARTS = ("encoder.", "adapter.")
"""Of a CLaP; the rest is for PenPal's own check of llama.cpp."""
MAX_NAME_BYTES = 63
"""ggml's limit."""


def export_latent(
    path: Path, backbone: Backbone, clap_id: str, clap: Arrays, voice: GaussianEncoder, shape: LlamaShape
) -> dict[str, Any]:
    """Writes the file and returns its metadata. Raises PackError for a kind of writing with too long a name."""
    arrays = {name: array for name, array in clap.items() if name.startswith(PARTS)}
    arrays |= {f"{VOICE}{name}": array for name, array in voice.arrays().items()}
    if long := [name for name in arrays if len(name.encode()) > MAX_NAME_BYTES]:
        raise PackError(f"'{long[0]}' is too long a name for a GGUF: rename that kind of writing.")
    metadata = {
        "penpal.format_version": FORMAT_VERSION,
        "penpal.backbone.sha256": backbone.id,
        "penpal.clap.sha256": clap_id,
        "penpal.latent_size": len(voice.parts.mean),
        "penpal.latent_positions": LATENT_POSITIONS,
        "penpal.voice.max_norm": MAX_NORM,
        "penpal.encoder.embedding_length": shape.hidden,
        "penpal.encoder.feed_forward_length": shape.inner,
        "penpal.encoder.head_count": shape.heads,
        "penpal.encoder.head_count_kv": shape.kv_heads,
        "penpal.encoder.layer_norm_rms_epsilon": shape.norm_epsilon,
        "penpal.encoder.output_norm_epsilon": POOLED_NORM_EPSILON,
        "penpal.encoder.rope_freq_base": shape.rope_base,
        "penpal.encoder.rope_order": "halves",
        "penpal.encoder.log_variance_start": LOG_VARIANCE_START,
        "penpal.encoder.log_variance_min": LOG_VARIANCE_RANGE[0],
        "penpal.encoder.log_variance_max": LOG_VARIANCE_RANGE[1],
        "penpal.encoder.max_prompt_tokens": MAX_PROMPT_TOKENS,
        "penpal.encoder.max_response_tokens": MAX_RESPONSE_TOKENS,
    }
    _write(path, arrays, metadata)
    written, _ = read_latent(path)
    if any(written[name].tobytes() != array.tobytes() for name, array in arrays.items()):
        raise PackError(f"{path} was not written as it should be: is the disk in order?")
    return metadata


def _write(path: Path, arrays: Arrays, metadata: dict[str, Any]) -> None:
    make_folder(path.parent)
    partial = path.with_suffix(".partial")
    writer = GGUFWriter(partial, ARCHITECTURE)
    writer.add_name("PenPal latent space and voice")
    for key, value in metadata.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_float32(key, value)
    for name, array in arrays.items():
        writer.add_tensor(name, np.ascontiguousarray(array))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_latent(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """What `export_latent` wrote: arrays by name, and the metadata. Raises PackError for another file."""
    try:
        reader = GGUFReader(path)
    except (OSError, ValueError) as error:
        raise PackError(f"{path} is not a GGUF, or it is damaged.") from error
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields.get("general.architecture") != ARCHITECTURE:
        raise PackError(f"{path} holds no latent space: use a file that 'penpal export --gguf' wrote.")
    arrays: dict[str, NDArray[Any]] = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    return arrays, {name: value for name, value in fields.items() if name.startswith("penpal.")}


def put_beside(backbone: Backbone, folder: Path) -> Path:
    """A copy of the backbone in this folder."""
    target, partial = folder / BACKBONE, folder / f".{BACKBONE}.partial"
    try:
        shutil.copyfile(backbone.path, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target

"""The exported encoders with weights of 8 bits: a quarter of the size and twice as fast on a processor.

Not the adapter: its weights are in products that ONNX Runtime does not quantize, so it gets neither smaller nor faster.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import onnx

from core.files import write_atomically
from exporters.onnx_export import share_embedding
from models.onnx_encoder import POSTERIOR, VOICE, int8_file

MAX_KL = 0.02
"""Nats per token that drafts may differ by, between latents that this encoder and the exact one give the same text."""


def write_int8(folder: Path, *, reads_prompts: bool) -> list[Path]:
    """Writes `posterior.int8.onnx` beside an exported graph, and `voice.int8.onnx` for a voice with a reader."""
    return [_quantized(folder, name) for name in (POSTERIOR, *([VOICE] if reads_prompts else ()))]


def _quantized(folder: Path, name: str) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = folder / int8_file(name)
    # It advises a preparation which the exporter's own optimizer has done.
    logging.getLogger().addFilter(_no_advice)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch) / name
            quantize_dynamic(folder / name, made, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)
            model = onnx.load(made)
    finally:
        logging.getLogger().removeFilter(_no_advice)
    share_embedding(model, folder)
    write_atomically(target, model.SerializeToString())
    return target


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing" not in record.getMessage()

"""A model as Hugging Face keeps it, in a folder, to a GGUF: the llama family with byte-level BPE, and nothing else.

Written with gguf's own writer and its table of tensor names; what it does not know is refused by name. How llama.cpp
should cut texts into tokens is found by trying, on texts that tell tokenizers apart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gguf
import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor

from core.errors import BackboneError
from core.files import make_folder
from models.llama_runtime import LlamaModel

SUPPORTED = "LlamaForCausalLM"
TELLING_TEXTS = (
    "Hello, world! It's 2026; they're here, I'd say.",
    "In 1234567 days: 3.14159 ≈ π, 10% off — ٣٤٥ and ５６７",
    "\n\n\t  spaces   and\r\nlines \n \n  end  ",
    "Grüße, naïve café; Привет мир; 你好世界 こんにちは; 🙂👩‍👩‍👧 x²",
    "def f(x):\n    return x['a'] + 'b' * 2  # ok?!...",
    "DON'T WE'LL i'm 'tis ''' \"quoted\"",
)
PRE_TOKENIZERS = ("gpt-2", "smollm", "llama-bpe", "qwen2")
"""llama.cpp's names of ways to cut text before BPE; the first that gives the model's own tokens is right."""


@dataclass(frozen=True)
class HubModel:
    """A folder with `config.json`, `tokenizer.json` and weights in safetensors."""

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """Raises BackboneError for another kind of model than this file converts."""
        config = self._json("config.json")
        if config.get("architectures") != [SUPPORTED]:
            raise BackboneError(
                f"{self.folder} holds {', '.join(config.get('architectures') or ['no known model'])}; PenPal converts "
                f"{SUPPORTED}. For others, give a GGUF that llama.cpp's own converter made."
            )
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        kind = rope.get("rope_type", rope.get("type", "default"))
        odd = [name for name in ("attention_bias", "mlp_bias") if config.get(name)]
        odd += [f"rope_type '{kind}'"] if kind != "default" else []
        odd += [f"hidden_act '{config['hidden_act']}'"] if config.get("hidden_act", "silu") != "silu" else []
        if odd:
            raise BackboneError(f"{self.folder} has {', '.join(odd)}, which PenPal does not convert: give a GGUF.")
        return config

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Raises BackboneError unless it is byte-level BPE."""
        file = self.folder / "tokenizer.json"
        kind = self._json("tokenizer.json")
        pieces = json.dumps(kind.get("pre_tokenizer"))
        if kind.get("model", {}).get("type") != "BPE" or "ByteLevel" not in pieces:
            raise BackboneError(f"{file} is no byte-level BPE, the only kind that PenPal converts: give a GGUF.")
        return Tokenizer.from_file(str(file))

    @cached_property
    def tokenizer_config(self) -> dict[str, Any]:
        return self._json("tokenizer_config.json") if (self.folder / "tokenizer_config.json").exists() else {}

    @property
    def chat_template(self) -> str | None:
        """From the file of its own that newer folders have, or from the tokenizer's settings."""
        file = self.folder / "chat_template.jinja"
        template = file.read_text(encoding="utf-8") if file.exists() else self.tokenizer_config.get("chat_template")
        return template if isinstance(template, str) else None

    def merges(self) -> list[str]:
        """Pairs of tokens in the order in which BPE joins them, each with a space between."""
        found = self._json("tokenizer.json")["model"]["merges"]
        return [merge if isinstance(merge, str) else " ".join(merge) for merge in found]

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Raises BackboneError without safetensors, or when one is damaged."""
        files = sorted(self.folder.glob("*.safetensors"))
        if not files:
            raise BackboneError(f"{self.folder} holds no .safetensors: PenPal opens no other kind of weights.")
        for path in files:
            try:
                with safe_open(path, framework="pt") as file:
                    for name in file.keys():  # noqa: SIM118 (not a dict)
                        yield name, file.get_tensor(name)
            except SafetensorError as error:
                raise BackboneError(f"{path} is damaged ({error}).") from error

    def _json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BackboneError(f"{self.folder} is no model's folder: its {name} is missing or damaged.") from error
        if not isinstance(found, dict):
            raise BackboneError(f"{self.folder / name} is not what it should be.")
        return found


def convert(folder: Path, target: Path) -> Path:
    """Writes a GGUF with the weights as they are: BF16, F16 or F32, norms in F32.

    Raises BackboneError, naming what, for a model that it does not know.
    """
    model = HubModel(folder)
    make_folder(target.parent)
    partial = target.with_suffix(".partial")
    try:
        for pre_tokenizer in PRE_TOKENIZERS:
            _write(model, partial, pre_tokenizer, vocabulary_only=True)
            if reads_alike(model, partial):
                break
        else:
            raise BackboneError(f"{folder}: llama.cpp knows no tokenizer like this one's: give a GGUF.")
        _write(model, partial, pre_tokenizer)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def reads_alike(model: HubModel, path: Path) -> bool:
    """Whether llama.cpp makes the model's own tokens of texts that tell tokenizers apart."""
    opened = LlamaModel(path, vocabulary_only=True)
    try:
        return all(
            opened.tokenize(text) == model.tokenizer.encode(text, add_special_tokens=False).ids
            for text in TELLING_TEXTS
        )
    finally:
        opened.close()


def _write(model: HubModel, path: Path, pre_tokenizer: str, *, vocabulary_only: bool = False) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    _add_shape(writer, model)
    _add_tokenizer(writer, model, pre_tokenizer)
    if not vocabulary_only:
        _add_weights(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, model: HubModel) -> None:
    config = model.config
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_size = config.get("head_dim") or hidden // heads
    rope = config.get("rope_parameters") or {}
    writer.add_name(str(config.get("_name_or_path") or model.folder.name))
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: gguf.GGUFWriter, model: HubModel, pre_tokenizer: str) -> None:
    vocabulary = model.tokenizer.get_vocab(with_added_tokens=True)
    named = {token_id: token for token, token_id in vocabulary.items()}
    special = {i for i, token in model.tokenizer.get_added_tokens_decoder().items() if token.special}
    added = set(model.tokenizer.get_added_tokens_decoder())
    tokens, kinds = [], []
    for i in range(model.config["vocab_size"]):
        tokens.append(named.get(i, f"[PAD{i}]"))
        if i not in named:
            kinds.append(gguf.TokenType.UNUSED)
        elif i in special:
            kinds.append(gguf.TokenType.CONTROL)
        else:
            kinds.append(gguf.TokenType.USER_DEFINED if i in added else gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(model.merges())
    for name, add in (
        ("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id),
        ("unk", writer.add_unk_token_id), ("pad", writer.add_pad_token_id),
    ):  # fmt: skip
        if (found := _token_id(model, name, vocabulary)) is not None:
            add(found)
    writer.add_add_bos_token(bool(model.tokenizer_config.get("add_bos_token", False)))
    writer.add_add_space_prefix(False)
    if model.chat_template:
        writer.add_chat_template(model.chat_template)


def _token_id(model: HubModel, name: str, vocabulary: dict[str, int]) -> int | None:
    """The tokenizer's own word before the model's settings, which for chat models often name another end."""
    token = model.tokenizer_config.get(f"{name}_token")
    token = token.get("content") if isinstance(token, dict) else token
    if isinstance(token, str) and token in vocabulary:
        return vocabulary[token]
    configured = model.config.get(f"{name}_token_id")
    return configured if isinstance(configured, int) else None


def _add_weights(writer: gguf.GGUFWriter, model: HubModel) -> None:
    config = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = config["num_attention_heads"]
    key_heads = config.get("num_key_value_heads") or heads
    file_types = {torch.bfloat16: gguf.LlamaFileType.MOSTLY_BF16, torch.float16: gguf.LlamaFileType.MOSTLY_F16}
    file_type = gguf.LlamaFileType.ALL_F32
    for name, weight in model.weights():
        if name.endswith("rotary_emb.inv_freq"):  # of old folders: computed anew
            continue
        if name == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        target = names.get_name(name, try_suffixes=(".weight",))
        if target is None:
            raise BackboneError(f"{model.folder}: '{name}' is no weight of a {SUPPORTED}: give a GGUF.")
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            weight = interleaved(weight, heads if "q_proj" in name else key_heads)
        if weight.ndim > 1:
            file_type = file_types.get(weight.dtype, file_type)
        _add(writer, target, weight)
    writer.add_file_type(file_type)


def interleaved(rows: Tensor, heads: int) -> Tensor:
    """[heads * d, H] in llama.cpp's order: rows i and i + d/2 of a head become 2i and 2i + 1."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def _add(writer: gguf.GGUFWriter, name: str, weight: Tensor) -> None:
    if weight.ndim == 1:  # llama.cpp multiplies by norms in float32
        writer.add_tensor(name, weight.float().numpy())
    elif weight.dtype == torch.bfloat16:  # NumPy has no such type
        data = weight.contiguous().view(torch.uint16).numpy()
        writer.add_tensor(name, data, raw_shape=data.shape, raw_dtype=gguf.GGMLQuantizationType.BF16)
    else:
        writer.add_tensor(name, weight.contiguous().numpy())

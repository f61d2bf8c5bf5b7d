"""A thin typed layer over llama.cpp's C API: weights, context, batches, token sampler.

Knows nothing of latents, prompts or people. Everything here is freed by `close()`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from llama_cpp import llama_cpp as lib
from numpy.typing import NDArray

from core.errors import BackboneError, LatentStateError
from core.protocols import Sampling

ALL_POSITIONS = -1
ALL_LAYERS = 999
"""More than any backbone has, and one for the output."""


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _drop_log(_level: int, _text: bytes, _user: ctypes.c_void_p) -> None:
    """llama.cpp writes to stderr by default, which would tear the TUI's screen."""


def _start_backend() -> None:
    lib.llama_log_set(_drop_log, ctypes.c_void_p(0))
    lib.llama_backend_init()


def cpu_threads() -> int:
    """Cores this process may use; more threads than cores make ggml's spinning threads crawl."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@dataclass(frozen=True)
class Entry:
    """One token to decode: its id, its position, its sequence, and whether its logits are wanted."""

    token: int
    position: int
    sequence: int
    wants_logits: bool = False


class LlamaModel:
    """The weights and the tokenizer of one GGUF file."""

    def __init__(self, path: Path, *, gpu_layers: int | None = None, vocabulary_only: bool = False) -> None:
        """`gpu_layers`: how many a GPU computes; None is all of them, where there is a GPU that llama.cpp can use.

        `vocabulary_only` reads the tokenizer and no weights. Raises BackboneError for a file it cannot load.
        """
        _start_backend()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = (ALL_LAYERS if gpu_layers is None else gpu_layers) if offloads_to_gpu() else 0
        self.gpu_layers = 0
        """How many of them a GPU computes."""
        params.vocab_only = vocabulary_only
        self.path = path
        self._model = lib.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise BackboneError(f"llama.cpp cannot load {path}: not a GGUF file of a model it knows, or damaged.")
        self._vocab = lib.llama_model_get_vocab(self._model)
        if params.n_gpu_layers and not vocabulary_only:
            self.gpu_layers = min(params.n_gpu_layers, self.layers)
        self.vocab_size = int(lib.llama_vocab_n_tokens(self._vocab))
        self.trained_context_tokens = int(lib.llama_model_n_ctx_train(self._model))

    # Properties, because llama.cpp aborts the whole process when they are asked of a vocabulary without weights.

    @property
    def layers(self) -> int:
        return int(lib.llama_model_n_layer(self._model))

    @property
    def kv_heads(self) -> int:
        return int(lib.llama_model_n_head_kv(self._model))

    @property
    def head_size(self) -> int:
        return int(lib.llama_model_n_embd(self._model)) // int(lib.llama_model_n_head(self._model))

    def tokenize(self, text: str) -> list[int]:
        """Token ids, special tokens parsed, none added."""
        ids, count = self._tokenized(text)
        return list(ids[:count])

    def count_tokens(self, text: str) -> int:
        """How many tokens `tokenize` would return. A list of a million integers would stop all other threads."""
        return self._tokenized(text)[1]

    def _tokenized(self, text: str) -> tuple[ctypes.Array[ctypes.c_int32], int]:
        raw = text.encode()
        room = len(raw) + 16
        ids = (ctypes.c_int32 * room)()
        count = lib.llama_tokenize(self._vocab, raw, len(raw), ids, room, False, True)
        assert count >= 0, "a token is never shorter than one byte"
        return ids, count

    def metadata(self, key: str) -> str | None:
        """One text field of the GGUF, without parsing its vocabulary."""
        buffer = ctypes.create_string_buffer(1 << 16)
        length = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode() if length >= 0 else None

    def piece(self, token: int) -> bytes:
        """The bytes of one token, not always a whole UTF-8 character. Special tokens give nothing."""
        buffer = ctypes.create_string_buffer(256)
        count = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(count, 0)]

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens say, without a character that is broken at their end."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "ignore").strip()

    def ends_text(self, token: int) -> bool:
        return bool(lib.llama_vocab_is_eog(self._vocab, token))

    def close(self) -> None:
        if self._model:
            lib.llama_model_free(self._model)
            self._model = None


class LlamaContext:
    """A key/value cache with several sequences over one model. Not for use by two threads at once."""

    def __init__(
        self,
        model: LlamaModel,
        *,
        tokens: int,
        sequences: int,
        unified: bool,
        flash_attention: bool = True,
        threads: int | None = None,
    ) -> None:
        """`unified`: one pool of cells, so sequences can share a prefix without copying.

        Separate streams (`unified=False`) attend to their own cells only: 1.4 times as fast for 32 independent texts.
        """
        params = lib.llama_context_default_params()
        params.n_ctx = tokens
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = sequences
        params.kv_unified = unified
        params.flash_attn_type = int(flash_attention)
        self.threads = threads or cpu_threads()
        params.n_threads = params.n_threads_batch = self.threads
        self.model = model
        self.tokens = tokens
        self.batch_tokens = 512
        self._context = lib.llama_init_from_model(model._model, params)
        if not self._context:
            raise BackboneError(f"llama.cpp cannot make a context of {tokens} tokens: not enough memory?")
        self._memory = lib.llama_get_memory(self._context)

    def decode(self, entries: Sequence[Entry]) -> None:
        """Runs the entries through the model and adds them to the cache. At most `batch_tokens` of them."""
        assert 0 < len(entries) <= self.batch_tokens
        batch = lib.llama_batch_init(len(entries), 0, 1)
        try:
            batch.n_tokens = len(entries)
            for i, entry in enumerate(entries):
                batch.token[i], batch.pos[i] = entry.token, entry.position
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, entry.sequence
                batch.logits[i] = entry.wants_logits
            if status := lib.llama_decode(self._context, batch):
                raise BackboneError(f"llama.cpp could not decode a batch (status {status}): the context is full.")
        finally:
            lib.llama_batch_free(batch)

    def logits(self, index: int) -> NDArray[np.float32]:
        """[V] float32: a copy of the logits of the last batch's entry `index`."""
        pointer = lib.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, shape=(self.model.vocab_size,)).copy()

    def forget(self, sequence: int = ALL_POSITIONS, *, from_position: int = 0) -> None:
        """Drops a sequence's cells from a position on; without arguments, everything."""
        if sequence == ALL_POSITIONS:
            lib.llama_memory_clear(self._memory, True)
        else:
            lib.llama_memory_seq_rm(self._memory, sequence, from_position, ALL_POSITIONS)

    def share(self, source: int, target: int) -> None:
        """Lets `target` see the cells of `source`; in a unified cache no data moves."""
        lib.llama_memory_seq_cp(self._memory, source, target, ALL_POSITIONS, ALL_POSITIONS)

    def state(self, sequence: int) -> bytes:
        """The cells of one sequence in llama.cpp's private layout (see `latent_kv`)."""
        size = lib.llama_state_seq_get_size(self._context, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = lib.llama_state_seq_get_data(self._context, buffer, size, sequence)
        if written != size:
            raise LatentStateError(f"llama.cpp wrote {written} of {size} bytes of its cache state.")
        return bytes(buffer)

    def restore(self, sequence: int, state: bytes | bytearray) -> None:
        """Replaces one sequence by a state. Raises LatentStateError when llama.cpp does not take all of it."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        taken = lib.llama_state_seq_set_data(self._context, buffer, len(state), sequence)
        if taken != len(state):
            raise LatentStateError(f"llama.cpp took {taken} of {len(state)} bytes of a cache state.")

    def save_session(self, path: Path, tokens: Sequence[int]) -> None:
        """The whole cache and the tokens that stand for it, as llama.cpp's own tools keep a prompt."""
        ids = (lib.llama_token * len(tokens))(*tokens)
        if not lib.llama_state_save_file(self._context, str(path).encode(), ids, len(tokens)):
            raise LatentStateError(f"llama.cpp could not write {path}: is the disk full?")

    def save_sequence(self, path: Path, sequence: int, tokens: Sequence[int]) -> None:
        """One sequence of the cache and its tokens, as llama.cpp's server keeps a slot."""
        ids = (lib.llama_token * len(tokens))(*tokens)
        if not lib.llama_state_seq_save_file(self._context, str(path).encode(), sequence, ids, len(tokens)):
            raise LatentStateError(f"llama.cpp could not write {path}: is the disk full?")

    def close(self) -> None:
        if self._context:
            lib.llama_free(self._context)
            self._context = None


class TokenSampler:
    """llama.cpp's sampler chain for one draft: top-p, min-p, temperature, seeded draw."""

    def __init__(self, sampling: Sampling, seed: int) -> None:
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if sampling.temperature <= 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
        else:
            # The first 200 tokens hold all the mass that top-p keeps in practice, and spare sorting 49,152.
            for step in (
                lib.llama_sampler_init_top_k(200),
                lib.llama_sampler_init_top_p(sampling.top_p, 1),
                lib.llama_sampler_init_min_p(sampling.min_p, 1),
                lib.llama_sampler_init_temp(sampling.temperature),
                lib.llama_sampler_init_dist(seed & 0xFFFFFFFF),
            ):
                lib.llama_sampler_chain_add(chain, step)
        self._chain = chain

    def draw(self, context: LlamaContext, index: int) -> int:
        """The next token after the last batch's entry `index`."""
        return int(lib.llama_sampler_sample(self._chain, context._context, index))

    def close(self) -> None:
        if self._chain:
            lib.llama_sampler_free(self._chain)
            self._chain = None


FileType = Literal["F32", "F16", "BF16", "Q8_0", "Q5_K_M", "Q4_K_M", "Q4_0"]
FILE_TYPES: dict[FileType, int] = {
    "F32": lib.LLAMA_FTYPE_ALL_F32,
    "F16": lib.LLAMA_FTYPE_MOSTLY_F16,
    "BF16": lib.LLAMA_FTYPE_MOSTLY_BF16,
    "Q8_0": lib.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q5_K_M": lib.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "Q4_K_M": lib.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q4_0": lib.LLAMA_FTYPE_MOSTLY_Q4_0,
}
"""llama.cpp's numbers of file types, the first three without block quantization."""


def write_gguf_as(source: Path, target: Path, kind: FileType) -> Path:
    """The same weights in another format, by llama.cpp's own quantizer; a target that is there is left as it is.

    On CPUs with bf16 units, batches decode twice as fast from BF16 as from Q4_1.
    """
    if target.exists():
        return target
    _start_backend()
    target.parent.mkdir(parents=True, exist_ok=True)
    params = lib.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[kind]
    params.allow_requantize = True
    params.nthread = cpu_threads()
    partial = target.with_suffix(".partial")
    try:
        if status := lib.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(params)):
            raise BackboneError(f"llama.cpp could not write {source} as {kind} (status {status}): is the disk full?")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def offloads_to_gpu() -> bool:
    """Whether this build of llama.cpp can compute on a GPU, and finds one."""
    _start_backend()
    return bool(lib.llama_supports_gpu_offload())

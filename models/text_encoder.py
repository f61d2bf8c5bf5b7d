"""The posterior encoder without torch: prompts and responses in, Gaussians over the latent out, in NumPy.

Equal to `models.encoder.LatentEncoder` (a test compares). Of the backbone only the tokenizer and the token embedding
are read. Texts are laid end to end, so nothing is padding, and responses to one prompt share its keys and values.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from core.errors import BackboneError, PackError
from core.protocols import Message
from models.backbone import Backbone, ChatTemplate
from models.checkpoint import Arrays, write_arrays
from models.gguf_header import read_by_gguf
from models.latent_dpo import Posteriors
from models.llama_runtime import LlamaModel

Floats = NDArray[np.float32]
Tokens = tuple[int, ...]

LOG_VARIANCE_START = -3.0
LOG_VARIANCE_RANGE = (-8.0, 2.0)
POOLED_NORM_EPSILON = float(np.finfo(np.float32).eps)
"""What torch's nn.RMSNorm takes when it is given none; the layers have the backbone's own."""
MAX_PROMPT_TOKENS = 1024
MAX_RESPONSE_TOKENS = 256
LAYERS = ("encoder.layers.", "encoder.norm.")
"""How the names of what a person may have a copy of begin."""
BATCH_TOKENS = MAX_PROMPT_TOKENS + 2 * MAX_RESPONSE_TOKENS
"""A pair is always one batch. Larger batches are no faster, and keep a caller waiting who wants the cores."""
MAX_TOKEN_CHARACTERS = 64
"""Text that is cut anyway is cut roughly before it is tokenized, which takes a second per megabyte."""


class LlamaShape(NamedTuple):
    """Sizes and constants of a backbone of the llama family."""

    hidden: int
    inner: int
    heads: int
    kv_heads: int
    norm_epsilon: float
    rope_base: float

    @classmethod
    def read(cls, model: LlamaModel) -> LlamaShape:
        """From the GGUF's metadata. Raises BackboneError for another family."""

        def field(name: str) -> float:
            if (value := model.metadata(f"llama.{name}")) is None:
                raise BackboneError(f"{model.path} lacks 'llama.{name}': PenPal needs a backbone of the llama family.")
            return float(value)

        return cls(
            hidden=int(field("embedding_length")),
            inner=int(field("feed_forward_length")),
            heads=int(field("attention.head_count")),
            kv_heads=int(field("attention.head_count_kv")),
            norm_epsilon=field("attention.layer_norm_rms_epsilon"),
            rope_base=field("rope.freq_base"),
        )

    @property
    def head_size(self) -> int:
        return self.hidden // self.heads

    def layer_arrays(self) -> dict[str, tuple[int, ...]]:
        """Shapes of one layer's weights by name."""
        return layer_arrays(self.hidden, self.kv_heads * self.head_size, self.inner)


def layer_arrays(hidden: int, keys: int, inner: int) -> dict[str, tuple[int, ...]]:
    """Shapes of one layer's weights by the names that transformers gives them; `keys`: of all key heads together."""
    return {
        "input_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (hidden, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, hidden),
        "post_attention_layernorm.weight": (hidden,),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
    }


class Span(NamedTuple):
    """Rows of a batch that hold one text, and those of the prompt that it continues."""

    prompt: slice
    rows: slice


class Layer:
    """One decoder layer, its weights ready for `states @ weights`: transposed, joined, with the norms' gains."""

    def __init__(self, weights: Mapping[str, Floats], shape: LlamaShape) -> None:
        """`weights` by the names of `LlamaShape.layer_arrays`."""
        self._shape = shape
        query, key, value, out = (weights[f"self_attn.{name}_proj.weight"] for name in "qkvo")
        gate, up, down = (weights[f"mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
        qkv = np.concatenate([query * np.float32(shape.head_size**-0.5), key, value])
        gate_up = np.concatenate([gate, up])
        self._qkv = np.ascontiguousarray((qkv * weights["input_layernorm.weight"]).T)
        self._out = np.ascontiguousarray(out.T)
        self._gate_up = np.ascontiguousarray((gate_up * weights["post_attention_layernorm.weight"]).T)
        self._down = np.ascontiguousarray(down.T)

    def __call__(self, states: Floats, spans: Sequence[Span], angles: Floats) -> Floats:
        """[T, H] -> [t, H]: new states of the rows of `spans`, which are the last t; `angles` [T, 1, d/2]."""
        shape = self._shape
        qkv = (rms_normed(states, shape.norm_epsilon) @ self._qkv).reshape(len(states), -1, shape.head_size)
        queries_keys, values = np.split(qkv, [shape.heads + shape.kv_heads], 1)
        queries, keys = np.split(rotated(queries_keys, angles), [shape.heads], 1)
        attended: Floats = np.concatenate([attention(queries, keys, values, span) for span in spans]) @ self._out
        states = states[len(states) - len(attended) :] + attended
        gate, up = np.split(rms_normed(states, shape.norm_epsilon) @ self._gate_up, 2, 1)
        new: Floats = states + (silu(gate) * up) @ self._down
        return new


class TextEncoder:
    """q(z given x, y) of one backbone, without its language model: embedding, tokenizer, a few layers."""

    def __init__(
        self, backbone: Backbone, clap: Arrays, cache_file: Path | None = None, *, tokenizer: LlamaModel | None = None
    ) -> None:
        """`cache_file` keeps the token embedding. Raises BackboneError when the CLaP does not fit the backbone.

        `tokenizer`: the same backbone where it is loaded anyway, which saves 18 MB; it stays its owner's to close.
        """
        self._owns_tokenizer = tokenizer is None
        self._tokenizer = tokenizer or LlamaModel(backbone.path, vocabulary_only=True)
        self._template = ChatTemplate(self._tokenizer.metadata("tokenizer.chat_template"))
        self.shape = shape = LlamaShape.read(self._tokenizer)
        self._use(clap)
        exponents = np.arange(0, shape.head_size, 2, dtype=np.float32) / np.float32(shape.head_size)
        self._frequencies = np.float32(shape.rope_base) ** -exponents
        self.embedding = token_embedding(backbone, cache_file, (self._tokenizer.vocab_size, shape.hidden))

    def _use(self, clap: Arrays) -> None:
        weights, self._clap = encoder_weights(clap, self.shape), clap
        self._layers = [
            Layer({name: weights[f"layers.{i}.{name}"] for name in self.shape.layer_arrays()}, self.shape)
            for i in range(layer_count(weights))
        ]
        self._norm, self._head, self._bias = weights["norm.weight"], weights["head.weight"].T, weights["head.bias"]

    @property
    def layers(self) -> Arrays:
        """The layers and the last norm as in the CLaP, by their names there without 'encoder.'."""
        return layers_of(self._clap)

    def with_layers(self, layers: Arrays) -> TextEncoder:
        """This encoder with other layers (named as in `layers`); tokenizer and embedding are shared, and closed once.

        Raises PackError when they do not fit the backbone.
        """
        other = copy.copy(self)
        kept = {name: array for name, array in self._clap.items() if not name.startswith(LAYERS)}
        try:
            other._use(kept | {f"encoder.{name}": array for name, array in layers.items()})
        except BackboneError as error:
            raise PackError(f"These personal layers cannot be used. {error}") from error
        return other

    def posteriors(
        self,
        texts: Sequence[tuple[Sequence[Message], str]],
        progress: Callable[[float], None] = lambda share: None,
        between: Callable[[], None] = lambda: None,
    ) -> Posteriors:
        """[B, D] twice: posteriors of responses to conversations.

        Of a response the first MAX_RESPONSE_TOKENS count, of a prompt the last MAX_PROMPT_TOKENS; an empty response is
        read as its prompt's last token. `progress` hears the share that is done; `between` is called between batches
        of about BATCH_TOKENS, so that a caller can lend the cores to something else, or stop by raising.
        """
        pairs = [self.token_pair(messages, text) for messages, text in texts]
        mean, log_variance = np.split(self._pooled(pairs, progress, between) @ self._head + self._bias, 2, 1)
        return Posteriors(mean.copy(), np.clip(log_variance + np.float32(LOG_VARIANCE_START), *LOG_VARIANCE_RANGE))

    def prompt_features(self, prompts: Sequence[Sequence[Message]]) -> Floats:
        """[B, H]: the last normalised states, averaged over each rendered prompt (its last MAX_PROMPT_TOKENS)."""
        return self._pooled([((), self.prompt_ids(messages)) for messages in prompts])

    def close(self) -> None:
        """Frees the tokenizer if it is its own; the encoder is not used afterwards."""
        if self._owns_tokenizer:
            self._tokenizer.close()

    def token_pair(self, messages: Sequence[Message], text: str) -> tuple[Tokens, Tokens]:
        """The tokens of a prompt and of a response that `posteriors` reads."""
        prompt = self.prompt_ids(messages)
        ids = self._tokenizer.tokenize(text[: MAX_RESPONSE_TOKENS * MAX_TOKEN_CHARACTERS])[:MAX_RESPONSE_TOKENS]
        return (prompt, tuple(ids)) if ids else (prompt[:-1], prompt[-1:])

    def prompt_ids(self, messages: Sequence[Message]) -> Tokens:
        """The rendered prompt's last MAX_PROMPT_TOKENS tokens."""
        text = self._template.render(messages)[-MAX_PROMPT_TOKENS * MAX_TOKEN_CHARACTERS :]
        return tuple(self._tokenizer.tokenize(text)[-MAX_PROMPT_TOKENS:])

    def _pooled(
        self,
        pairs: Sequence[tuple[Tokens, Tokens]],
        progress: Callable[[float], None] = lambda share: None,
        between: Callable[[], None] = lambda: None,
    ) -> Floats:
        """[B, H]: normalised states, averaged over the second part of each pair; zeros where that is empty."""
        pooled = np.zeros((len(pairs), self.shape.hidden), np.float32)
        done = 0
        for batch in batches(pairs):
            if done:
                between()
            states = self._states([pairs[i] for i in batch])
            ends = np.cumsum([len(pairs[i][1]) for i in batch])
            for i, rows in zip(batch, np.split(states, ends[:-1]), strict=True):
                pooled[i] = rows.mean(0)
            done += len(batch)
            progress(done / len(pairs))
        return pooled

    def _states(self, pairs: Sequence[tuple[Tokens, Tokens]]) -> Floats:
        """[T, H]: normalised states of the second parts, one after the other."""
        ids, positions, spans = laid_out(pairs)
        angles = np.array(positions, np.float32)[:, None, None] * self._frequencies
        states = self.embedding[ids].astype(np.float32)
        for layer in self._layers[:-1]:
            states = layer(states, spans, angles)
        # The last layer needs no more of the prompts than their keys and values.
        states = self._layers[-1](states, spans[-len(pairs) :], angles)
        return rms_normed(states, POOLED_NORM_EPSILON) * self._norm


def batches(pairs: Sequence[tuple[Tokens, Tokens]]) -> Iterator[list[int]]:
    """Indices of pairs, at most BATCH_TOKENS together, those with one prompt side by side; none without second part."""
    batch: list[int] = []
    tokens = 0
    for i in sorted((i for i, (_, response) in enumerate(pairs) if response), key=pairs.__getitem__):
        prompt, response = pairs[i]
        shared = bool(batch) and pairs[batch[-1]][0] == prompt
        tokens += len(response) + (0 if shared else len(prompt))
        if batch and tokens > BATCH_TOKENS:
            yield batch
            batch, tokens = [], len(prompt) + len(response)
        batch.append(i)
    if batch:
        yield batch


def laid_out(pairs: Sequence[tuple[Tokens, Tokens]]) -> tuple[list[int], list[int], list[Span]]:
    """Token ids and positions [T] of all prompts, each once, and then of all responses; and the span of each."""
    ids: list[int] = []
    positions: list[int] = []
    spans: list[Span] = []

    def add(text: Tokens, prompt: slice) -> slice:
        first = prompt.stop - prompt.start
        rows = slice(len(ids), len(ids) + len(text))
        ids.extend(text)
        positions.extend(range(first, first + len(text)))
        spans.append(Span(prompt, rows))
        return rows

    prompts: dict[Tokens, slice] = {(): (nothing := slice(0, 0))}
    for prompt, _ in pairs:
        if prompt not in prompts:
            prompts[prompt] = add(prompt, nothing)
    for prompt, response in pairs:
        add(response, prompts[prompt])
    return ids, positions, spans


def attention(queries: Floats, keys: Floats, values: Floats, span: Span) -> Floats:
    """[t, heads * d]: causal grouped-query attention of one span, from a batch's [T, heads, d] and [T, G, d] twice."""
    query = queries[span.rows]
    key, value = (np.concatenate([x[span.prompt], x[span.rows]]).transpose(1, 0, 2) for x in (keys, values))
    count, heads, size = query.shape
    groups, seen, _ = key.shape
    grouped = query.reshape(count, groups, -1, size).transpose(1, 2, 0, 3)  # [G, heads/G, t, d]
    scores = grouped.reshape(groups, -1, size) @ key.transpose(0, 2, 1)
    own = scores.reshape(groups, -1, count, seen)[..., seen - count :]
    own += np.triu(np.full((count, count), -np.inf, np.float32), 1)
    np.exp(scores - scores.max(-1, keepdims=True), out=scores)
    scores /= scores.sum(-1, keepdims=True)
    mixed: Floats = (scores @ value).reshape(grouped.shape)
    return mixed.transpose(2, 0, 1, 3).reshape(count, heads * size)


def rotated(heads: Floats, angles: Floats) -> Floats:
    """RoPE (arXiv 2104.09864) on [T, heads, d], whose halves are the two coordinates, as in transformers."""
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = np.split(heads, 2, -1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def rms_normed(states: Floats, epsilon: float) -> Floats:
    """Rows [T, H] over their root mean square; the gain is the caller's."""
    mean_square = np.vecdot(states, states) / np.float32(states.shape[1])
    normed: Floats = states / np.sqrt(mean_square + np.float32(epsilon))[:, None]
    return normed


def silu(x: Floats) -> Floats:
    """x times its logistic function, by tanh, which never overflows."""
    half = np.float32(0.5)
    activated: Floats = x * (half + half * np.tanh(half * x))
    return activated


def layers_of(clap: Arrays) -> Arrays:
    """The frozen encoder's layers and last norm, by the names that they have in an encoder with its own."""
    return {name.removeprefix("encoder."): array for name, array in clap.items() if name.startswith(LAYERS)}


def encoder_weights(clap: Arrays, shape: LlamaShape) -> dict[str, Floats]:
    """The encoder's weights in fp32. Raises BackboneError unless they are exactly those that fit the backbone."""
    found = {name.removeprefix("encoder."): array for name, array in clap.items() if name.startswith("encoder.")}
    latent_size = found["head.bias"].size // 2 if "head.bias" in found else 0
    expected: dict[str, tuple[int, ...]] = {
        "norm.weight": (shape.hidden,),
        "head.bias": (2 * latent_size,),
        "head.weight": (2 * latent_size, shape.hidden),
    }
    for i in range(max(1, layer_count(found))):
        expected |= {f"layers.{i}.{name}": size for name, size in shape.layer_arrays().items()}
    for name in expected | found:
        has = f"of shape {found[name].shape}" if name in found else "absent"
        needs = f"of shape {expected[name]}" if name in expected else "absent"
        if has != needs:
            raise BackboneError(f"The CLaP does not fit its backbone: 'encoder.{name}' is {has}, it should be {needs}.")
    return {name: array.astype(np.float32) for name, array in found.items()}


def layer_count(weights: Mapping[str, object]) -> int:
    """How many layers have weights."""
    return len({name.split(".")[1] for name in weights if name.startswith("layers.")})


def token_embedding(backbone: Backbone, cache_file: Path | None, shape: tuple[int, int]) -> NDArray[np.float16]:
    """[V, H]: the backbone's token embedding, kept in `cache_file`, since parsing the GGUF takes a second."""
    if cache_file is not None and (kept := mapped_embedding(cache_file, shape)) is not None:
        return kept
    from gguf import GGUFReader
    from gguf.quants import dequantize

    with read_by_gguf(backbone.path):
        tensor = next(t for t in GGUFReader(backbone.path).tensors if t.name == "token_embd.weight")
        embedding = dequantize(tensor.data, tensor.tensor_type).astype(np.float16)
    if cache_file is not None:
        write_arrays(cache_file, {"embedding": embedding}, {"backbone": backbone.id})
    return embedding


def mapped_embedding(path: Path, shape: tuple[int, int]) -> NDArray[np.float16] | None:
    """What `token_embedding` keeps, unread until rows are used. None for a missing, damaged or unfit file."""
    try:
        with safe_open(path, framework="numpy") as file:
            kept = file.get_slice("embedding")
            fits = (kept.get_dtype(), *kept.get_shape()) == ("F16", *shape)
    except (OSError, SafetensorError):
        return None
    # The array is the file's only one, and safe_open has checked that arrays fill the file to its end.
    return np.memmap(path, np.float16, "r", path.stat().st_size - 2 * shape[0] * shape[1], shape) if fits else None

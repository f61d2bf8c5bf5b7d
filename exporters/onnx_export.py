"""Both encoders and the adapter as ONNX graphs, with the page that says what goes in and what comes out.

`posterior.onnx`: q(z given x, y). `voice.onnx`: the personal encoder. `adapter.onnx`: a latent to key/value entries.
The token embedding, which the encoders share, lies once in `embedding.data`. Needs torch; running them does not.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor, nn
from torch.export import Dim
from transformers import LlamaForCausalLM

from core.files import write_atomically
from models.adapter import LATENT_POSITIONS, Adapter, rotate
from models.backbone import Backbone, load_torch
from models.checkpoint import Arrays
from models.decoder_torch import adapter_from
from models.encoder import LatentEncoder
from models.onnx_encoder import ABOUT, ADAPTER, FORMAT, POSTERIOR, VOICE
from models.personal_encoder import MAX_NORM, GaussianEncoder
from models.personal_layers import llama_config
from models.text_encoder import MAX_PROMPT_TOKENS, MAX_RESPONSE_TOKENS, TextEncoder, layer_count

OPSET = 20
EMBEDDING = "embedding.data"
ABOUT_FORMAT_VERSION = 1
_TRACED_ROWS, _TRACED_TOKENS = 2, 5
"""Of the example that torch follows through a graph; any other numbers run as well."""


class PosteriorGraph(nn.Module):
    """ids, is_text, is_response [B, T] -> mean, log_variance [B, D]."""

    def __init__(self, encoder: LatentEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, is_text: Tensor, is_response: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.encoder.posterior(self.encoder.read(ids, is_text, is_response))
        return mean, log_variance


class VoiceGraph(nn.Module):
    """context [B], and ids, is_text [B, T] if the voice reads prompts -> mean, log_variance [B, D]."""

    def __init__(self, voice: GaussianEncoder, reader: LatentEncoder | None) -> None:
        """`reader`: the layers that the voice reads prompts with; None for a voice that reads none."""
        super().__init__()
        parts = voice.parts
        shifts = np.stack([np.zeros_like(parts.mean), *(parts.contexts[name] for name in parts.contexts)])
        self.register_buffer("means", torch.from_numpy(parts.mean + shifts).float())
        self.register_buffer("log_variance", torch.from_numpy(parts.log_variance).float())
        self.reader = reader
        if reader is not None and parts.head is not None and parts.center is not None:
            self.register_buffer("center", torch.from_numpy(parts.center).float())
            self.register_buffer("head", torch.from_numpy(parts.head).float())

    def forward(
        self, context: Tensor, ids: Tensor | None = None, is_text: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        means: Tensor = self.get_buffer("means")
        mean = means[context]
        if self.reader is not None and ids is not None and is_text is not None:
            features = self.reader.read(ids, is_text, is_text)
            mean = mean + (features - self.get_buffer("center")) @ self.get_buffer("head")
        length = mean.norm(dim=-1, keepdim=True).clamp(min=1e-9)
        return mean * (MAX_NORM / length).clamp(max=1), self.get_buffer("log_variance").expand_as(mean)


class AdapterGraph(nn.Module):
    """z [B, D], start [B] -> keys (after RoPE) and values [B, L, G, P, d]."""

    def __init__(self, adapter: Adapter, lm: LlamaForCausalLM) -> None:
        super().__init__()
        self.adapter, self.rotary = adapter, lm.model.rotary_emb

    def forward(self, z: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        kv = self.adapter(z)
        cos, sin = self.rotary(kv, start[:, None] + torch.arange(LATENT_POSITIONS))
        return rotate(kv[:, :, 0], cos[:, None, None], sin[:, None, None]), kv[:, :, 1]


@dataclass(frozen=True)
class Graph:
    """One file: what computes it, an example of its inputs, which of their axes may have any size, its outputs."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    axes: Mapping[str, tuple[str, ...]]
    """Names of each input's axes, all of any size; an axis with an empty name is fixed."""
    outputs: Sequence[str]


def export_onnx(
    folder: Path, backbone: Backbone, clap_id: str, clap: Arrays, reader: TextEncoder, voice: GaussianEncoder
) -> list[Path]:
    """Writes the folder; half a minute with the embedded backbone. `reader`: the CLaP's encoder over this backbone."""
    folder.mkdir(parents=True, exist_ok=True)
    embedding = torch.from_numpy(np.array(reader.embedding))
    graphs = encoder_graphs(clap, reader, voice, embedding)
    lm = load_torch(backbone, torch.float32)
    graphs[ADAPTER] = adapter_graph(adapter_from(clap, lm), lm)
    for name, graph in graphs.items():
        _write(graph, folder / name)
    about = {
        "format": FORMAT,
        "format_version": ABOUT_FORMAT_VERSION,
        "opset": OPSET,
        "backbone": backbone.id,
        "clap": clap_id,
        "latent_size": len(voice.parts.mean),
        "latent_positions": LATENT_POSITIONS,
        "vocabulary": len(embedding),
        "contexts": list(voice.parts.contexts),
        "reads_prompts": voice.reads_prompts,
        "graphs": {name: _described(graph) for name, graph in graphs.items()},
    }
    write_atomically(folder / "README.md", _readme(about).encode())
    write_atomically(folder / ABOUT, (json.dumps(about, indent=1) + "\n").encode())
    return [folder / name for name in (*graphs, EMBEDDING, ABOUT, "README.md")]


def encoder_graphs(clap: Arrays, reader: TextEncoder, voice: GaussianEncoder, embedding: Tensor) -> dict[str, Graph]:
    """The posterior encoder and the personal one; `embedding` [V, H] as `reader` has it."""
    head = {name: clap[f"encoder.{name}"] for name in ("head.weight", "head.bias")}
    ids = torch.arange(_TRACED_ROWS * _TRACED_TOKENS).reshape(_TRACED_ROWS, _TRACED_TOKENS) % len(embedding)
    is_text = torch.ones_like(ids, dtype=torch.bool)
    is_text[0, -1] = False
    texts: dict[str, tuple[str, ...]] = {"ids": ("batch", "tokens"), "is_text": ("batch", "tokens")}
    outputs = ["z_mean", "z_log_variance"]  # a value within the graph is called `mean`
    posterior = Graph(
        PosteriorGraph(torch_encoder(reader, reader.layers | head, embedding)),
        {"ids": ids, "is_text": is_text, "is_response": is_text.clone()},
        {**texts, "is_response": ("batch", "tokens")},
        outputs,
    )
    layers = reader.layers if voice.layers is None else voice.layers
    own = torch_encoder(reader, layers | head, embedding) if voice.reads_prompts else None
    personal = Graph(
        VoiceGraph(voice, own),
        {"context": torch.zeros(_TRACED_ROWS, dtype=torch.long), **({"ids": ids, "is_text": is_text} if own else {})},
        {"context": ("batch",), **(texts if own else {})},
        outputs,
    )
    return {POSTERIOR: posterior, VOICE: personal}


def torch_encoder(reader: TextEncoder, arrays: Arrays, embedding: Tensor) -> LatentEncoder:
    """These layers and this head as torch runs them, in float32 over an embedding of halves."""
    weights = {name: torch.from_numpy(np.array(array)).float() for name, array in arrays.items()}
    encoder = LatentEncoder(
        llama_config(reader), embedding, latent_size=len(weights["head.bias"]) // 2, layers=layer_count(weights)
    )
    encoder.load_state_dict(weights)
    return encoder.eval().requires_grad_(False)


def adapter_graph(adapter: Adapter, lm: LlamaForCausalLM) -> Graph:
    """Of the adapter over its backbone."""
    latent_size = adapter.inp.in_features
    return Graph(
        AdapterGraph(adapter, lm).eval().requires_grad_(False),
        {"z": torch.zeros(_TRACED_ROWS, latent_size), "start": torch.arange(_TRACED_ROWS)},
        {"z": ("batch", ""), "start": ("batch",)},
        ["keys", "values"],
    )


def _write(graph: Graph, path: Path) -> None:
    sizes = {name: Dim(name, min=1) for axes in graph.axes.values() for name in axes if name}
    shapes = {name: {i: sizes[axis] for i, axis in enumerate(axes) if axis} for name, axes in graph.axes.items()}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it says that torchvision is not installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # and that inputs share an axis
        program = torch.onnx.export(
            graph.module.eval(), kwargs=dict(graph.inputs), input_names=list(graph.inputs),
            output_names=list(graph.outputs), opset_version=OPSET, dynamo=True, dynamic_shapes=shapes, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    # What torch noted about shapes is not always what ONNX infers, and is needed by nobody.
    del model.graph.value_info[:]
    share_embedding(model, path.parent)
    write_atomically(path, model.SerializeToString())
    onnx.checker.check_model(path)


def share_embedding(model: onnx.ModelProto, folder: Path) -> None:
    """Keeps the token embedding, the only halves in a graph, in a file beside the graphs that refer to it."""
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT16:
            data = tensor.raw_data
            write_atomically(folder / EMBEDDING, data)
            set_external_data(tensor, EMBEDDING, offset=0, length=len(data))
            tensor.ClearField("raw_data")


def _described(graph: Graph) -> dict[str, Any]:
    inputs = {
        name: {"type": str(tensor.dtype).removeprefix("torch."),
               "shape": [axis or size for axis, size in zip(graph.axes[name], tensor.shape, strict=True)]}
        for name, tensor in graph.inputs.items()
    }  # fmt: skip
    return {"inputs": inputs, "outputs": list(graph.outputs)}


def _readme(about: Mapping[str, Any]) -> str:
    contexts = ", ".join(f"{i} {name}" for i, name in enumerate(about["contexts"], 1))
    rows = [
        f"| {file} | {name} | {of['type']} | {of['shape']} |".replace("'", "")
        for file, graph in about["graphs"].items()
        for name, of in graph["inputs"].items()
    ]
    reads = f"`ids`: the rendered prompt's last {MAX_PROMPT_TOKENS} tokens."
    return _PAGE.format(
        **about,
        rows="\n".join(rows),
        numbers=f"0 is any, {contexts}" if contexts else "always 0",
        reading=reads if about["reads_prompts"] else "This voice is the same for every prompt and takes no `ids`.",
        prompt_tokens=MAX_PROMPT_TOKENS,
        response_tokens=MAX_RESPONSE_TOKENS,
    )


_PAGE = """# A PenPal voice in ONNX

For the backbone with SHA-256 `{backbone}`
and its latent space `{clap}`. The files hold numbers and
none of your texts, but the names of the kinds of writing.

| file | input | type | shape |
| --- | --- | --- | --- |
{rows}

- `posterior.onnx`: where a text lies in the latent space. `ids`: prompt and response, one after the other and padded at
  the end, at most {prompt_tokens} and {response_tokens} tokens; `is_text` says which are no padding, `is_response`
  which are the response. Out: `z_mean` and `z_log_variance` [batch, {latent_size}] of a Gaussian.
- `voice.onnx`: where drafts should lie. `context`: the kind of writing by number ({numbers}).
  {reading}
  Out: `z_mean` and `z_log_variance`; draw z = mean + exp(log variance / 2) * noise, or take the mean.
- `adapter.onnx`: `z` to `keys` and `values` [batch, layers, key heads, {latent_positions}, head size] for a key/value
  cache that holds the prompt without its last token, `start` tokens. They stand at positions `start` and after; the
  prompt's last token follows at `start` + {latent_positions}, and then the answer. Keys are rotated, in the order of
  transformers. In llama.cpp's, dimensions i and i + d/2 of a head are 2i and 2i + 1, of keys only.

`NAME.int8.onnx`, where there is one, takes and gives the same with weights of 8 bits: a quarter of the size, and twice
as fast on a processor. `embedding.data` belongs to the encoders: keep it beside them. All run in ONNX Runtime, on a
processor or on CUDA.
"""

"""A tiny Llama, the same weights as a GGUF that llama.cpp opens, and an untrained CLaP over it.

Seeded and built in process in a second, so that torch and llama.cpp can be compared on a real file without the real
backbone. Nothing here writes sense: it has the shapes, the tokenizer and the file format of the embedded backbone.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from core.files import file_sha256
from models.adapter import Adapter
from models.backbone import Backbone, ChatTemplate
from models.checkpoint import Arrays, read_arrays
from models.decoder_llama import LlamaDecoder
from models.decoder_torch import TorchDecoder, open_torch_decoder
from models.encoder import LatentEncoder
from models.latent_kv import LatentAdapter, backbone_projections
from models.llama_runtime import LlamaModel
from models.pretrain import save_clap

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCAB_SIZE = 360
LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_SIZE = 3, 64, 4, 2, 16
CONTEXT_TOKENS = 1024
ROPE_BASE = 10_000.0
LATENT_SIZE = 8

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

CORPUS = (
    "user assistant system Write a short note to the neighbours about the garden and the noisy dog.",
    "I hope you are well. I miss our walks, and I would love to visit you soon.",
    "Thank you for your help with the garden! Could you tell me when the market opens?",
    "The train was late, the rain was cold, and the coffee machine was broken again.",
)


@cache
def tiny_lm() -> LlamaForCausalLM:
    """A frozen random Llama, far from flat, that hardly ever ends a text. One for all: do not change it."""
    torch.manual_seed(7)
    lm = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=HIDDEN,
            intermediate_size=2 * HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=KV_HEADS,
            head_dim=HEAD_SIZE,
            max_position_embeddings=CONTEXT_TOKENS,
            rms_norm_eps=1e-5,
            initializer_range=0.15,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
            attn_implementation="sdpa",
        )
    )
    with torch.no_grad():
        lm.lm_head.weight *= 2
        # Special tokens stay at logit 0, far below the likely ones.
        lm.lm_head.weight[: len(SPECIAL_TOKENS)] = 0
        for parameter in lm.parameters():
            # Exact in f16, so that an F16 file holds the same weights.
            parameter.copy_(parameter.half().float())
    return lm.eval().requires_grad_(False)


@cache
def tiny_tokenizer() -> Tokenizer:
    """Byte-level BPE in GPT-2's manner, trained on `CORPUS`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    assert tokenizer.get_vocab_size() == VOCAB_SIZE
    return tokenizer


def write_tiny_backbone(folder: Path, kind: Literal["f32", "f16"] = "f32", *, chat_template: bool = True) -> Backbone:
    """`tiny_lm` and its tokenizer as `folder/tiny-KIND.gguf`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tiny-{kind}.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_file_type(LlamaFileType.ALL_F32 if kind == "f32" else LlamaFileType.MOSTLY_F16)
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(2 * HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCAB_SIZE)
    _add_tokenizer(writer, chat_template)
    for name, weight in _gguf_tensors().items():
        dense = np.float32 if kind == "f32" or weight.ndim == 1 else np.float16
        writer.add_tensor(name, weight.numpy().astype(dense), raw_dtype=_raw_type(dense))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Backbone(path, file_sha256(path))


def write_tiny_clap(folder: Path, backbone: Backbone) -> Path:
    """Untrained, but its latents differ: a random adapter and an encoder that starts from the tiny LM's layers."""
    lm = tiny_lm()
    torch.manual_seed(11)
    encoder = LatentEncoder(lm.config, lm.model.embed_tokens.weight, latent_size=LATENT_SIZE, layers=2)
    encoder.start_from(lm)
    adapter = Adapter(lm, latent_size=LATENT_SIZE, width=16)
    torch.nn.init.normal_(adapter.bias)
    torch.nn.init.uniform_(adapter.gain, 0.8, 1.2)
    path = folder / "tiny.clap.safetensors"
    save_clap(path, encoder, adapter, {"backbone": backbone.id, "backbone_name": "tiny"})
    return path


def tiny_latents(count: int, seed: int = 3) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """[count, D]: draws from the prior."""
    return np.random.default_rng(seed).standard_normal((count, LATENT_SIZE), dtype=np.float32)


def latent_adapter(backbone: Backbone, clap: Arrays, folder: Path) -> LatentAdapter:
    """The adapter without torch; `folder` keeps the backbone's projections."""
    projections, about = backbone_projections(backbone.path, folder / f"{backbone.id}.projections.safetensors")
    return LatentAdapter(clap, projections, head_size=about["head_size"], rope_base=about["rope_base"])


def llama_decoder(
    backbone: Backbone, clap: Arrays | None, folder: Path, *, flash_attention: bool = True
) -> LlamaDecoder:
    """llama.cpp over a backbone; close it."""
    model = LlamaModel(backbone.path)
    return LlamaDecoder(
        model,
        ChatTemplate(model.metadata("tokenizer.chat_template")),
        latent_adapter(backbone, clap, folder) if clap is not None else None,
        backbone_id=backbone.id,
        flash_attention=flash_attention,
    )


def torch_decoder(backbone: Backbone, clap: Arrays | None) -> TorchDecoder:
    """The reference over the same file, in fp32."""
    return open_torch_decoder(backbone, clap, ChatTemplate(backbone.metadata["tokenizer.chat_template"]))


def read_clap(path: Path) -> Arrays:
    return read_arrays(path)[0]


def _add_tokenizer(writer: GGUFWriter, chat_template: bool) -> None:
    vocabulary = tiny_tokenizer().get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = [" ".join(pair) for pair in _merges()]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if t in SPECIAL_TOKENS else TokenType.NORMAL for t in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocabulary["<|im_start|>"])
    writer.add_eos_token_id(vocabulary["<|im_end|>"])
    writer.add_unk_token_id(vocabulary["<|endoftext|>"])
    writer.add_pad_token_id(vocabulary["<|im_end|>"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    if chat_template:
        writer.add_chat_template(CHAT_TEMPLATE)


def _merges() -> list[list[str]]:
    import json

    return [list(pair) for pair in json.loads(tiny_tokenizer().to_str())["model"]["merges"]]


def _gguf_tensors() -> dict[str, Tensor]:
    lm = tiny_lm()
    tensors = {
        "token_embd.weight": lm.model.embed_tokens.weight,
        "output_norm.weight": lm.model.norm.weight,
        "output.weight": lm.lm_head.weight,
    }
    for i, layer in enumerate(lm.model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        tensors |= {
            f"blk.{i}.attn_norm.weight": layer.input_layernorm.weight,
            f"blk.{i}.attn_q.weight": interleaved(attention.q_proj.weight, HEADS),
            f"blk.{i}.attn_k.weight": interleaved(attention.k_proj.weight, KV_HEADS),
            f"blk.{i}.attn_v.weight": attention.v_proj.weight,
            f"blk.{i}.attn_output.weight": attention.o_proj.weight,
            f"blk.{i}.ffn_norm.weight": layer.post_attention_layernorm.weight,
            f"blk.{i}.ffn_gate.weight": mlp.gate_proj.weight,
            f"blk.{i}.ffn_up.weight": mlp.up_proj.weight,
            f"blk.{i}.ffn_down.weight": mlp.down_proj.weight,
        }
    return tensors


def interleaved(rows: Tensor, heads: int) -> Tensor:
    """[heads * d, ...] in llama.cpp's order: rows i and i + d/2 of a head become 2i and 2i + 1."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def _raw_type(dense: type[np.floating]) -> GGMLQuantizationType:
    return GGMLQuantizationType.F32 if dense is np.float32 else GGMLQuantizationType.F16

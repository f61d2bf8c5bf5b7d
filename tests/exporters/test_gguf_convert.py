"""A model's folder becomes a GGUF that llama.cpp reads as transformers reads the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader

from core.errors import BackboneError, UsageError
from core.files import file_sha256
from core.protocols import Message
from exporters.gguf_convert import convert
from exporters.quantize import quantize, read_kinds
from models.backbone import Backbone, embedded_gguf
from models.llama_runtime import LlamaModel
from tests import tiny

PROMPT = [Message("user", "Write a short note to the neighbours about the garden.")]
ANSWER = "I hope you are well. Thank you for your help!"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as transformers saves it."""
    folder = tmp_path_factory.mktemp("hub") / "Tiny-Instruct"
    tiny.tiny_lm().save_pretrained(folder)
    tiny.tiny_tokenizer().save(str(folder / "tokenizer.json"))
    about = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "unk_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    (folder / "chat_template.jinja").write_text(tiny.CHAT_TEMPLATE)
    return folder


def test_llama_cpp_says_what_transformers_says(hub: Path, tmp_path: Path) -> None:
    path = convert(hub, tmp_path / "new" / "tiny.gguf")
    decoder = tiny.llama_decoder(Backbone(path, file_sha256(path)), None, tmp_path)
    found = decoder.log_probs(PROMPT, ANSWER, None)
    model = decoder.model
    prompt, answer = (model.tokenize(text) for text in (tiny_prompt(), ANSWER))
    assert prompt == tiny.tiny_tokenizer().encode(tiny_prompt()).ids
    decoder.close()
    logits = tiny.tiny_lm()(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    expected = torch.log_softmax(logits, -1).numpy()
    assert (np.exp(expected) * (expected - found)).sum(-1).mean() == pytest.approx(0, abs=1e-3)
    assert [file.name for file in path.parent.iterdir()] == ["tiny.gguf"]


def tiny_prompt() -> str:
    return f"<|im_start|>user\n{PROMPT[0].content}<|im_end|>\n<|im_start|>assistant\n"


def test_weights_and_metadata_are_those_of_a_gguf_made_before(
    hub: Path, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    made, known = (GGUFReader(path) for path in (convert(hub, tmp_path / "tiny.gguf"), tiny_backbone.path))
    assert {t.name: t.data.tobytes() for t in made.tensors} == {t.name: t.data.tobytes() for t in known.tensors}
    differing = {
        name
        for name, field in known.fields.items()
        if name not in made.fields or made.fields[name].contents() != field.contents()
    }
    assert differing <= {"general.name", "GGUF.kv_count", "tokenizer.ggml.padding_token_id"}


def test_bfloat16_stays_what_it_is(hub: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(hub, folder)
    lm = type(tiny.tiny_lm())(tiny.tiny_lm().config).bfloat16()
    lm.save_pretrained(folder)
    made = {t.name: t for t in GGUFReader(convert(folder, tmp_path / "half.gguf")).tensors}
    weight = made["blk.1.ffn_up.weight"]
    assert weight.tensor_type.name == "BF16"
    expected = lm.model.layers[1].mlp.up_proj.weight.detach().contiguous().view(torch.uint16).numpy()
    assert weight.data.tobytes() == expected.tobytes()
    assert made["blk.1.ffn_norm.weight"].tensor_type.name == "F32"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["MambaForCausalLM"]}, "holds MambaForCausalLM"),
        ({"attention_bias": True}, "attention_bias"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "rope_type 'llama3'"),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(
    hub: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(hub, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(BackboneError, match=said):
        convert(folder, tmp_path / "other.gguf")
    assert not (tmp_path / "other.gguf").exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"config\.json is missing"):
        convert(tmp_path, tmp_path / "x.gguf")


def test_every_type_is_written_and_opens(hub: Path, tmp_path: Path) -> None:
    written = list(quantize(hub, tmp_path / "out", read_kinds("f16, Q8_0,Q4_0")))
    assert [row.path.name for row in written] == [f"Tiny-Instruct.{kind}.gguf" for kind in ("F16", "Q8_0", "Q4_0")]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(row.path.name for row in written)
    sizes = [row.size_bytes for row in written]
    assert sizes == sorted(sizes, reverse=True)
    assert next(iter(written[1].tensors)) == "Q8_0"
    for row in written:
        assert row.requantized_from is None
        model = LlamaModel(row.path)
        assert (model.layers, model.vocab_size) == (tiny.LAYERS, tiny.VOCAB_SIZE)
        model.close()


def test_a_quantized_source_is_told(hub: Path, tmp_path: Path) -> None:
    [small] = quantize(hub, tmp_path, ["Q8_0"])
    [again] = quantize(small.path, tmp_path / "again", ["F16"])
    assert again.requantized_from == "Q8_0"


def test_nothing_is_overwritten_unasked(hub: Path, tmp_path: Path) -> None:
    [first] = quantize(hub, tmp_path, ["Q8_0"])
    with pytest.raises(UsageError, match="exists"):
        list(quantize(hub, tmp_path, ["Q8_0"]))
    assert [row.size_bytes for row in quantize(hub, tmp_path, ["Q8_0"], replace=True)] == [first.size_bytes]


def test_unknown_types_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'Q3_X'"):
        read_kinds("F16,Q3_X")


@pytest.mark.slow
def test_the_embedded_backbone_has_no_field_that_is_not_written(hub: Path, tmp_path: Path) -> None:
    """But what says who made it, and what llama.cpp does not ask for."""
    made = set(GGUFReader(convert(hub, tmp_path / "tiny.gguf")).fields)
    missing = {name for name in GGUFReader(embedded_gguf()).fields if not name.startswith("general.")} - made
    assert missing <= {"tokenizer.ggml.padding_token_id"}

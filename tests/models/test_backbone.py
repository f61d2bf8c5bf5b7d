"""Which file the backbone is: missing, damaged and foreign ones are named; a good one is read whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.errors import BackboneError
from core.protocols import Message
from models import backbone as module
from models.backbone import Backbone, ChatTemplate, load_torch, open_backbone
from models.llama_runtime import LlamaModel
from tests import tiny


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"nowhere\.gguf"):
        open_backbone(tmp_path / "nowhere.gguf")


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EMBEDDED_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(BackboneError, match="make setup"):
        open_backbone()


def test_damaged_embedded_weights_are_named_by_both_hashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "smollm2.gguf"
    damaged.write_bytes(b"GGUF and then nothing")
    monkeypatch.setattr(module, "embedded_gguf", lambda: damaged)
    found = module.file_sha256(damaged)[:12]
    with pytest.raises(BackboneError, match=f"{found}.*{module.EMBEDDED_SHA256[:12]}"):
        open_backbone()


def test_a_backbone_of_ones_own_may_have_any_hash(tiny_backbone: Backbone) -> None:
    assert open_backbone(tiny_backbone.path) == tiny_backbone


def test_llama_cpp_names_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    path = tmp_path / "text.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(BackboneError, match=r"text\.gguf"):
        LlamaModel(path)


def test_a_backbone_without_chat_template_is_refused(tmp_path: Path) -> None:
    bare = tiny.write_tiny_backbone(tmp_path, chat_template=False)
    model = LlamaModel(bare.path)
    assert model.metadata("tokenizer.chat_template") is None
    with pytest.raises(BackboneError, match="chat template"):
        ChatTemplate(model.metadata("tokenizer.chat_template"))
    model.close()


def test_the_template_ends_where_the_answer_starts() -> None:
    messages = [Message("system", "Be brief."), Message("user", "Hi {{ 7 * 7 }}")]
    assert ChatTemplate(tiny.CHAT_TEMPLATE).render(messages) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi {{ 7 * 7 }}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_metadata_holds_the_fields_but_not_the_vocabulary(tiny_backbone: Backbone) -> None:
    metadata = tiny_backbone.metadata
    assert metadata["general.architecture"] == "llama"
    assert metadata["tokenizer.chat_template"] == tiny.CHAT_TEMPLATE
    assert not any(name.startswith("tokenizer.ggml.tokens") for name in metadata)


def test_torch_reads_exactly_the_weights_of_the_gguf_and_freezes_them(tiny_backbone: Backbone) -> None:
    lm, expected = load_torch(tiny_backbone, torch.float32), tiny.tiny_lm().state_dict()
    found = lm.state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not any(p.requires_grad for p in lm.parameters())
    assert not getattr(lm, "is_quantized", False)


def test_torch_refuses_another_family(tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tiny_backbone.metadata, "general.architecture", "mamba")
    with pytest.raises(BackboneError, match="mamba"):
        load_torch(tiny_backbone, torch.float32)


def test_a_vocabulary_can_be_read_without_the_weights(tiny_backbone: Backbone) -> None:
    """llama.cpp aborts the process when such a model is asked for its heads: this once killed every personalize run."""
    whole, vocabulary = (LlamaModel(tiny_backbone.path, vocabulary_only=only) for only in (False, True))
    assert vocabulary.tokenize("Hello 🙂") == whole.tokenize("Hello 🙂")
    assert vocabulary.metadata("llama.block_count") == str(tiny.LAYERS)
    assert (whole.layers, whole.kv_heads, whole.head_size) == (tiny.LAYERS, tiny.KV_HEADS, tiny.HEAD_SIZE)
    whole.close()
    vocabulary.close()

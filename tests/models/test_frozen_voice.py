"""A frozen voice is read by llama.cpp alone, in another process, and goes on as PenPal does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import BackboneError, PromptTooLongError
from core.protocols import DraftRequest, Message, Sampling
from models.backbone import Backbone, ChatTemplate
from models.checkpoint import Arrays
from models.frozen_voice import FrozenPrompt, freeze, open_end, with_stand_ins
from models.llama_runtime import LlamaModel
from tests import tiny

HELLO = [Message("user", "Hello")]
TOKENS = 12

AS_LLAMA_CPP_DOES = """
# What llama-completion does with --prompt-cache, in its order, by llama.cpp's C API and nothing else.
import ctypes, json, sys
from llama_cpp import llama_cpp as lib

gguf, session, prompt, kind, count = sys.argv[1:]
lib.llama_backend_init()
model = lib.llama_model_load_from_file(gguf.encode(), lib.llama_model_default_params())
vocab = lib.llama_model_get_vocab(model)
params = lib.llama_context_default_params()
params.n_ctx = 512
context = lib.llama_init_from_model(model, params)

room = 512
cached, found = (lib.llama_token * room)(), ctypes.c_size_t()
if kind == "session":
    assert lib.llama_state_load_file(context, session.encode(), cached, room, ctypes.byref(found))
else:
    assert lib.llama_state_seq_load_file(context, session.encode(), 0, cached, room, ctypes.byref(found))
cached = list(cached[: found.value])

ids = (lib.llama_token * room)()
length = lib.llama_tokenize(vocab, prompt.encode(), len(prompt.encode()), ids, room, True, True)
ids = list(ids[:length])
# A session names the token that is still to be computed, a slot does not.
assert cached == (ids if kind == "session" else ids[:-1]), (cached, ids)

def step(token, position):
    batch = lib.llama_batch_init(1, 0, 1)
    batch.n_tokens, batch.token[0], batch.pos[0] = 1, token, position
    batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 0, True
    assert lib.llama_decode(context, batch) == 0
    lib.llama_batch_free(batch)

greedy = lib.llama_sampler_init_greedy()
token, written = ids[-1], []
for position in range(len(ids) - 1, len(ids) - 1 + int(count)):
    step(token, position)
    token = lib.llama_sampler_sample(greedy, context, 0)
    if lib.llama_vocab_is_eog(vocab, token):
        break
    buffer = ctypes.create_string_buffer(64)
    length = lib.llama_token_to_piece(vocab, token, buffer, 64, 0, False)
    written.append(buffer.raw[:length])
print(json.dumps(b"".join(written).decode("utf-8", "replace").strip()))
"""


def written_elsewhere(gguf: Path, cache: Path, prompt: str, kind: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", AS_LLAMA_CPP_DOES, str(gguf), str(cache), prompt, kind, str(TOKENS)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    text: str = json.loads(done.stdout)
    return text


def frozen(backbone: Backbone, clap: Arrays, folder: Path, prompt: str, seed: int) -> FrozenPrompt:
    model = LlamaModel(backbone.path)
    try:
        adapter = tiny.latent_adapter(backbone, clap, folder)
        z = tiny.tiny_latents(1, seed)[0]
        return freeze(model, adapter, prompt, z, session=folder / "voice.session", slot=folder / "voice.slot")
    finally:
        model.close()


@pytest.mark.parametrize("kind", ["session", "slot"])
def test_llama_cpp_goes_on_as_penpal_does(
    tiny_backbone: Backbone, tiny_clap: Arrays, tmp_path: Path, kind: str
) -> None:
    decoder = tiny.llama_decoder(tiny_backbone, tiny_clap, tmp_path)
    request = DraftRequest(seed=0, z=tiny.tiny_latents(1, 4)[0])
    greedy = Sampling(temperature=0, max_tokens=TOKENS)
    drafted = "".join(chunk.text for chunk in decoder.generate(HELLO, [request], greedy)).strip()
    generic = "".join(chunk.text for chunk in decoder.generate(HELLO, [DraftRequest(seed=0)], greedy)).strip()
    template = ChatTemplate(decoder.model.metadata("tokenizer.chat_template"))
    decoder.close()
    prompt = frozen(tiny_backbone, tiny_clap, tmp_path, template.render(HELLO), 4)
    found = written_elsewhere(tiny_backbone.path, tmp_path / f"voice.{kind}", prompt.text, kind)
    assert found == drafted != generic


def test_what_a_first_message_stands_between(tiny_backbone: Backbone) -> None:
    before, after = open_end(ChatTemplate(tiny.CHAT_TEMPLATE))
    assert before == "<|im_start|>user\n"
    assert after == "<|im_end|>\n<|im_start|>assistant\n"


def test_stand_ins_are_tokens_of_their_own(tiny_backbone: Backbone) -> None:
    model = LlamaModel(tiny_backbone.path, vocabulary_only=True)
    prompt = "<|im_start|>user\nHello"
    found = with_stand_ins(model, prompt, 4)
    assert found.tokens.count(model.tokenize("<|endoftext|>")[0]) == 4
    assert found.text.replace("<|endoftext|>", "") == prompt
    model.close()


def test_a_prompt_longer_than_the_context_is_refused(
    tiny_backbone: Backbone, tiny_clap: Arrays, tmp_path: Path
) -> None:
    with pytest.raises(PromptTooLongError, match="too long to be frozen"):
        frozen(tiny_backbone, tiny_clap, tmp_path, "the garden " * tiny.CONTEXT_TOKENS, 4)


def test_a_template_that_changes_the_text_is_refused() -> None:
    with pytest.raises(BackboneError, match="cannot be frozen"):
        open_end(ChatTemplate("{{ messages[0]['content'] | length }}"))

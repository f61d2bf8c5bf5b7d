"""The posterior encoder in NumPy gives what the trained torch module gives, and needs neither torch nor sane texts."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, LlamaConfig

from core.errors import BackboneError
from core.protocols import Message
from models import encoder as torch_encoder
from models import text_encoder
from models.backbone import Backbone, ChatTemplate, open_backbone
from models.checkpoint import Arrays, read_arrays, write_arrays
from models.encoder import LatentEncoder
from models.llama_runtime import LlamaModel
from models.text_encoder import MAX_PROMPT_TOKENS, MAX_RESPONSE_TOKENS, LlamaShape, TextEncoder, token_embedding
from tests import tiny

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "models" / "pretrained" / "smollm2-135m-instruct.clap.safetensors"

HELLO = (Message("user", "Hello"),)
GARDEN = (Message("system", "You are kind."), Message("user", "Write to the neighbours about the garden"))
TEXTS: list[tuple[Sequence[Message], str]] = [
    (HELLO, " I hope you are well."),
    (GARDEN, "No."),
    (HELLO, "Thank you! 🙂 " * 10),
    (GARDEN, "The train was late, the rain was cold.\n" * 5),
    ((Message("user", "x"),), "y"),
    (HELLO, " I hope you are well."),
]


def frozen(encoder: LatentEncoder, clap: Arrays) -> LatentEncoder:
    """The trained torch module that this file's encoder must equal."""
    names = [name for name in clap if name.startswith("encoder.")]
    encoder.load_state_dict({name.removeprefix("encoder."): torch.from_numpy(clap[name]).float() for name in names})
    return encoder.requires_grad_(False)


@pytest.fixture(scope="module")
def made(tiny_backbone: Backbone, tiny_clap: Arrays) -> Iterator[TextEncoder]:
    encoder = TextEncoder(tiny_backbone, tiny_clap)
    yield encoder
    encoder.close()


@pytest.fixture(scope="module")
def reference(tiny_clap: Arrays) -> LatentEncoder:
    lm = tiny.tiny_lm()
    return frozen(
        LatentEncoder(lm.config, lm.model.embed_tokens.weight, latent_size=tiny.LATENT_SIZE, layers=2), tiny_clap
    )


@pytest.fixture(scope="module")
def tokenize(tiny_backbone: Backbone) -> Iterator[Callable[[str], list[int]]]:
    model = LlamaModel(tiny_backbone.path, vocabulary_only=True)
    yield model.tokenize
    model.close()


def rendered(messages: Sequence[Message]) -> str:
    return ChatTemplate(tiny.CHAT_TEMPLATE).render(messages)


def assert_close(found: Any, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4, rtol=0)


def assert_same(found: text_encoder.Posteriors, expected: torch_encoder.Posterior) -> None:
    assert_close(found.mean, expected.mean)
    assert_close(found.log_variance, expected.log_variance)


def test_posteriors_are_those_of_the_trained_encoder(
    made: TextEncoder, reference: LatentEncoder, tokenize: Callable[[str], list[int]]
) -> None:
    expected = reference([(tokenize(rendered(x)), tokenize(y)) for x, y in TEXTS])
    assert expected.mean.std(0).min() > 0.01  # the texts differ
    found = made.posteriors(TEXTS)
    assert_same(found, expected)
    assert found.mean.dtype == found.log_variance.dtype == np.float32


@pytest.mark.parametrize("prompt_tokens", [0, 1, 40])
@pytest.mark.parametrize("response_tokens", [1, 2, 17, 200])
def test_any_lengths_are_read_alike(
    made: TextEncoder, reference: LatentEncoder, prompt_tokens: int, response_tokens: int
) -> None:
    draw = random.Random(prompt_tokens + response_tokens)
    prompt, *responses = (
        tuple(draw.randrange(3, tiny.VOCAB_SIZE) for _ in range(count))
        for count in (prompt_tokens, response_tokens, 5, response_tokens)
    )
    pairs = [(prompt, response) for response in responses]
    assert_close(made._pooled(pairs), reference.pooled(pairs))


def test_prompt_features_are_the_states_averaged_over_the_whole_prompt(
    made: TextEncoder, reference: LatentEncoder, tokenize: Callable[[str], list[int]]
) -> None:
    prompts = [GARDEN, HELLO, GARDEN]
    found = made.prompt_features(prompts)
    assert found.shape == (3, tiny.HIDDEN)
    assert_close(found, reference.pooled([([], tokenize(rendered(prompt))) for prompt in prompts]))


def test_constants_are_the_trained_encoders() -> None:
    assert text_encoder.LOG_VARIANCE_START == torch_encoder.LOG_VARIANCE_START
    assert text_encoder.LOG_VARIANCE_RANGE == torch_encoder.LOG_VARIANCE_RANGE


def test_norm_without_an_epsilon_is_torchs() -> None:
    small = np.linspace(-3e-4, 3e-4, 2 * tiny.HIDDEN, dtype=np.float32).reshape(2, -1)
    found = text_encoder.rms_normed(small, text_encoder.POOLED_NORM_EPSILON)
    assert_close(found, torch.nn.RMSNorm(tiny.HIDDEN)(torch.from_numpy(small)).detach())


def test_log_variance_is_kept_in_a_sane_range(tiny_backbone: Backbone, tiny_clap: Arrays) -> None:
    steep = tiny_clap | {"encoder.head.weight": tiny_clap["encoder.head.weight"].astype(np.float32) * 1000}
    encoder = TextEncoder(tiny_backbone, steep)
    found = encoder.posteriors(TEXTS).log_variance
    encoder.close()
    assert (found.min(), found.max()) == text_encoder.LOG_VARIANCE_RANGE


# --- batches ----------------------------------------------------------------------------------------------------


def test_a_text_alone_gives_what_it_gives_in_a_batch_in_any_order(
    made: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [made.posteriors([text]) for text in TEXTS]
    monkeypatch.setattr(text_encoder, "BATCH_TOKENS", 150)
    order = [i % len(TEXTS) for i in range(4 * len(TEXTS))]
    random.Random(0).shuffle(order)
    together = made.posteriors([TEXTS[i] for i in order])
    for row, i in enumerate(order):
        np.testing.assert_allclose(together.mean[row], alone[i].mean[0], atol=1e-4, rtol=0)
        np.testing.assert_allclose(together.log_variance[row], alone[i].log_variance[0], atol=1e-4, rtol=0)


def test_batches_hold_every_text_once_and_no_more_tokens_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encoder, "BATCH_TOKENS", 20)
    draw = random.Random(1)
    pairs = [((draw.randrange(3),) * 8, (0,) * draw.randrange(1, 10)) for _ in range(50)] + [((9,) * 30, (0,))]
    found = list(text_encoder.batches(pairs))
    assert sorted(i for batch in found for i in batch) == list(range(51))
    for batch in found:
        prompts = {pairs[i][0] for i in batch}
        tokens = sum(map(len, prompts)) + sum(len(pairs[i][1]) for i in batch)
        assert tokens <= 20 or len(batch) == 1


def test_responses_of_one_prompt_share_it() -> None:
    ids, positions, spans = text_encoder.laid_out([((1, 2), (3,)), ((1, 2), (4, 5)), ((), (6,))])
    assert ids == [1, 2, 3, 4, 5, 6]
    assert positions == [0, 1, 2, 2, 3, 0]
    assert [span.prompt for span in spans] == [slice(0, 0), slice(0, 2), slice(0, 2), slice(0, 0)]


def test_the_caller_gets_a_turn_between_batches(made: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float | str] = []
    made.posteriors(TEXTS, told.append, lambda: told.append("between"))
    assert told == [1.0]  # one batch, nothing between
    monkeypatch.setattr(text_encoder, "BATCH_TOKENS", 1)
    told.clear()
    made.posteriors(TEXTS, told.append, lambda: told.append("between"))
    assert told[1::2] == ["between"] * (len(TEXTS) - 1)
    assert told[::2] == [pytest.approx((i + 1) / len(TEXTS)) for i in range(len(TEXTS))]


def test_the_caller_can_stop_between_batches(made: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encoder, "BATCH_TOKENS", 1)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        made.posteriors(TEXTS, between=stop)


def test_no_texts_give_no_posteriors(made: TextEncoder) -> None:
    assert made.posteriors([]).mean.shape == (0, tiny.LATENT_SIZE)
    assert made.prompt_features([]).shape == (0, tiny.HIDDEN)


# --- texts that nobody would write ------------------------------------------------------------------------------


def test_an_empty_response_is_read_as_the_last_token_of_its_prompt(
    made: TextEncoder, reference: LatentEncoder, tokenize: Callable[[str], list[int]]
) -> None:
    ids = tokenize(rendered(GARDEN))
    found = made.posteriors([(GARDEN, ""), TEXTS[0]])
    assert_close(found.mean[:1], reference([(ids[:-1], ids[-1:])]).mean)
    assert np.isfinite(np.stack(found)).all()


def test_even_nothing_after_nothing_has_a_posterior(made: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "_template", ChatTemplate("{{ messages[0]['content'] }}"))
    nothing = (Message("user", ""),)
    assert np.isfinite(np.stack(made.posteriors([(nothing, ""), TEXTS[0]]))).all()
    assert np.isfinite(made.prompt_features([nothing])).all()


def test_of_a_long_prompt_the_end_counts_and_of_a_long_response_the_start(
    made: TextEncoder, reference: LatentEncoder, tokenize: Callable[[str], list[int]]
) -> None:
    long = " ".join(random.Random(2).choices(" ".join(tiny.CORPUS).split(), k=20_000))
    assert len(long) > MAX_PROMPT_TOKENS * text_encoder.MAX_TOKEN_CHARACTERS
    messages = (Message("user", long),)
    prompt, response = tokenize(rendered(messages))[-MAX_PROMPT_TOKENS:], tokenize(long)[:MAX_RESPONSE_TOKENS]
    assert (len(prompt), len(response)) == (MAX_PROMPT_TOKENS, MAX_RESPONSE_TOKENS)
    assert_same(made.posteriors([(messages, long)]), reference([(prompt, response)]))
    assert_close(made.prompt_features([messages]), reference.pooled([([], prompt)]))


# --- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("norm.weight", None, "is absent"),
        ("norm.weight", np.ones(3), "of shape (3,), it should be of shape (64,)"),
        ("layers.0.self_attn.k_proj.weight", None, "is absent"),
        ("layers.1.mlp.down_proj.weight", np.ones((128, 64)), "of shape (128, 64), it should be of shape (64, 128)"),
        ("head.bias", None, "is absent"),
        ("head.bias", np.ones(15), "of shape"),
        ("head.weight", np.ones(16), "of shape (16,)"),
        ("layers.0.self_attn.q_proj.bias", np.ones(64), "should be absent"),
    ],
)
def test_a_clap_that_does_not_fit_is_refused_in_one_line(
    tiny_backbone: Backbone, tiny_clap: Arrays, name: str, array: np.ndarray[Any, Any] | None, said: str
) -> None:
    changed = {key: value for key, value in tiny_clap.items() if key != f"encoder.{name}"}
    if array is not None:
        changed[f"encoder.{name}"] = array
    with pytest.raises(BackboneError) as refused:
        TextEncoder(tiny_backbone, changed)
    message = str(refused.value)
    assert message.startswith("The CLaP does not fit its backbone: 'encoder.")
    assert said in message
    assert "\n" not in message


def test_a_clap_without_an_encoder_is_refused(tiny_backbone: Backbone) -> None:
    with pytest.raises(BackboneError, match="is absent"):
        TextEncoder(tiny_backbone, {})


def test_a_backbone_of_another_family_is_refused(
    tiny_backbone: Backbone, tiny_clap: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LlamaModel, "metadata", lambda self, key: None if key.startswith("llama.") else "x")
    with pytest.raises(BackboneError, match=r"lacks 'llama\.embedding_length'.*llama family"):
        TextEncoder(tiny_backbone, tiny_clap)


def test_embedding_kept_in_a_file_is_the_one_of_the_gguf(tiny_backbone: Backbone, tmp_path: Path) -> None:
    kept, shape = tmp_path / "embedding", (tiny.VOCAB_SIZE, tiny.HIDDEN)
    first = token_embedding(tiny_backbone, kept, shape)
    again = token_embedding(Backbone(Path("nowhere"), "x"), kept, shape)
    assert isinstance(again, np.memmap)
    assert again.dtype == np.float16
    assert np.array_equal(first, again)
    assert np.array_equal(first, tiny.tiny_lm().model.embed_tokens.weight.numpy())


@pytest.mark.parametrize("damage", ["half", "other array", "other shape", "other kind"])
def test_a_damaged_embedding_file_is_made_anew(tiny_backbone: Backbone, tmp_path: Path, damage: str) -> None:
    kept, shape = tmp_path / "embedding", (tiny.VOCAB_SIZE, tiny.HIDDEN)
    first = token_embedding(tiny_backbone, kept, shape)
    if damage == "half":
        kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])
    else:
        array = np.zeros((3, 3) if damage == "other shape" else shape, "f4" if damage == "other kind" else "f2")
        write_arrays(kept, {"x" if damage == "other array" else "embedding": array}, {})
    assert np.array_equal(token_embedding(tiny_backbone, kept, shape), first)
    assert np.array_equal(token_embedding(Backbone(Path("nowhere"), "x"), kept, shape), first)


WITHOUT_TORCH = """
import sys
from pathlib import Path
from core.protocols import Message
from models.backbone import Backbone
from models.checkpoint import read_arrays
from models.text_encoder import TextEncoder

gguf, clap, kept = map(Path, sys.argv[1:])
encoder = TextEncoder(Backbone(gguf, "x"), read_arrays(clap)[0], kept)
hello = (Message("user", "Hello"),)
assert encoder.posteriors([(hello, "Well.")]).mean.shape == encoder.posteriors([(hello, "No.")]).log_variance.shape
encoder.prompt_features([hello])
print(sorted({"torch", "transformers", "tokenizers"} & set(sys.modules)))
"""


def test_texts_are_encoded_without_torch(
    tiny_backbone: Backbone, tiny_clap: Arrays, tiny_folder: Path, tmp_path: Path
) -> None:
    arguments = map(str, (tiny_backbone.path, tiny_folder / "tiny.clap.safetensors", tmp_path / "embedding"))
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (run.stdout, run.returncode) == ("[]\n", 0), run.stderr


# --- the real one -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_released_posteriors_are_those_of_the_trained_encoder() -> None:
    """The configuration is transformers' own reading of the GGUF."""
    backbone, clap = open_backbone(), read_arrays(RELEASED)[0]
    model = LlamaModel(backbone.path, vocabulary_only=True)
    template = ChatTemplate(model.metadata("tokenizer.chat_template"))
    pairs = [(model.tokenize(template.render(x)), model.tokenize(y)) for x, y in TEXTS]
    embedding = token_embedding(backbone, None, (model.vocab_size, LlamaShape.read(model).hidden))
    model.close()
    config = AutoConfig.from_pretrained(backbone.path.parent, gguf_file=backbone.path.name)
    assert isinstance(config, LlamaConfig)
    config._attn_implementation = "sdpa"
    reference = frozen(LatentEncoder(config, torch.from_numpy(embedding), latent_size=32, layers=2), clap)
    encoder = TextEncoder(backbone, clap)
    found, features = encoder.posteriors(TEXTS), encoder.prompt_features([x for x, _ in TEXTS])
    encoder.close()
    assert_same(found, reference(pairs))
    assert_close(features, reference.pooled([([], prompt) for prompt, _ in pairs]))

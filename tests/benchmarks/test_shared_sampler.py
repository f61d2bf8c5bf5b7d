"""The sampler that all methods draft from: batches change nothing, hooks do, and likelihoods agree with drafting."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.rivals.torch_author import Conversation, Hooks, SharedSampler
from core.protocols import Message, Sampling
from models.adapter import Adapter
from models.backbone import ChatTemplate
from tests import tiny

PROMPTS: list[Conversation] = [
    [Message("user", "Write about the garden.")],
    [Message("text", "I miss our walks")],
    [
        Message("user", "Thank you for your help."),
        Message("assistant", "Gladly!"),
        Message("user", "The train was late."),
    ],
]
SEEDS = [3, 5, 7]
TOKENS = 10


@pytest.fixture(scope="module")
def sampler() -> SharedSampler:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tiny_tokenizer(), eos_token="<|im_end|>")
    # Cool enough that rounding in another batch cannot tip a draw, warm enough that seeds differ.
    sampling = Sampling(max_tokens=TOKENS, temperature=0.8)
    return SharedSampler(tiny.tiny_lm(), tokenizer, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=sampling)


@pytest.fixture(scope="module")
def latents() -> Hooks:
    torch.manual_seed(2)
    adapter = Adapter(tiny.tiny_lm(), latent_size=tiny.LATENT_SIZE, width=16).requires_grad_(False)
    torch.nn.init.normal_(adapter.bias)

    def after(prompts: Sequence[Conversation]) -> torch.Tensor:
        return adapter(torch.stack([torch.full((tiny.LATENT_SIZE,), len(p[-1].content) / 10) for p in prompts]))

    return Hooks(after=after)


def prefix(scale: float = 1.0) -> torch.Tensor:
    torch.manual_seed(4)
    return scale * torch.randn(tiny.LAYERS, 2, tiny.KV_HEADS, 4, tiny.HEAD_SIZE)


def steering() -> Hooks:
    return Hooks(steering={1: torch.linspace(-1, 1, tiny.HIDDEN)})


def drafts(sampler: SharedSampler, hooks: Hooks | None = None, seeds: Sequence[int] = SEEDS) -> list[str]:
    return sampler.texts(PROMPTS, seeds, max_tokens=TOKENS, hooks=hooks)


@pytest.mark.parametrize("kind", ["none", "latents", "prefix", "steering"])
def test_a_draft_is_the_same_alone_and_in_a_batch(sampler: SharedSampler, latents: Hooks, kind: str) -> None:
    hooks = {"none": Hooks(), "latents": latents, "prefix": Hooks(before=prefix()), "steering": steering()}[kind]
    together = drafts(sampler, hooks)
    alone = [
        sampler.texts([prompt], [seed], max_tokens=TOKENS, hooks=hooks)[0]
        for prompt, seed in zip(PROMPTS, SEEDS, strict=True)
    ]
    assert together == alone
    assert len(set(together)) == len(PROMPTS)


def test_hooks_and_seeds_change_drafts_and_leave_no_trace(sampler: SharedSampler, latents: Hooks) -> None:
    plain = drafts(sampler)
    for hooks in (latents, Hooks(before=prefix()), steering()):
        assert drafts(sampler, hooks) != plain
    assert drafts(sampler, seeds=[13, 15, 17]) != plain
    assert drafts(sampler) == plain


def test_what_the_model_is_told_is_what_it_reads(sampler: SharedSampler) -> None:
    other = [Message("user", "The coffee machine was broken again.")]
    told = sampler.texts(PROMPTS[:1], [3], max_tokens=TOKENS, hooks=Hooks(told=lambda prompt: other))
    assert told == sampler.texts([other], [3], max_tokens=TOKENS)


@pytest.mark.parametrize("kind", ["none", "latents", "prefix", "steering"])
def test_likelihood_is_that_of_reading_token_by_token(sampler: SharedSampler, latents: Hooks, kind: str) -> None:
    """Whole texts padded in one batch against each prompt alone, its text fed in one token more each time."""
    hooks = {"none": Hooks(), "latents": latents, "prefix": Hooks(before=prefix()), "steering": steering()}[kind]
    texts = ["The rain was cold", "Thank you", "Could you tell me when the market opens?"]
    together = sampler.likelihoods(PROMPTS, texts, hooks)
    for prompt, text, found in zip(PROMPTS, texts, together, strict=True):
        (alone,) = sampler.likelihoods([prompt], [text], hooks)
        assert alone.tokens == found.tokens == len(sampler.tokenizer(text).input_ids)
        assert alone.nll == pytest.approx(found.nll, abs=1e-3)
    plain = sampler.likelihoods(PROMPTS, texts)
    assert (kind == "none") == (plain == together)


def test_likelihood_equals_the_backbones_own(sampler: SharedSampler) -> None:
    prompt, text = PROMPTS[0], "The rain was cold"
    ids, answer = sampler.ids(prompt), sampler.tokenizer(text).input_ids
    with torch.no_grad():
        logits = tiny.tiny_lm()(input_ids=torch.tensor([[*ids, *answer]])).logits[0, len(ids) - 1 : -1]
    expected = -torch.log_softmax(logits, -1).gather(1, torch.tensor(answer)[:, None]).sum().item()
    (found,) = sampler.likelihoods([prompt], [text])
    assert found.nll == pytest.approx(expected, abs=1e-3)


def test_no_likelihood_of_nothing(sampler: SharedSampler) -> None:
    assert [found.tokens for found in sampler.likelihoods(PROMPTS[:2], ["", "rain"])] == [
        0,
        len(sampler.tokenizer("rain").input_ids),
    ]


def test_greedy_answers_need_no_dice(sampler: SharedSampler) -> None:
    first, second = (sampler.texts(PROMPTS, [seed] * 3, max_tokens=5, greedy=True) for seed in (1, 2))
    assert first == second

"""The one sampler from which every method drafts: the backbone in torch, many prompts in a batch, a seed per draft.

What makes a method differ enters by `Hooks`: another model, a key/value prefix before the prompt, latents after it, a
vector in the residual stream, or another prompt. Everything else is the same code for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedTokenizerBase

from benchmarks.rivals.method import Cost
from core.protocols import Likelihood, Message, Sampling
from models.adapter import LATENT_POSITIONS, left_padded, rotate
from models.backbone import ChatTemplate, load_tokenizer, load_torch, open_backbone
from models.decoder_torch import draw_token
from models.sampling_torch import TOP_K

Conversation = Sequence[Message]
DTYPE = torch.bfloat16
"""Of the backbone, for everybody: half the memory of float32, and the type in which its weights were published."""
DRAFTS_AT_ONCE = 32
SCORED_AT_ONCE = 8
"""Texts: logits of a whole batch are held, 50 MB for a text of 256 tokens."""


def as_asked(messages: Conversation) -> Conversation:
    """The prompt itself."""
    return messages


@dataclass(frozen=True)
class Hooks:
    """Where a method reaches into the sampler. Letters as in `models.adapter`: L layers, G heads, P places, H width."""

    lm: LlamaForCausalLM | None = None
    """In place of the backbone; of a peft model with LoRA, `get_base_model()`."""
    before: Tensor | None = None
    """[L, 2, G, P, d]: keys and values exactly as cached; the prompt's positions start at P."""
    after: Callable[[Sequence[Conversation]], Tensor] | None = None
    """Prompts as the person asked them -> [B, L, 2, G, P, d]: keys before RoPE, and values, after each prompt."""
    steering: Mapping[int, Tensor] = field(default_factory=dict)
    """Layer -> [H], added to what the layer hands on."""
    told: Callable[[Conversation], Conversation] = as_asked
    """What the model reads in place of the prompt."""


class SharedSampler:
    """Drafts and likelihoods of one backbone."""

    def __init__(
        self,
        lm: LlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        template: ChatTemplate,
        *,
        sampling: Sampling = Sampling(),  # noqa: B008 (immutable)
        at_once: int = DRAFTS_AT_ONCE,
    ) -> None:
        """`sampling` is PenPal's own default unless told otherwise; its `max_tokens` is what room is kept for."""
        self.lm, self.tokenizer, self.template, self.sampling = lm, tokenizer, template, sampling
        self._at_once = at_once

    @property
    def room_tokens(self) -> int:
        """Longest prompt beside a draft of `sampling.max_tokens`."""
        return int(self.lm.config.max_position_embeddings) - self.sampling.max_tokens - LATENT_POSITIONS

    def ids(self, messages: Conversation) -> list[int]:
        """A conversation as the chat template renders it."""
        return list(self.tokenizer(self.template.render(messages), add_special_tokens=False).input_ids)

    def texts(
        self,
        prompts: Sequence[Conversation],
        seeds: Sequence[int],
        *,
        max_tokens: int,
        hooks: Hooks | None = None,
        greedy: bool = False,
    ) -> list[str]:
        """One draft for each prompt. A draft depends on its prompt and seed, not on its neighbours in the batch.

        `greedy`: the most probable token each time, for answers that are no drafts.
        """
        hooks = hooks or Hooks()
        chosen = replace(self.sampling, max_tokens=max_tokens)
        if greedy:
            chosen = replace(chosen, temperature=0.0)
        ids = [self.ids(hooks.told(prompt)) for prompt in prompts]
        # Alike in length side by side: less padding.
        order = sorted(range(len(prompts)), key=lambda i: len(ids[i]))
        found = [""] * len(prompts)
        for start in range(0, len(order), self._at_once):
            part = order[start : start + self._at_once]
            after = hooks.after([prompts[i] for i in part]) if hooks.after else None
            drawn = self._drawn([ids[i] for i in part], [seeds[i] for i in part], chosen, hooks, after)
            for i, tokens in zip(part, drawn, strict=True):
                continues = prompts[i][0].role == "text"
                found[i] = self.text(tokens) if continues else self.text(tokens).lstrip()
        return found

    def text(self, ids: Sequence[int]) -> str:
        """A response as text, without what is broken at its end; a continuation may begin with a space."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).replace("\ufffd", "").rstrip()

    @torch.no_grad()
    def likelihoods(
        self, prompts: Sequence[Conversation], texts: Sequence[str], hooks: Hooks | None = None
    ) -> list[Likelihood]:
        """How probable each text is after its prompt; without hooks, under the untouched backbone."""
        hooks = hooks or Hooks()
        lm = hooks.lm or self.lm
        asked = [self.ids(hooks.told(prompt)) for prompt in prompts]
        answers = [list(self.tokenizer(text, add_special_tokens=False).input_ids) for text in texts]
        order = sorted((i for i, ids in enumerate(answers) if ids), key=lambda i: len(asked[i]) + len(answers[i]))
        found = [Likelihood(0.0, 0)] * len(prompts)
        for start in range(0, len(order), SCORED_AT_ONCE):
            part = order[start : start + SCORED_AT_ONCE]
            after = hooks.after([prompts[i] for i in part]) if hooks.after else None
            longest = max(len(answers[i]) for i in part)
            # Padded on the right, where no token of the text sees it.
            read = [[asked[i][-1], *answers[i][:-1], *[0] * (longest - len(answers[i]))] for i in part]
            with steered(lm, hooks.steering):
                cache, seen, positions = prefilled(lm, [asked[i] for i in part], hooks.before, after)
                logits = lm(
                    input_ids=torch.tensor(read, device=lm.device),
                    attention_mask=torch.cat([seen, seen.new_ones(len(part), longest)], 1),
                    position_ids=positions[:, None] + torch.arange(longest, device=lm.device),
                    past_key_values=cache,
                ).logits
            for row, i in enumerate(part):
                ids = torch.tensor(answers[i], device=logits.device)
                scored = torch.log_softmax(logits[row, : len(ids)].float(), -1).gather(1, ids[:, None])
                found[i] = Likelihood(-scored.sum().item(), len(ids))
        return found

    # --- inner ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _drawn(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        chosen: Sampling,
        hooks: Hooks,
        after: Tensor | None,
    ) -> list[list[int]]:
        """Token ids of one batch, without the end of text."""
        lm, end = hooks.lm or self.lm, self.tokenizer.eos_token_id
        dice = [torch.Generator().manual_seed(seed) for seed in seeds]
        written: list[list[int]] = [[] for _ in prompts]
        with steered(lm, hooks.steering):
            cache, seen, positions = prefilled(lm, prompts, hooks.before, after)
            tokens, live = [ids[-1] for ids in prompts], list(range(len(prompts)))
            for _ in range(chosen.max_tokens):
                seen = torch.cat([seen, seen.new_ones(len(live), 1)], 1)
                logits = lm(
                    input_ids=torch.tensor(tokens, device=lm.device)[:, None],
                    attention_mask=seen,
                    position_ids=positions[:, None],
                    past_key_values=cache,
                ).logits[:, -1]
                values, places = logits.float().topk(min(TOP_K, logits.shape[-1]))
                values, places = values.cpu(), places.cpu()
                tokens = [int(places[row, draw_token(values[row], chosen, dice[i])]) for row, i in enumerate(live)]
                going = [row for row, token in enumerate(tokens) if token != end]
                for row in going:
                    written[live[row]].append(tokens[row])
                if not going:
                    break
                positions = positions + 1
                if len(going) < len(live):
                    rows = torch.tensor(going, device=lm.device)
                    cache.batch_select_indices(rows)
                    seen, positions = seen[rows], positions[rows]
                    tokens, live = [tokens[row] for row in going], [live[row] for row in going]
        return written


def prefilled(
    lm: LlamaForCausalLM, prompts: Sequence[Sequence[int]], before: Tensor | None, after: Tensor | None
) -> tuple[DynamicCache, Tensor, Tensor]:
    """The cache before each prompt's last token, which of its places are seen [B, S], and that token's position [B]."""
    cache: Any = DynamicCache(config=lm.config)
    count, device = len(prompts), lm.device
    seen = torch.ones(count, 0, dtype=torch.bool, device=device)
    first = 0
    if before is not None:
        first = before.shape[-2]
        for layer, (keys, values) in enumerate(before.to(device, lm.dtype)):
            cache.update(keys.expand(count, -1, -1, -1), values.expand(count, -1, -1, -1), layer)
        seen = torch.ones(count, first, dtype=torch.bool, device=device)
    ids, is_text = (part.to(device) for part in left_padded([x[:-1] for x in prompts]))
    if ids.shape[1]:
        seen = torch.cat([seen, is_text], 1)
        places = first + (is_text.cumsum(1) - 1).clamp(min=0)
        lm.model(input_ids=ids, attention_mask=seen, position_ids=places, past_key_values=cache, use_cache=True)
    positions = torch.tensor([first + len(x) - 1 for x in prompts], device=device)
    if after is not None:
        kv = after.to(device, lm.dtype)
        cos, sin = lm.model.rotary_emb(kv, positions[:, None] + torch.arange(LATENT_POSITIONS, device=device))
        for layer in range(kv.shape[1]):
            cache.update(rotate(kv[:, layer, 0], cos[:, None], sin[:, None]), kv[:, layer, 1], layer)
        seen = torch.cat([seen, seen.new_ones(count, LATENT_POSITIONS)], 1)
        positions = positions + LATENT_POSITIONS
    return cache, seen, positions


@contextmanager
def steered(lm: LlamaForCausalLM, vectors: Mapping[int, Tensor]) -> Iterator[None]:
    """Adds each vector to the output of its layer while this is open."""

    def adding(vector: Tensor) -> Callable[..., Any]:
        def hook(module: object, inputs: object, output: Any) -> Any:
            added = vector.to(lm.device, lm.dtype)
            return (output[0] + added, *output[1:]) if isinstance(output, tuple) else output + added

        return hook

    handles = [lm.model.layers[layer].register_forward_hook(adding(vector)) for layer, vector in vectors.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class SampledAuthor:
    """An `Author` who differs from the backbone by hooks."""

    sampler: SharedSampler
    cost: Cost
    hooks: Hooks = field(default_factory=Hooks)

    def drafts(self, prompts: Sequence[Conversation], seeds: Sequence[int], *, max_tokens: int) -> list[str]:
        return self.sampler.texts(prompts, seeds, max_tokens=max_tokens, hooks=self.hooks)


def open_sampler(dtype: torch.dtype = DTYPE) -> SharedSampler:
    """Over the embedded backbone; some seconds."""
    backbone = open_backbone()
    template = ChatTemplate(backbone.metadata.get("tokenizer.chat_template"))
    return SharedSampler(load_torch(backbone, dtype), load_tokenizer(backbone), template)

"""Samples responses with transformers, many at a time: for GPUs, where llama.cpp's batches are the slower ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from core.protocols import Sampling
from models.adapter import left_padded
from models.backbone import ChatTemplate
from models.sampling import Conversation, PromptResponses, requests

TOP_K = 200
"""As llama.cpp's sampler has it (`llama_runtime.TokenSampler`)."""


class TorchSampler:
    """A `Sampler` over the dense copy of the backbone, on its device."""

    def __init__(
        self,
        lm: LlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        template: ChatTemplate,
        *,
        sampling: Sampling,
        longest_prompt: int = 384,
        at_once: int = 512,
    ) -> None:
        """`at_once`: responses of one batch."""
        self._lm: Any = lm  # transformers types `generate` for classes that this one is none of
        self._tokenizer, self._template, self._sampling = tokenizer, template, sampling
        self._longest_prompt, self._at_once = longest_prompt, at_once

    def sample(self, prompts: Sequence[Conversation], *, plain: int, hinted: int, seed: int) -> list[PromptResponses]:
        rows, ids = requests(prompts, self._ids, plain=plain, hinted=hinted, rng=random.Random(seed))
        # Alike in length side by side: less padding.
        order = sorted((r for r in ids if len(ids[r]) <= self._longest_prompt), key=lambda r: len(ids[r]))
        torch.manual_seed(seed)
        for start in range(0, len(order), self._at_once):
            batch = order[start : start + self._at_once]
            for (row, column), response in zip(batch, self._responses([ids[r] for r in batch]), strict=True):
                rows[row].responses[column][:] = response
        return rows

    def text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True)).replace("\ufffd", "").strip()

    def close(self) -> None:
        """The dense copy is freed with this object."""

    def _ids(self, messages: Conversation) -> list[int]:
        return list(self._tokenizer(self._template.render(messages), add_special_tokens=False).input_ids)

    @torch.no_grad()
    def _responses(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        end = self._tokenizer.eos_token_id
        ids, is_text = left_padded(prompts, pad=end)
        chosen = self._sampling
        drawn = (
            {"do_sample": True, "temperature": chosen.temperature, "top_p": chosen.top_p, "min_p": chosen.min_p,
             "top_k": TOP_K}
            if chosen.temperature > 0
            else {"do_sample": False}
        )  # fmt: skip
        found = self._lm.generate(
            ids.to(self._lm.device), attention_mask=is_text.to(self._lm.device), max_new_tokens=chosen.max_tokens,
            pad_token_id=end, eos_token_id=end, **drawn,
        )  # fmt: skip
        return [_to_end(response, end) for response in found[:, ids.shape[1] :].tolist()]


def _to_end(response: list[int], end: int) -> list[int]:
    """Up to the first end-of-text token, it included."""
    return response[: response.index(end) + 1] if end in response else response

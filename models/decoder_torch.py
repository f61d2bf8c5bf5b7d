"""Drafts with torch and transformers: the reference that llama.cpp is checked against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedTokenizerBase

from core.errors import PromptTooLongError
from core.protocols import Chunk, DraftRequest, Latent, Likelihood, Message, Sampling
from models.adapter import LATENT_POSITIONS, Adapter, latent_cache, prompt_caches
from models.backbone import Backbone, ChatTemplate, load_tokenizer, load_torch
from models.checkpoint import Arrays
from models.draft_text import DraftText


@dataclass
class _Draft:
    index: int
    token: int
    text: DraftText
    random: torch.Generator


class TorchDecoder:
    """A `Decoder` in torch. Drafts with and without a latent cannot share a batch here; llama.cpp can do that."""

    def __init__(
        self,
        lm: LlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        template: ChatTemplate,
        adapter: Adapter | None,
        *,
        backbone_id: str,
    ) -> None:
        self._lm, self._tokenizer, self._template, self._adapter = lm, tokenizer, template, adapter
        self._backbone_id = backbone_id
        self._end_tokens = {tokenizer.eos_token_id}
        self._special_tokens = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}

    @property
    def backbone_id(self) -> str:
        return self._backbone_id

    @property
    def device(self) -> str:
        return f"torch {self._lm.dtype} on {self._lm.device}"

    def room_tokens(self, sampling: Sampling) -> int:
        return int(self._lm.config.max_position_embeddings) - sampling.max_tokens - LATENT_POSITIONS

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(self._ids(messages))

    def warm(self, messages: Sequence[Message], *, cancelled: Callable[[], bool] = lambda: False) -> bool:
        return False  # nothing is kept from one call to the next

    def generate(
        self,
        messages: Sequence[Message],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        ids = self._ids(messages)
        if len(ids) > self.room_tokens(sampling):
            raise PromptTooLongError(
                f"The text is too long: {len(ids)} tokens, {self.room_tokens(sampling)} fit.",
                tokens=len(ids),
                room_tokens=self.room_tokens(sampling),
            )
        cache, position = self._branches(ids, [request.z for request in requests])
        on_prefill(len(ids), len(ids))
        live = [
            _Draft(i, ids[-1], DraftText(sampling), torch.Generator().manual_seed(request.seed))
            for i, request in enumerate(requests)
        ]
        while live:
            if cancelled():
                for draft in live:
                    yield Chunk(draft.index, draft.text.end("cancelled"), draft.text.tokens, "cancelled")
                return
            logits = self._step(cache, [draft.token for draft in live], position)
            position += 1
            for row, draft in zip(logits, live, strict=True):
                draft.token = draw_token(row, sampling, draft.random)
                ended = draft.token in self._end_tokens
                text = draft.text.end("stop") if ended else draft.text.add(self._piece(draft.token))
                if text or draft.text.finish:
                    yield Chunk(draft.index, text, draft.text.tokens, draft.text.finish)
            going = [i for i, draft in enumerate(live) if not draft.text.finish]
            if going and len(going) < len(live):
                cache.batch_select_indices(torch.tensor(going))
            live = [live[i] for i in going]

    @torch.no_grad()
    def log_probs(self, messages: Sequence[Message], response: str, z: Latent | None) -> NDArray[np.float32]:
        ids, response_ids = self._ids(messages), self._tokenizer(response, add_special_tokens=False).input_ids
        cache, position = self._branches(ids, [z])
        tokens = torch.tensor([[ids[-1], *response_ids[:-1]]])
        positions = torch.arange(position, position + len(response_ids))[None]
        logits = self._lm(input_ids=tokens, past_key_values=cache, position_ids=positions).logits[0]
        result: NDArray[np.float32] = torch.log_softmax(logits.float(), -1).numpy()
        return result

    def likelihood(self, messages: Sequence[Message], response: str, z: Latent | None = None) -> Likelihood:
        ids = self._tokenizer(response, add_special_tokens=False).input_ids
        if not ids:
            return Likelihood(0.0, 0)
        rows = self.log_probs(messages, response, z)
        return Likelihood(-float(sum(row[i] for row, i in zip(rows, ids, strict=True))), len(ids))

    def close(self) -> None:
        """torch frees its memory with the last reference."""

    # --- inner ------------------------------------------------------------------------------------------------

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        text = self._template.render(messages)
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _piece(self, token: int) -> bytes:
        """The token's bytes, from the byte-level alphabet of its vocabulary entry. Special tokens give nothing."""
        if token in self._special_tokens:
            return b""
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
        entry = self._tokenizer.convert_ids_to_tokens(token)
        return bytes(byte_of[c] for c in entry) if all(c in byte_of for c in entry) else b""

    @torch.no_grad()
    def _branches(self, ids: Sequence[int], latents: Sequence[Latent | None]) -> tuple[DynamicCache, int]:
        """One cache row per draft, sharing one prompt prefill; and the position of the prompt's last token."""
        start = len(ids) - 1
        layers, _ = prompt_caches(self._lm, [ids]).of(torch.zeros(len(latents), dtype=torch.long))
        if all(z is None for z in latents):
            cache = DynamicCache(config=self._lm.config)
            for layer, (keys, values) in enumerate(layers):
                cache.update(keys.clone(), values.clone(), layer)
            return cache, start
        assert self._adapter is not None
        known = [z for z in latents if z is not None]
        assert len(known) == len(latents), "drafts with and without a latent in one batch"
        kv = self._adapter(torch.from_numpy(np.stack(known)))
        return latent_cache(self._lm, layers, kv, torch.full((len(kv),), start)), start + LATENT_POSITIONS

    @torch.no_grad()
    def _step(self, cache: DynamicCache, tokens: Sequence[int], position: int) -> Tensor:
        """[B, V] float32: the next token's logits."""
        ids = torch.tensor(tokens)[:, None]
        positions = torch.full_like(ids, position)
        logits: Tensor = self._lm(input_ids=ids, past_key_values=cache, position_ids=positions).logits[:, -1].float()
        return logits


def draw_token(logits: Tensor, sampling: Sampling, random: torch.Generator) -> int:
    """One draw from [V] logits: top-p, min-p, then temperature, in llama.cpp's order."""
    if sampling.temperature <= 0:
        return int(logits.argmax())
    p, order = torch.softmax(logits, -1).sort(descending=True)
    keep = (p.cumsum(0) - p < sampling.top_p) & (p >= sampling.min_p * p[0])
    scaled = torch.softmax(logits[order[keep]] / sampling.temperature, -1)
    return int(order[keep][torch.multinomial(scaled, 1, generator=random)])


def open_torch_decoder(backbone: Backbone, clap: Arrays | None, template: ChatTemplate) -> TorchDecoder:
    """The reference in fp32, with the adapter of a CLaP."""
    lm = load_torch(backbone, torch.float32)
    adapter = adapter_from(clap, lm) if clap is not None else None
    return TorchDecoder(lm, load_tokenizer(backbone), template, adapter, backbone_id=backbone.id)


def adapter_from(clap: Arrays, lm: LlamaForCausalLM) -> Adapter:
    """The adapter of a `clap.safetensors` over its backbone."""
    state = {
        name.removeprefix("adapter."): torch.from_numpy(array).float()
        for name, array in clap.items()
        if name.startswith("adapter.")
    }
    width, latent_size = state["inp.weight"].shape
    adapter = Adapter(lm, latent_size=latent_size, width=width)
    adapter.load_state_dict(state)
    return adapter.eval().requires_grad_(False)

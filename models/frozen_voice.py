"""A fixed latent in the files that llama.cpp's own tools keep a prompt in, so that they write in a voice.

A prompt cache holds the tokens of a prompt and the keys and values that were computed for them; a tool that is given
the same tokens goes on from there. Here the latent's entries stand behind the prompt, before its last token, as they do
when PenPal drafts, and a token that says nothing stands in for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.errors import BackboneError, PromptTooLongError
from core.protocols import Latent, Message
from models.backbone import ChatTemplate
from models.decoder_llama import PREFILL_TOKENS, state_layout
from models.latent_kv import LatentAdapter
from models.llama_runtime import Entry, LlamaContext, LlamaModel
from models.text_encoder import MAX_TOKEN_CHARACTERS

STAND_INS = ("<|endoftext|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "</s>", "<unk>")
"""Tokens that a backbone may have and that no prompt holds."""
FRONT = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for a prompt that is not known yet."""
_PROMPT, _LATENT = 0, 1


@dataclass(frozen=True)
class FrozenPrompt:
    """What was frozen."""

    text: str
    """The prompt, with stand-ins where the latent is: this, and what may follow, is what a tool is given."""
    tokens: tuple[int, ...]
    """Of `text`; the last one is not in the cache, a tool computes it."""


def open_end(template: ChatTemplate) -> tuple[str, str]:
    """What a conversation's first message stands between, as the backbone's template has it."""
    before, found, after = template.render([Message("user", FRONT)]).partition(FRONT)
    if not found:
        raise BackboneError("This backbone's chat template changes what is written: a voice cannot be frozen.")
    return before, after


def freeze(
    model: LlamaModel, adapter: LatentAdapter, prompt: str, z: Latent, *, session: Path, slot: Path
) -> FrozenPrompt:
    """Writes a latent [D] behind this rendered prompt: `session` for llama-completion, `slot` for llama-server.

    Raises BackboneError when the backbone's tokens cannot say where the latent is.
    """
    frozen = with_stand_ins(model, prompt, adapter.positions)
    if len(frozen.tokens) > model.trained_context_tokens:
        raise PromptTooLongError(
            f"The prompt is too long to be frozen: {len(frozen.tokens)} tokens, {model.trained_context_tokens} fit.",
            tokens=len(frozen.tokens),
            room_tokens=model.trained_context_tokens,
        )
    start = len(frozen.tokens) - 1 - adapter.positions
    context = LlamaContext(model, tokens=len(frozen.tokens) + adapter.positions, sequences=2, unified=True)
    try:
        layout = state_layout(context, adapter.positions, _LATENT)
        for at in range(0, start, PREFILL_TOKENS):
            block = frozen.tokens[at : min(at + PREFILL_TOKENS, start)]
            context.decode([Entry(token, at + i, _PROMPT) for i, token in enumerate(block)])
        keys, values = adapter.entries(z, start)
        context.restore(_LATENT, layout.filled(keys, values, start=start, sequence=_LATENT))
        # llama.cpp's tools know one sequence only, and refuse a cache with cells of another.
        context.share(_LATENT, _PROMPT)
        context.forget(_LATENT)
        context.save_session(session, frozen.tokens)
        context.save_sequence(slot, _PROMPT, frozen.tokens[:-1])
    finally:
        context.close()
    return frozen


def with_stand_ins(model: LlamaModel, prompt: str, positions: int) -> FrozenPrompt:
    """The prompt with so many stand-ins before its last token."""
    if model.metadata("tokenizer.ggml.add_bos_token") == "true":
        raise BackboneError("llama.cpp's tools put a token of their own before this backbone's prompts: not supported.")
    *first, last = model.tokenize(prompt)
    for stand_in in STAND_INS:
        token = model.tokenize(stand_in)
        # Where the last token's text begins is found by trying: a token is not always whole characters.
        for cut in range(1, min(len(prompt), MAX_TOKEN_CHARACTERS) if len(token) == 1 else 0):
            text = prompt[:-cut] + stand_in * positions + prompt[-cut:]
            if (tokens := model.tokenize(text)) == [*first, *token * positions, last]:
                return FrozenPrompt(text, tuple(tokens))
    raise BackboneError("This backbone has no token that could stand where the voice is: it cannot be frozen.")

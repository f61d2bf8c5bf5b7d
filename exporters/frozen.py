"""A voice for llama.cpp's own tools: the backbone, a prompt cache with the latent in it, and a page on how to use them.

With a prompt the cache holds that prompt and is exact: what PenPal would draft. Without one it holds what stands before
any first message, and most of the voice's effect is left, since the latent is now read before the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.files import write_atomically
from core.protocols import Latent
from exporters.gguf_export import BACKBONE
from models.backbone import ChatTemplate
from models.frozen_voice import FrozenPrompt, freeze, open_end
from models.latent_kv import LatentAdapter
from models.llama_runtime import LlamaModel

SESSION, SLOT = "voice.session", "voice.slot"
PROMPT, START, END, README = "prompt.txt", "start.txt", "end.txt", "README-llama.cpp.md"


@dataclass(frozen=True)
class Frozen:
    """What was written."""

    files: list[Path]
    exact: bool
    """For one prompt: the drafts are PenPal's own."""


def freeze_for_prompt(folder: Path, model: LlamaModel, adapter: LatentAdapter, rendered: str, z: Latent) -> Frozen:
    """The voice at z [D] behind one rendered prompt."""
    frozen = _cache(folder, model, adapter, rendered, z)
    return _with_page(folder, {PROMPT: frozen.text}, frozen, exact=True)


def freeze_before_prompts(
    folder: Path, model: LlamaModel, template: ChatTemplate, adapter: LatentAdapter, z: Latent
) -> Frozen:
    """The voice at z [D] before any first message."""
    before, after = open_end(template)
    frozen = _cache(folder, model, adapter, before, z)
    return _with_page(folder, {START: frozen.text, END: after}, frozen, exact=False)


def _cache(folder: Path, model: LlamaModel, adapter: LatentAdapter, rendered: str, z: Latent) -> FrozenPrompt:
    return freeze(model, adapter, rendered, z, session=folder / SESSION, slot=folder / SLOT)


def _with_page(folder: Path, texts: dict[str, str], frozen: FrozenPrompt, *, exact: bool) -> Frozen:
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    about = _EXACT if exact else _BEFORE_ANY
    page = _PAGE.format(about=about, backbone=BACKBONE, session=SESSION, slot=SLOT, cached=len(frozen.tokens) - 1)
    write_atomically(folder / README, page.encode())
    return Frozen([folder / name for name in (SESSION, SLOT, *texts, README)], exact)


_EXACT = """`prompt.txt` is your prompt, as the backbone reads it. With the sampler at temperature 0 the text is the
one that PenPal drafts for it in this voice."""

_BEFORE_ANY = """Put your own words between the two texts, with nothing before and after them:

    { cat start.txt; printf %s "Write a note to the neighbours."; cat end.txt; } > prompt.txt

The voice stands before your words here, and not behind them as in PenPal: most of its effect is left, not all. For all
of it, freeze one prompt: `penpal export --gguf DIR --freeze --prompt "..."`."""

_PAGE = """# A PenPal voice in llama.cpp's own tools

{about}

`llama-completion` (before December 2025 it was called `llama-cli`):

    llama-completion -m {backbone} --prompt-cache {session} --prompt-cache-ro -no-cnv -bf prompt.txt \\
        -n 160 --temp 0.8 --top-p 0.95 --min-p 0.05

`llama-server`, started in this folder, with one slot:

    llama-server -m {backbone} --slot-save-path . -np 1
    curl -X POST "localhost:8080/slots/0?action=restore" -d '{{"filename": "{slot}"}}'
    jq -Rs '{{prompt: ., n_predict: 160, cache_prompt: true, id_slot: 0}}' prompt.txt | \\
        curl localhost:8080/completion -d @-

Both must be of the llama.cpp that PenPal has (session format 10, sequence state format 3) or of one that reads these.
The texts hold a few `<|endoftext|>` or tokens like it: they stand where the voice is in the cache, which is {cached}
tokens long. A prompt that begins differently, even by a space, throws the voice away. Flash attention has to be on or
'auto' and the cache F16, as is usual. Use `-bf` and not `-f`, which drops the prompt's last line break, and no
chat mode or prefix, which change the prompt.
"""

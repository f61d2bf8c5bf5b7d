"""llama.cpp's own `llama-completion` writes in a frozen voice what PenPal drafts: where that program is at hand.

    LLAMA_COMPLETION=/path/to/llama-completion python -m pytest tests/exporters/test_stock_tools.py

docs/running-it.md says how to build it from the llama.cpp that llama-cpp-python brings, in a few seconds.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from core.protocols import DraftRequest, Message, Sampling
from exporters.frozen import PROMPT, SESSION, freeze_for_prompt
from models.backbone import Backbone, ChatTemplate
from models.checkpoint import Arrays
from tests import tiny

TOOL = os.environ.get("LLAMA_COMPLETION")
HELLO = [Message("user", "Hello")]
TOKENS = 12
SPARE = 6
"""At its end the tool sometimes loses what it has written last."""


@pytest.mark.skipif(TOOL is None, reason="set LLAMA_COMPLETION to a llama-completion of the same llama.cpp")
def test_the_stock_tool_goes_on_as_penpal_does(tiny_backbone: Backbone, tiny_clap: Arrays, tmp_path: Path) -> None:
    assert TOOL is not None
    decoder = tiny.llama_decoder(tiny_backbone, tiny_clap, tmp_path)
    adapter, z = tiny.latent_adapter(tiny_backbone, tiny_clap, tmp_path), tiny.tiny_latents(1, 4)[0]
    rendered = ChatTemplate(tiny.CHAT_TEMPLATE).render(HELLO)
    freeze_for_prompt(tmp_path, decoder.model, adapter, rendered, z)
    greedy = Sampling(temperature=0, max_tokens=TOKENS)
    drafted = "".join(chunk.text for chunk in decoder.generate(HELLO, [DraftRequest(0, z)], greedy)).strip()
    decoder.close()
    done = subprocess.run(
        [
            TOOL, "-m", tiny_backbone.path, "--prompt-cache", tmp_path / SESSION, "--prompt-cache-ro", "-no-cnv",
            "-bf", tmp_path / PROMPT, "-n", str(TOKENS + SPARE), "--temp", "0", "--no-display-prompt",
        ],
        capture_output=True, check=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "session file has exact match for prompt" in done.stderr.decode(errors="replace")
    assert done.stdout.decode(errors="replace").strip().startswith(drafted)

"""A voice at strength 0 drafts word by word as the generic one, at 1 as itself, through the real decoder."""

from __future__ import annotations

import numpy as np
import pytest

from core.protocols import Message, Sampling
from models.decoder_llama import LlamaDecoder
from models.fluency import write_drafts
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from tests import tiny

D, H = tiny.LATENT_SIZE, 3
MESSAGES = [Message("user", "Write a short note to the neighbours.")]


def headed() -> GaussianEncoder:
    """A voice that leans in every way there is."""
    draw = np.random.default_rng(2)
    parts = Parts(draw.normal(size=D), draw.normal(size=D) / 4, {"mail": draw.normal(size=D)}, draw.normal(size=H),
                  draw.normal(size=(H, D)))  # fmt: skip
    return GaussianEncoder(parts, features=lambda messages: np.ones(H, np.float32))


@pytest.mark.parametrize("context", ["mail", "other"])
def test_0_drafts_as_the_generic_voice_and_1_as_learned(tiny_llama: LlamaDecoder, context: str) -> None:
    mine, generic = headed(), GaussianEncoder.generic(D)
    voices = [mine.scaled(0.0), generic, mine.scaled(1.0), mine]
    for seed in range(3):
        latents = [voice.sample(MESSAGES, context, seed) for voice in voices]
        assert latents[0].tobytes() == latents[1].tobytes()
        drafts = [write_drafts(tiny_llama, MESSAGES, [z], Sampling(max_tokens=12), seed)[0].text for z in latents]
        assert drafts[0] == drafts[1]
        assert drafts[2] == drafts[3]
        assert drafts[0] != drafts[2]


def test_0_reads_no_prompt_and_keeps_what_it_would_take_to_read_one() -> None:
    none = headed().scaled(0.0)
    assert not none.reads_prompts
    assert none.with_parts(headed().parts).mean(MESSAGES, "mail").tobytes() == headed().mean(MESSAGES, "mail").tobytes()

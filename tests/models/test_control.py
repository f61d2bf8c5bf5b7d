"""Directions of readable properties, and how far drafts follow them."""

from __future__ import annotations

import numpy as np
import pytest

from core.protocols import Message, Sampling
from models import control
from models.control import PROPERTIES, directions, effect_size
from models.decoder_llama import LlamaDecoder
from models.fluency import WrittenDraft
from tests import tiny

D = 8


def responses(prompts: int = 60, each: int = 4) -> tuple[np.ndarray, list[int], list[str]]:
    """Along the first axis texts ask more; the second axis is the topic, which decides their words."""
    rng = np.random.default_rng(0)
    means, of, texts = [], [], []
    for prompt in range(prompts):
        topic = rng.standard_normal()
        for _ in range(each):
            z = rng.standard_normal(D)
            z[1] = topic
            asks = z[0] + 0.3 * rng.standard_normal() > 0
            means.append(z)
            of.append(prompt)
            texts.append(f"{'long words everywhere' if topic > 0 else 'a bb'}{'?' if asks else '.'}")
    return np.array(means), of, texts


def test_a_direction_is_found_within_prompts_and_not_between_them() -> None:
    found = directions(*responses())
    unit, correlation = found["questions"]
    assert np.linalg.norm(unit) == pytest.approx(1)
    assert unit[0] > 0.97
    assert correlation > 0.6
    assert "word length" not in found, "it varies between topics only"


def test_what_no_response_has_is_left_out() -> None:
    assert "exclamation" not in directions(*responses())


def drafts(*texts: str) -> list[WrittenDraft]:
    return [WrittenDraft((), text) for text in texts]


def test_the_effect_is_cohens_d() -> None:
    """Means 4 and 2 words, both with variance 2: the difference is the square root of 2 standard deviations."""
    own, other = drafts("a b c", "a b c d e"), drafts("a", "a b c")
    assert effect_size(PROPERTIES["response length"], own, other) == pytest.approx(2**0.5)
    assert effect_size(PROPERTIES["questions"], own, other) == 0


def test_drafts_are_steered_and_what_costs_too_much_is_not_counted(
    tiny_llama: LlamaDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    units = {name: rng.standard_normal(tiny.LATENT_SIZE) for name in ("sentence length", "word length")}
    found = {name: (unit / np.linalg.norm(unit), 0.5) for name, unit in units.items()}
    prompts = [[Message("user", text)] for text in ("Hello", "the garden", "Write to the neighbours")]
    sampling = Sampling(temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=12)
    monkeypatch.setattr(control, "MAX_COST", 1e9)
    rows = control.control(tiny_llama, prompts, found, sampling)
    assert {row.property for row in rows} == set(found)
    assert [row.effect for row in rows] == sorted((row.effect for row in rows), reverse=True)
    assert all(row.length in control.LENGTHS and row.perplexity != row.perplexity_generic for row in rows)
    monkeypatch.setattr(control, "MAX_COST", -1e9)
    assert all((row.effect, row.length) == (0, 0) for row in control.control(tiny_llama, prompts, found, sampling))

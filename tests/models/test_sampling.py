"""Sampled responses in shards: resumed where they stopped, byte by byte the same, duplicates dropped on reading."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from core.protocols import Sampling
from models.backbone import Backbone, ChatTemplate
from models.llama_runtime import LlamaContext, LlamaModel
from models.sampling import PromptResponses, ResponseSampler, read_shards, sample_to_shards
from models.writing_tasks import STYLE_HINTS
from tests import tiny

SAMPLING = Sampling(temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=8)
PROMPTS = ["Hello", "Write to the neighbours", "the garden"]


@pytest.fixture
def sampler(tiny_backbone: Backbone) -> Iterator[ResponseSampler]:
    model = LlamaModel(tiny_backbone.path)
    sampler = ResponseSampler(model, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=SAMPLING)
    yield sampler
    sampler.close()
    model.close()


class Scripted:
    """Stands in for a sampler: answers from the seed, and may be killed on the way."""

    def __init__(self, fail_at: int = -1) -> None:
        self.calls, self.fail_at = 0, fail_at

    def sample(self, prompts: Sequence[str], *, plain: int, hinted: int, seed: int) -> list[PromptResponses]:
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        self.calls += 1
        return [
            PromptResponses(prompt, [1, 2], [""] * plain, [[seed, row, k, 9] for k in range(plain)])
            for row, prompt in enumerate(prompts)
        ]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def sampled(sampler: Scripted, folder: Path, prompts: Sequence[str]) -> dict[str, bytes]:
    sample_to_shards(sampler, prompts, folder, plain=2, hinted=0, seed=5)  # type: ignore[arg-type]
    return shards(folder)


def test_a_killed_run_goes_on_and_keeps_its_shards_byte_by_byte(tmp_path: Path) -> None:
    prompts = [f"prompt {i}" for i in range(150)]
    whole = sampled(Scripted(), tmp_path / "whole", prompts)
    with pytest.raises(KeyboardInterrupt):
        sampled(Scripted(fail_at=2), tmp_path / "killed", prompts)
    kept = shards(tmp_path / "killed")
    assert list(kept) == ["00000.jsonl", "00001.jsonl"]
    again = Scripted()
    assert sampled(again, tmp_path / "killed", prompts) == whole
    assert again.calls == 1


def test_a_shard_half_written_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "00000.partial").write_text('{"prompt": "Hel')
    sampled(Scripted(), tmp_path, PROMPTS)
    assert [row.prompt for row in read_shards(tmp_path)] == PROMPTS


def test_progress_counts_prompts(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    sample_to_shards(
        Scripted(),  # type: ignore[arg-type]
        ["x"] * 100,
        tmp_path,
        plain=1,
        hinted=0,
        seed=0,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(64, 100), (100, 100)]


def test_reading_drops_duplicates_and_very_short_responses(tmp_path: Path) -> None:
    row = PromptResponses("p", [1], ["", "a", "b", "c"], [[1, 2, 3, 4], [5, 6, 7], [1, 2, 3, 4], [1, 2, 3, 5]])
    (tmp_path / "00000.jsonl").write_text(json.dumps(asdict(row)) + "\n")
    assert list(read_shards(tmp_path)) == [PromptResponses("p", [1], ["", "c"], [[1, 2, 3, 4], [1, 2, 3, 5]])]


def test_every_prompt_gets_its_responses(sampler: ResponseSampler) -> None:
    prompts = [f"{p} {i}" for i in range(12) for p in PROMPTS]  # more requests than slots
    rows = sampler.sample(prompts, plain=2, hinted=1, seed=0)
    assert [row.prompt for row in rows] == prompts
    for row in rows:
        assert row.hints[:2] == ["", ""]
        assert row.hints[2] in STYLE_HINTS
        assert all(1 <= len(y) <= SAMPLING.max_tokens for y in row.responses)
        assert row.prompt_ids == sampler._ids(row.prompt)
    assert len({tuple(y) for row in rows for y in row.responses}) > len(prompts)


def test_the_same_seed_samples_the_same(sampler: ResponseSampler) -> None:
    one, again, other = (sampler.sample(PROMPTS, plain=2, hinted=1, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_greedy_response_is_what_the_backbone_alone_writes(sampler: ResponseSampler, tiny_backbone: Backbone) -> None:
    sampler._sampling = Sampling(temperature=0, max_tokens=8)
    found = {row.prompt: row.responses[0] for row in sampler.sample(PROMPTS, plain=1, hinted=0, seed=0)}
    lm = tiny.torch_decoder(tiny_backbone, None)._lm
    import torch

    for prompt, response in found.items():
        ids = torch.tensor([[*sampler._ids(prompt), *response]])
        greedy = lm(input_ids=ids).logits[0, -len(response) - 1 : -1].argmax(-1).tolist()
        assert greedy == response


def test_a_slot_forgets_what_it_held_before(sampler: ResponseSampler, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[int] = []
    forget = LlamaContext.forget
    monkeypatch.setattr(LlamaContext, "forget", lambda self, s, **_: (forgotten.append(s), forget(self, s))[1])
    sampler.sample(PROMPTS, plain=1, hinted=0, seed=0)
    assert forgotten == [0, 1, 2]

"""Sampled responses in shards: resumed where they stopped, byte by byte the same, duplicates dropped on reading."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from core.errors import BackboneError
from core.protocols import Message, Sampling
from models.backbone import Backbone, ChatTemplate
from models.llama_runtime import LlamaContext, LlamaModel
from models.sampling import Conversation, LlamaSampler, PromptResponses, read_shards, sample_to_shards
from models.sampling_torch import TorchSampler
from models.writing_tasks import STYLE_HINTS
from tests import tiny

SAMPLING = Sampling(temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=8)
PROMPTS = [[Message("user", text)] for text in ("Hello", "Write to the neighbours", "the garden")]


@pytest.fixture
def sampler(tiny_backbone: Backbone) -> Iterator[LlamaSampler]:
    model = LlamaModel(tiny_backbone.path)
    sampler = LlamaSampler(model, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=SAMPLING)
    yield sampler
    sampler.close()
    model.close()


class Scripted:
    """Stands in for a sampler: answers from the seed, and may be killed on the way."""

    def __init__(self, fail_at: int = -1) -> None:
        self.calls, self.fail_at = 0, fail_at

    def sample(self, prompts: Sequence[Conversation], *, plain: int, hinted: int, seed: int) -> list[PromptResponses]:
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        self.calls += 1
        return [
            PromptResponses(tuple(prompt), [1, 2], [""] * plain, [[seed, row, k, 9] for k in range(plain)])
            for row, prompt in enumerate(prompts)
        ]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def sampled(sampler: Scripted, folder: Path, prompts: Sequence[Conversation]) -> dict[str, bytes]:
    sample_to_shards(sampler, prompts, folder, plain=2, hinted=0, seed=5)  # type: ignore[arg-type]
    return shards(folder)


def test_a_killed_run_goes_on_and_keeps_its_shards_byte_by_byte(tmp_path: Path) -> None:
    prompts = [[Message("user", f"prompt {i}")] for i in range(150)]
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
    assert [list(row.messages) for row in read_shards(tmp_path)] == PROMPTS


def test_progress_counts_prompts(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    sample_to_shards(
        Scripted(),  # type: ignore[arg-type]
        [[Message("user", "x")]] * 100,
        tmp_path,
        plain=1,
        hinted=0,
        seed=0,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(64, 100), (100, 100)]


def test_reading_drops_duplicates_and_very_short_responses(tmp_path: Path) -> None:
    said = (Message("user", "p"),)
    row = PromptResponses(said, [1], ["", "a", "b", "c"], [[1, 2, 3, 4], [5, 6, 7], [1, 2, 3, 4], [1, 2, 3, 5]])
    (tmp_path / "00000.jsonl").write_text(json.dumps(asdict(row)) + "\n")
    assert list(read_shards(tmp_path)) == [PromptResponses(said, [1], ["", "c"], [[1, 2, 3, 4], [1, 2, 3, 5]])]


def test_every_prompt_gets_its_responses(sampler: LlamaSampler) -> None:
    prompts = [[Message("user", f"{p[0].content} {i}")] for i in range(12) for p in PROMPTS]  # more than slots
    rows = sampler.sample(prompts, plain=2, hinted=1, seed=0)
    assert [list(row.messages) for row in rows] == prompts
    for row in rows:
        assert row.hints[:2] == ["", ""]
        assert row.hints[2] in STYLE_HINTS
        assert all(1 <= len(y) <= SAMPLING.max_tokens for y in row.responses)
        assert row.prompt_ids == sampler._ids(row.messages)
    assert len({tuple(y) for row in rows for y in row.responses}) > len(prompts)


def test_the_same_seed_samples_the_same(sampler: LlamaSampler) -> None:
    one, again, other = (sampler.sample(PROMPTS, plain=2, hinted=1, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_greedy_response_is_what_the_backbone_alone_writes(sampler: LlamaSampler, tiny_backbone: Backbone) -> None:
    sampler._sampling = Sampling(temperature=0, max_tokens=8)
    found = {row.messages: row.responses[0] for row in sampler.sample(PROMPTS, plain=1, hinted=0, seed=0)}
    lm = tiny.torch_decoder(tiny_backbone, None)._lm
    import torch

    for prompt, response in found.items():
        ids = torch.tensor([[*sampler._ids(prompt), *response]])
        greedy = lm(input_ids=ids).logits[0, -len(response) - 1 : -1].argmax(-1).tolist()
        assert greedy == response


def test_a_slot_forgets_what_it_held_before(sampler: LlamaSampler, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[int] = []
    forget = LlamaContext.forget
    monkeypatch.setattr(LlamaContext, "forget", lambda self, s, **_: (forgotten.append(s), forget(self, s))[1])
    sampler.sample(PROMPTS, plain=1, hinted=0, seed=0)
    assert forgotten == [0, 1, 2]


def test_second_turns_and_plain_texts_are_rendered_as_what_they_are(sampler: LlamaSampler) -> None:
    turn = [Message("user", "Hello"), Message("assistant", "Yes?"), Message("user", "the garden")]
    first, second = sampler.sample([turn, [Message("text", "I miss our walks")]], plain=2, hinted=1, seed=0)
    assert first.prompt_ids == sampler._ids(turn)
    assert second.prompt_ids == sampler._model.tokenize("I miss our walks")
    assert all(len(row.responses) == 3 and all(row.responses) for row in (first, second))


def test_a_prompt_that_is_too_long_gets_no_responses_and_stops_nobody(sampler: LlamaSampler) -> None:
    rows = sampler.sample([[Message("user", "the garden " * 400)], *PROMPTS], plain=1, hinted=0, seed=0)
    assert [bool(row.responses[0]) for row in rows] == [False, True, True, True]


def test_a_full_disk_is_said_and_leaves_no_half_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackboneError, match=r"No space left on device.*run the same command again"):
        sampled(Scripted(), tmp_path, PROMPTS)
    assert not list(tmp_path.iterdir())


def test_transformers_samples_what_llama_does_where_nothing_is_drawn(
    sampler: LlamaSampler, tiny_backbone: Backbone
) -> None:
    reference = tiny.torch_decoder(tiny_backbone, None)
    template = ChatTemplate(tiny.CHAT_TEMPLATE)
    sampler._sampling = Sampling(temperature=0, max_tokens=8)
    other = TorchSampler(reference._lm, reference._tokenizer, template, sampling=sampler._sampling, at_once=2)
    prompts = [*PROMPTS, [Message("user", "the garden " * 400)]]
    found = [each.sample(prompts, plain=1, hinted=1, seed=3) for each in (sampler, other)]
    assert found[0] == found[1]
    assert other.text(found[1][0].responses[0]) == sampler.text(found[0][0].responses[0])


def test_transformers_draws_by_the_seed(tiny_backbone: Backbone) -> None:
    reference = tiny.torch_decoder(tiny_backbone, None)
    drawing = TorchSampler(
        reference._lm, reference._tokenizer, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=SAMPLING, at_once=4
    )
    one, again, other = (drawing.sample(PROMPTS, plain=2, hinted=1, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert [row.responses for row in one] != [row.responses for row in other]
    assert all(1 <= len(y) <= SAMPLING.max_tokens for row in one for y in row.responses)

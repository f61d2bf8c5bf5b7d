"""The server-side pipeline in stages: sample, train, publish, eval. What `penpal backbone` runs.

`publish` adds torch's reference log-probabilities to the trained weights, so that every user's machine can check
its own llama.cpp without torch (`models.parity`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray

from core.errors import UsageError
from core.files import write_atomically
from core.protocols import Decoder, Message, Sampling
from models.backbone import Backbone, ChatTemplate, load_tokenizer, load_torch
from models.checkpoint import Arrays, read_arrays, write_arrays
from models.control import Control, control, directions
from models.decoder_torch import adapter_from, open_torch_decoder
from models.encoder import encoder_from
from models.evaluate import ClapReport, accuracy_of_many, evaluate_drafts, evaluate_likelihoods
from models.llama_runtime import LlamaModel, write_gguf_as
from models.parity import reference_log_probs
from models.pretrain import PretrainConfig, pretrain
from models.sampling import Conversation, LlamaSampler, PromptResponses, Sampler, read_shards, sample_to_shards
from models.sampling_torch import TorchSampler
from models.writing_tasks import Split, next_task, writing_tasks

DRAFTING = Sampling(temperature=0.8, top_p=0.95, min_p=0.05, max_tokens=48)
EVAL_SEED = 1
SHARDS, FURTHER_SHARDS, SAMPLED_WITH = "responses", "responses-further", "sampling.json"
PUBLISHED = "published/clap.safetensors"
Report = Callable[[str], None]


@dataclass(frozen=True)
class SampleConfig:
    """What is sampled. Stored beside the shards."""

    prompts: int = 1472
    """Made-up writing tasks; a user's own prompts come on top."""
    further: int = 512
    """Second turns, and tasks with a text pasted in, about answers to the first ones."""
    plain: int = 3
    """Responses to the bare prompt."""
    hinted: int = 3
    """Responses that were asked for in a style in words."""
    max_tokens: int = 128
    seed: int = 100_000

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=0.9, top_p=0.95, min_p=0.02, max_tokens=self.max_tokens)


def open_sampler(backbone: Backbone, folder: Path, sampling: Sampling) -> Sampler:
    """The faster runtime of this machine: transformers on a GPU, else llama.cpp on a bf16 copy of the same weights,
    which on a CPU is twice as fast as Q4_1 or transformers (docs/experiments.md).
    """
    if torch.cuda.is_available():
        lm = load_torch(backbone, torch.bfloat16).to(torch.device("cuda"))  # type: ignore[arg-type]
        template = ChatTemplate(backbone.metadata["tokenizer.chat_template"])
        return TorchSampler(lm, load_tokenizer(backbone), template, sampling=sampling)
    model = LlamaModel(write_gguf_as(backbone.path, folder / f"{backbone.id}.bf16.gguf", "BF16"))
    return LlamaSampler(model, ChatTemplate(model.metadata("tokenizer.chat_template")), sampling=sampling)


def sample(
    backbone: Backbone,
    folder: Path,
    config: SampleConfig,
    *,
    own: Sequence[Conversation] = (),
    split: Split = "train",
    report: Report,
) -> list[PromptResponses]:
    """The backbone's responses to made-up tasks and to `own` prompts, kept in `folder`; goes on where it was stopped.

    Raises UsageError when `folder` holds samples of other settings or prompts.
    """
    tasks = [*([Message("user", t)] for t in writing_tasks(split, seed=EVAL_SEED, limit=config.prompts)), *own]
    if not tasks:
        raise UsageError("There is no prompt to sample responses for: ask for at least one.")
    _refuse_other_settings(folder, {**asdict(config), "split": split, "backbone": backbone.id}, own)
    if (rows := _complete(folder, config, len(tasks))) is not None:
        return rows
    sampler = open_sampler(backbone, folder, config.sampling)

    def shards(name: str, prompts: Sequence[Conversation]) -> list[PromptResponses]:
        sample_to_shards(
            sampler, prompts, folder / name, plain=config.plain, hinted=config.hinted, seed=config.seed,
            progress=lambda done, total: report(f"sampled {name.replace('-', ' ')}: {done} of {total} prompts"),
        )  # fmt: skip
        return list(read_shards(folder / name))

    try:
        first = shards(SHARDS, tasks)
        answered = [row for row in first if row.responses and row.messages[-1].role == "user"][: config.further]
        asked = [
            next_task(split, row.messages[-1].content, sampler.text(row.responses[0]), seed=config.seed)
            for row in answered
        ]
        return [*first, *(shards(FURTHER_SHARDS, asked) if asked else [])]
    finally:
        sampler.close()


def _complete(folder: Path, config: SampleConfig, tasks: int) -> list[PromptResponses] | None:
    """All that was sampled, when nothing is missing."""
    found = [list(read_shards(folder / name)) for name in (SHARDS, FURTHER_SHARDS)]
    wanted = min(config.further, sum(bool(row.responses) and row.messages[-1].role == "user" for row in found[0]))
    return [*found[0], *found[1]] if (len(found[0]), len(found[1])) == (tasks, wanted) else None


def _refuse_other_settings(folder: Path, settings: dict[str, object], own: Sequence[Conversation]) -> None:
    prompts = hashlib.sha256(json.dumps([[asdict(m) for m in messages] for messages in own]).encode()).hexdigest()
    text = json.dumps({**settings, "own": prompts}, indent=1)
    path = folder / SAMPLED_WITH
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    elif path.read_text() != text:
        raise UsageError(f"{folder} holds responses that were sampled with other settings: give another folder.")


def read_samples(folder: Path) -> list[PromptResponses]:
    """All that `sample` left in a folder, the first prompts first. Raises UsageError when that is nothing."""
    rows = [row for name in (SHARDS, FURTHER_SHARDS) for row in read_shards(folder / name)]
    if not rows:
        raise UsageError(f"{folder} holds no sampled responses: run 'penpal backbone sample --out {folder}' first.")
    return rows


def train(backbone: Backbone, folder: Path, config: PretrainConfig, *, at_once: int = 1, report: Report) -> Path:
    """Trains on all that `sample` left in `folder`; under `accelerate launch`, on all its processes and GPUs."""
    rows = read_samples(folder)
    lm = load_torch(backbone, torch.bfloat16).to(PartialState().device)
    about = {"backbone": backbone.id, "backbone_name": backbone.path.stem}
    return pretrain(lm, rows, folder, config, about=about, at_once=at_once, report=report)


def sample_and_train(
    backbone: Backbone, folder: Path, sampling: SampleConfig, config: PretrainConfig, *, report: Report
) -> Path:
    """Stages sample, train and the parity reference, each resumed from what `folder` holds. Returns the weights."""
    sample(backbone, folder, sampling, report=report)
    return with_parity(backbone, train(backbone, folder, config, report=report), folder / PUBLISHED)


def with_parity(backbone: Backbone, trained: Path, target: Path) -> Path:
    """Trained weights, and what every user's machine checks its own llama.cpp by."""
    arrays, about = read_arrays(trained)
    template = ChatTemplate(backbone.metadata["tokenizer.chat_template"])
    decoder = open_torch_decoder(backbone, arrays, template)
    latent_size = arrays["adapter.inp.weight"].shape[1]
    reference = reference_log_probs(decoder, latent_size).astype(np.float16)
    write_arrays(target, {**arrays, "parity.log_probs": reference}, about)
    return target


def evaluate(
    backbone: Backbone,
    clap: Arrays,
    decoder: Decoder,
    folder: Path,
    *,
    prompts: int,
    max_tokens: int = 128,
    report: Report,
) -> ClapReport:
    """All held-out numbers; some minutes on two cores."""
    few = SampleConfig(prompts, prompts // 4, plain=4, hinted=2, max_tokens=max_tokens, seed=7)
    rows = sample(backbone, folder / f"{prompts}-of-{max_tokens}", few, split="held_out", report=report)
    many = replace(few, prompts=max(2, prompts // 4), further=0, plain=18, hinted=0)
    varied = sample(backbone, folder / f"{prompts}-of-{max_tokens}-k16", many, split="held_out", report=report)
    lm = load_torch(backbone, torch.bfloat16)
    encoder, adapter = encoder_from(clap, lm), adapter_from(clap, lm)
    report("measuring likelihoods")
    numbers = evaluate_likelihoods(lm, encoder, adapter, rows) | accuracy_of_many(lm, encoder, adapter, varied)
    with torch.no_grad():
        posteriors = [encoder([(row.prompt_ids, row.responses[0])]).mean[0].numpy() for row in rows]
    del lm
    report("drafting")
    numbers |= evaluate_drafts(
        decoder,
        [row.messages for row in rows],
        adapter.inp.in_features,
        posteriors,
        sampling=DRAFTING,
        progress=lambda share: report(f"drafted {share:.0%}"),
    )
    return ClapReport(prompts=len(rows), **numbers)  # type: ignore[arg-type]


def measure_control(
    backbone: Backbone,
    clap: Arrays,
    decoder: Decoder,
    rows: Sequence[PromptResponses],
    *,
    prompts: int,
    tokens: Sequence[int],
    report: Report,
) -> dict[int, list[Control]]:
    """How far held-out drafts of so many tokens follow directions that were fitted on `rows`, training responses."""
    lm = load_torch(backbone, torch.bfloat16)
    encoder, tokenizer = encoder_from(clap, lm), LlamaModel(backbone.path)
    means: list[NDArray[np.float64]] = []
    of: list[int] = []
    texts: list[str] = []
    for i, row in enumerate(rows):
        if row.responses:
            with torch.no_grad():
                means.append(encoder([(row.prompt_ids, y) for y in row.responses]).mean.double().numpy())
            of += [i] * len(row.responses)
            texts += map(tokenizer.text, row.responses)
    del lm, encoder
    tokenizer.close()
    tasks = [[Message("user", task)] for task in writing_tasks("held_out", seed=EVAL_SEED, limit=prompts)]
    found = directions(np.concatenate(means), of, texts)
    steered = {}
    for length in tokens:
        report(f"steering drafts of {length} tokens")
        steered[length] = control(decoder, tasks, found, replace(DRAFTING, max_tokens=length), progress=report)
    return steered

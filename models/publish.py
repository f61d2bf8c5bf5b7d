"""The server-side pipeline in stages: sample, train, publish, eval. What `penpal backbone` runs.

`publish` adds torch's reference log-probabilities to the trained weights, so that every user's machine can check
its own llama.cpp without torch (`models.parity`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from core.errors import UsageError
from core.protocols import Decoder, Sampling
from models.backbone import Backbone, ChatTemplate, load_torch
from models.checkpoint import Arrays, read_arrays, write_arrays
from models.decoder_torch import adapter_from, open_torch_decoder
from models.encoder import encoder_from
from models.evaluate import ClapReport, evaluate_drafts, evaluate_likelihoods
from models.llama_runtime import LlamaModel, write_dense_gguf
from models.parity import reference_log_probs
from models.pretrain import PretrainConfig, pretrain
from models.sampling import PromptResponses, ResponseSampler, read_shards, sample_to_shards
from models.writing_tasks import writing_tasks

SAMPLING = Sampling(temperature=0.9, top_p=0.95, min_p=0.02, max_tokens=64)
DRAFTING = Sampling(temperature=0.8, top_p=0.95, min_p=0.05, max_tokens=48)
EVAL_SEED = 1
Report = Callable[[str], None]


def open_sampler(backbone: Backbone, folder: Path) -> ResponseSampler:
    """Samples from a bf16 copy of the same weights: twice as fast as Q4_1 or transformers in batches on a CPU."""
    model = LlamaModel(write_dense_gguf(backbone.path, folder / f"{backbone.id}.bf16.gguf", "bf16"))
    template = ChatTemplate(model.metadata("tokenizer.chat_template"))
    return ResponseSampler(model, template, sampling=SAMPLING)


def sampled(
    backbone: Backbone,
    folder: Path,
    shards: Path,
    tasks: Sequence[str],
    *,
    plain: int,
    hinted: int,
    seed: int,
    report: Report,
) -> list[PromptResponses]:
    """Responses of the backbone to these tasks, `hinted` of them asked for in a style; kept in `shards`."""
    sampler = open_sampler(backbone, folder)
    try:
        sample_to_shards(
            sampler,
            tasks,
            shards,
            plain=plain,
            hinted=hinted,
            seed=seed,
            progress=lambda done, total: report(f"sampled {done} of {total} prompts"),
        )
    finally:
        sampler.close()
    return list(read_shards(shards))


def sample_and_train(backbone: Backbone, folder: Path, *, prompts: int, config: PretrainConfig, report: Report) -> Path:
    """Stages sample, train and publish, each resumed from what `folder` holds. Returns the published file."""
    if prompts < 1:
        raise UsageError("At least one prompt is needed to sample from.")
    tasks = writing_tasks("train", seed=EVAL_SEED, limit=prompts)
    rows = sampled(backbone, folder, folder / "responses", tasks, plain=3, hinted=3, seed=100_000, report=report)
    lm = load_torch(backbone, torch.bfloat16)
    about = {"backbone": backbone.id, "backbone_name": backbone.path.stem}
    trained = pretrain(lm, rows, folder, config, about=about, report=report)
    del lm
    return publish(backbone, trained, folder / "published.clap.safetensors")


def publish(backbone: Backbone, trained: Path, target: Path) -> Path:
    """Adds the parity reference to trained weights."""
    arrays, about = read_arrays(trained)
    template = ChatTemplate(backbone.metadata["tokenizer.chat_template"])
    decoder = open_torch_decoder(backbone, arrays, template)
    latent_size = arrays["adapter.inp.weight"].shape[1]
    reference = reference_log_probs(decoder, latent_size).astype(np.float16)
    write_arrays(target, {**arrays, "parity.log_probs": reference}, about)
    return target


def evaluate(
    backbone: Backbone, clap: Arrays, decoder: Decoder, folder: Path, *, prompts: int, report: Report
) -> ClapReport:
    """All held-out numbers; a few minutes on two cores."""
    tasks = writing_tasks("held_out", seed=EVAL_SEED, limit=prompts)
    rows = sampled(backbone, folder, folder / f"held-out-{prompts}", tasks, plain=4, hinted=2, seed=7, report=report)
    lm = load_torch(backbone, torch.bfloat16)
    encoder, adapter = encoder_from(clap, lm), adapter_from(clap, lm)
    report("measuring likelihoods")
    numbers = evaluate_likelihoods(lm, encoder, adapter, rows)
    with torch.no_grad():
        posteriors = [encoder([(row.prompt_ids, row.responses[0])]).mean[0].numpy() for row in rows]
    del lm
    report("drafting")
    numbers |= evaluate_drafts(
        decoder,
        [row.prompt for row in rows],
        adapter.inp.in_features,
        posteriors,
        sampling=DRAFTING,
        progress=lambda share: report(f"drafted {share:.0%}"),
    )
    return ClapReport(prompts=len(rows), **numbers)  # type: ignore[arg-type]

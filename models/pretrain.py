"""CLaP pretraining, the server side: trains the posterior encoder and the adapter of one backbone.

Sampled responses in (`models.sampling`), a `clap.safetensors` out. Every step draws its own random numbers from the
seed and the step number, so a run that was killed resumes on the same curve. Knows nothing of people.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from core.errors import BackboneError, UsageError
from models import clap
from models.adapter import LATENT_POSITIONS, Adapter, prompt_cache
from models.checkpoint import write_arrays, write_atomically
from models.encoder import LatentEncoder, Posterior
from models.sampling import PromptResponses

Report = Callable[[str], None]


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the weights, stored with them."""

    latent_size: int = 32
    encoder_layers: int = 2
    adapter_width: int = 96
    responses: int = 4
    """K of one step, drawn from the sampled responses of its prompt."""
    response_tokens: tuple[int, ...] = (24, 32, 48, 64)
    """A step reads so many tokens of each response: one of these, drawn anew."""
    warm_steps: int = 250
    warm_prompts: int = 8
    steps: int = 4000
    accumulate: int = 4
    encoder_rate: float = 1e-4
    adapter_rate: float = 1e-3
    reconstruction_weight: float = 0.3
    contrastive_weight: float = 2.0
    kld_weight: tuple[float, float] = (0.05, 1.0)
    """Before and after the ramp: late, so that the latent is in use before it is disciplined."""
    kld_ramp: tuple[float, float] = (0.25, 0.6)
    """Where the ramp starts and ends, as shares of all steps."""
    recent_prompts: int = 60
    """Prompts whose posteriors are part of the aggregated posterior."""
    seed: int = 0


@dataclass
class TrainingState:
    """What changes while training, and what a checkpoint holds."""

    encoder: LatentEncoder
    adapter: Adapter
    optimizer: torch.optim.Optimizer
    step: int = 0
    recent: deque[Posterior] = field(default_factory=deque)
    log: list[dict[str, float]] = field(default_factory=list)


def draw_responses(row: PromptResponses, config: PretrainConfig, rng: random.Random) -> list[list[int]]:
    """K different responses of a prompt, all cut to the same drawn length."""
    tokens = rng.choice(config.response_tokens)
    cut = list({tuple(y[:tokens]): y[:tokens] for y in row.responses}.values())
    return rng.sample(cut, min(config.responses, len(cut)))


def warm_start(
    encoder: LatentEncoder,
    lm: LlamaForCausalLM,
    rows: Sequence[PromptResponses],
    config: PretrainConfig,
    report: Report,
) -> None:
    """Trains the encoder alone, with a bag of words in the place of the language model."""
    bag = clap.BagOfWords(lm, latent_size=config.latent_size).to(lm.device)
    groups = [{"params": encoder.parameters(), "lr": 3e-4}, {"params": bag.parameters(), "lr": 3e-3}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    for step in range(config.warm_steps):
        rng = random.Random(f"warm {config.seed} {step}")
        torch.manual_seed(rng.getrandbits(63))
        drawn = [(row, draw_responses(row, config, rng)) for row in rng.sample(list(rows), config.warm_prompts)]
        posterior = encoder([(row.prompt_ids, y) for row, ys in drawn for y in ys])
        z = posterior.sample().split([len(ys) for _, ys in drawn])
        tables = [bag(z_row, ys) for z_row, (_, ys) in zip(z, drawn, strict=True)]
        contrastive = torch.stack([clap.contrastive_loss(t / 4) for t in tables]).mean()
        nll = torch.stack([-t.diag().mean() for t in tables]).mean()
        loss = contrastive + 0.02 * nll + 0.05 * clap.dg_kld(posterior, None)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 24:
            hits = torch.cat([t.argmax(1).cpu() == torch.arange(len(t)) for t in tables]).float().mean()
            report(f"warm start {step + 1}/{config.warm_steps}: contrastive {contrastive:.3f} accuracy {hits:.2f}")


def learning_rate_scale(step: int, config: PretrainConfig) -> float:
    """Linear warm-up over 60 steps, then linear to a twentieth at the end."""
    return min(1.0, (step + 1) / 60, 1 - 0.95 * step / config.steps)


def kld_weight(step: int, config: PretrainConfig) -> float:
    """Weight of the DG-KLD: low, then a linear ramp, then high."""
    start, end = (share * config.steps for share in config.kld_ramp)
    low, high = config.kld_weight
    return low + (high - low) * min(1.0, max(0.0, (step - start) / (end - start)))


def step_losses(
    state: TrainingState,
    lm: LlamaForCausalLM,
    row: PromptResponses,
    cache: Sequence[tuple[Tensor, Tensor]],
    config: PretrainConfig,
    rng: random.Random,
) -> dict[str, Tensor]:
    """The terms of the objective for one prompt. One negative per response: a quarter of the cost of K x K at K = 4."""
    responses = draw_responses(row, config, rng)
    k = len(responses)
    posterior = state.encoder([(row.prompt_ids, y) for y in responses])
    kv = state.adapter(posterior.sample())
    # Cut to one drawn length, the responses of a prompt may all be the same: then there is nothing to contrast.
    other = torch.roll(kv, rng.randrange(1, k) if k > 1 else 0, 0)
    table = clap.response_log_likelihood(lm, row.prompt_ids, cache, responses * 2, torch.cat([kv, other])).view(2, k).T
    recent = Posterior(*(torch.cat(parts) for parts in zip(*state.recent, strict=True))) if state.recent else None
    kld = clap.dg_kld(posterior, recent)
    state.recent.append(Posterior(posterior.mean.detach(), posterior.log_variance.detach()))
    while len(state.recent) > config.recent_prompts:
        state.recent.popleft()
    return {
        "nll": -table[:, 0].mean(),
        "nll_per_token": -table[:, 0].sum() / sum(map(len, responses)),
        "contrastive": clap.contrastive_loss(table, own_first=True),
        "dg_kld": kld,
        "accuracy": (table[:, 0] > table[:, 1]).float().mean(),
    }


def pretrain(
    lm: LlamaForCausalLM,
    rows: Sequence[PromptResponses],
    folder: Path,
    config: PretrainConfig,
    *,
    about: dict[str, Any],
    report: Report = print,
    checkpoint_every_s: float = 300,
) -> Path:
    """Trains to the end, from `folder/checkpoint.pt` if there is one; returns the path of `clap.safetensors`.

    Raises UsageError for too few prompts, BackboneError when the loss is no number (the last checkpoint stays).
    """
    rows = [row for row in rows if len(row.responses) >= config.responses]
    if len(rows) < max(config.warm_prompts, 8):
        raise UsageError(f"Only {len(rows)} prompts with {config.responses} different responses: sample more.")
    folder.mkdir(parents=True, exist_ok=True)
    state = start_or_resume(lm, rows, folder, config, report)
    caches: dict[int, list[tuple[Tensor, Tensor]]] = {}
    rates = [group["lr"] for group in state.optimizer.param_groups]
    trained = [p for group in state.optimizer.param_groups for p in group["params"]]
    started = saved = time.monotonic()
    first = state.step
    while state.step < config.steps:
        index = epoch_order(len(rows), state.step // len(rows), config.seed)[state.step % len(rows)]
        rng = random.Random(f"step {config.seed} {state.step}")
        torch.manual_seed(rng.getrandbits(63))
        if index not in caches:
            caches[index] = prompt_cache(lm, rows[index].prompt_ids[:-1])
        losses = step_losses(state, lm, rows[index], caches[index], config, rng)
        loss = (
            config.reconstruction_weight * losses["nll"]
            + config.contrastive_weight * losses["contrastive"]
            + kld_weight(state.step, config) * losses["dg_kld"]
        )
        if not torch.isfinite(loss):
            raise BackboneError(f"The loss is not a number at step {state.step}; {folder} keeps the last checkpoint.")
        (loss / config.accumulate).backward()
        state.log.append({name: value.item() for name, value in losses.items()})
        state.step += 1
        if state.step % config.accumulate == 0:
            nn.utils.clip_grad_norm_(trained, 1.0)
            for group, rate in zip(state.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * learning_rate_scale(state.step, config)
            state.optimizer.step()
            state.optimizer.zero_grad()
            if time.monotonic() - saved > checkpoint_every_s:
                save_checkpoint(state, folder, config, rates)
                saved = time.monotonic()
        if state.step % 50 == 0:
            recent = state.log[-50:]
            means = " ".join(f"{name} {sum(r[name] for r in recent) / len(recent):.3f}" for name in recent[0])
            pace = (time.monotonic() - started) / (state.step - first)
            report(f"step {state.step}/{config.steps} {pace:.2f} s/step: {means}")
    save_checkpoint(state, folder, config, rates)
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in state.log))
    path = folder / "clap.safetensors"
    save_clap(path, state.encoder, state.adapter, {**about, "config": asdict(config), "prompts": len(rows)})
    return path


def epoch_order(count: int, epoch: int, seed: int) -> list[int]:
    """A permutation of the prompts that depends on the seed and the epoch only."""
    order = list(range(count))
    random.Random(f"epoch {seed} {epoch}").shuffle(order)
    return order


def start_or_resume(
    lm: LlamaForCausalLM, rows: Sequence[PromptResponses], folder: Path, config: PretrainConfig, report: Report
) -> TrainingState:
    """A warm-started state, or the checkpoint of an earlier run with the same configuration."""
    torch.manual_seed(config.seed)
    embedding = lm.model.embed_tokens.weight
    encoder = LatentEncoder(lm.config, embedding, latent_size=config.latent_size, layers=config.encoder_layers)
    encoder.to(lm.device).start_from(lm)
    adapter = Adapter(lm, latent_size=config.latent_size, width=config.adapter_width).to(lm.device)
    groups = [
        {"params": list(encoder.parameters()), "lr": config.encoder_rate},
        {"params": list(adapter.parameters()), "lr": config.adapter_rate},
    ]
    state = TrainingState(encoder, adapter, torch.optim.AdamW(groups, weight_decay=0.01))
    path = folder / "checkpoint.pt"
    if path.exists():
        stored = read_checkpoint(path)
        if stored["config"] != json.dumps(asdict(config)):
            raise UsageError(f"{path} belongs to a run with other settings: give another folder, or delete it.")
        encoder.load_state_dict(stored["encoder"])
        adapter.load_state_dict(stored["adapter"])
        state.optimizer.load_state_dict(stored["optimizer"])
        for group, rate in zip(state.optimizer.param_groups, stored["rates"], strict=True):
            group["lr"] = rate
        state.step, state.log = stored["step"], stored["log"]
        state.recent.extend(Posterior(*pair) for pair in stored["recent"])
        report(f"resumed at step {state.step}")
        return state
    warm_start(encoder, lm, rows, config, report)
    adapter.start_as_text(lm, [row.prompt_ids for row in rows[:64]])
    return state


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote. Raises BackboneError for a damaged file."""
    try:
        stored: dict[str, Any] = torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise BackboneError(f"{path} is damaged: delete it to train from the start.") from error
    return stored


def save_checkpoint(state: TrainingState, folder: Path, config: PretrainConfig, rates: Sequence[float]) -> None:
    """Written atomically: a `kill -9` leaves the last checkpoint whole."""
    buffer = io.BytesIO()
    torch.save(
        {
            "config": json.dumps(asdict(config)),
            "encoder": state.encoder.state_dict(),
            "adapter": state.adapter.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "rates": list(rates),
            "step": state.step,
            "recent": [tuple(posterior) for posterior in state.recent],
            "log": state.log,
        },
        buffer,
    )
    write_atomically(folder / "checkpoint.pt", buffer.getvalue())


def save_clap(path: Path, encoder: LatentEncoder, adapter: Adapter, about: dict[str, Any]) -> None:
    """fp16 safetensors: the encoder's layers and head, and the adapter; nothing of the backbone."""
    parts = {"encoder": encoder, "adapter": adapter}
    arrays = {
        f"{part}.{name}": tensor.detach().cpu().half().numpy()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    write_arrays(path, arrays, {"format": 1, "latent_positions": LATENT_POSITIONS, **about})

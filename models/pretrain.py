"""CLaP pretraining, the server side: trains the posterior encoder and the adapter of one backbone.

Sampled responses in (`models.sampling`), a `clap.safetensors` out. All that is random about a prompt's turn is drawn
from the seed and the number of the step, so that a run that was killed resumes on the same curve, and any number of
processes (Hugging Face accelerate) shares the prompts of an update with the same result. Knows nothing of people.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from core.errors import BackboneError, UsageError
from core.files import write_atomically
from models import clap
from models.adapter import LATENT_POSITIONS, Adapter, LatentPlace, prompt_caches
from models.checkpoint import write_arrays
from models.encoder import LatentEncoder, Posterior
from models.sampling import PromptResponses

Report = Callable[[str], None]
WarmStart = Literal["bag of words", "skip connection", "none"]
KLD_SAMPLES = 16
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the weights, stored with them."""

    latent_size: int = 32
    encoder_layers: int = 2
    adapter_width: int = 96
    responses: int = 4
    """K of one step, drawn from the sampled responses of its prompt."""
    negatives: int = 1
    """Other responses' latents that each response is contrasted with; K - 1 is the paper's K x K."""
    response_tokens: tuple[int, ...] = (24, 32, 48, 64, 128)
    """A step reads so many tokens of each response: one of these, drawn anew."""
    warm_start: WarmStart = "bag of words"
    warm_steps: int = 250
    warm_prompts: int = 8
    steps: int = 4000
    """Prompts, over all processes."""
    accumulate: int = 4
    """Prompts of one update of the weights, over all processes."""
    encoder_rate: float = 1e-4
    adapter_rate: float = 1e-3
    reconstruction_weight: float = 0.3
    contrastive_weight: float = 2.0
    """0 leaves the contrastive term out."""
    kl: Literal["marginal", "standard"] = "marginal"
    """The paper's DG-KLD of the aggregated posterior, or each posterior's own KL."""
    kld_weight: tuple[float, float] = (0.05, 1.0)
    """Before and after the ramp: late, so that the latent is in use before it is disciplined."""
    kld_ramp: tuple[float, float] = (0.25, 0.6)
    """Where the ramp starts and ends, as shares of all steps."""
    recent_prompts: int = 60
    """Prompts whose posteriors are part of the aggregated posterior."""
    latent_place: LatentPlace = "after prompt"
    """Before the prompt, as in the paper, a latent cannot share the prompt's cache with others; drafting does not."""
    seed: int = 0


@dataclass
class TrainingState:
    """What changes while training, and what a checkpoint holds. The same in every process after each update."""

    encoder: LatentEncoder
    adapter: Adapter
    optimizer: torch.optim.Optimizer
    rates: list[float] = field(default_factory=list)
    """Full learning rates of the optimizer's groups."""
    step: int = 0
    recent: deque[Posterior] = field(default_factory=deque)
    """On the CPU."""
    log: list[dict[str, float]] = field(default_factory=list)

    @property
    def trained(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


@dataclass(frozen=True)
class Drawn:
    """What one step reads of its prompt, and all the dice of it."""

    step: int
    prompt_ids: list[int]
    responses: list[list[int]]
    """[K]: different ones, cut to one drawn length."""
    shifts: list[int]
    """Response k is contrasted with the latents of the responses k + shift (mod K)."""
    noise: Tensor
    """[K, D]: for the latents."""
    kld_noise: Tensor
    """[S, K, D]"""


@dataclass(frozen=True)
class StepLosses:
    """The terms of the objective for one prompt, and its posteriors."""

    step: int
    terms: dict[str, Tensor]
    posterior: Posterior


def draw_responses(row: PromptResponses, config: PretrainConfig, rng: random.Random) -> list[list[int]]:
    """K different responses of a prompt, all cut to the same drawn length."""
    tokens = rng.choice(config.response_tokens)
    cut = list({tuple(y[:tokens]): y[:tokens] for y in row.responses}.values())
    return rng.sample(cut, min(config.responses, len(cut)))


def draw(rows: Sequence[PromptResponses], step: int, config: PretrainConfig) -> Drawn:
    """The prompt of this step, and its dice."""
    row = rows[epoch_order(len(rows), step // len(rows), config.seed)[step % len(rows)]]
    rng = random.Random(f"step {config.seed} {step}")
    responses = draw_responses(row, config, rng)
    k = len(responses)
    dice = torch.Generator().manual_seed(rng.getrandbits(63))
    return Drawn(
        step, row.prompt_ids, responses, rng.sample(range(1, k), min(config.negatives, k - 1)),
        torch.randn(k, config.latent_size, generator=dice),
        torch.randn(KLD_SAMPLES, k, config.latent_size, generator=dice),
    )  # fmt: skip


def epoch_order(count: int, epoch: int, seed: int) -> list[int]:
    """A permutation of the prompts that depends on the seed and the epoch only."""
    order = list(range(count))
    random.Random(f"epoch {seed} {epoch}").shuffle(order)
    return order


def learning_rate_scale(step: int, config: PretrainConfig) -> float:
    """Linear warm-up over 60 steps, then linear to a twentieth at the end."""
    return min(1.0, (step + 1) / 60, 1 - 0.95 * step / config.steps)


def kld_weight(step: int, config: PretrainConfig) -> float:
    """Weight of the DG-KLD: low, then a linear ramp, then high."""
    start, end = (share * config.steps for share in config.kld_ramp)
    low, high = config.kld_weight
    return low + (high - low) * min(1.0, max(0.0, (step - start) / (end - start)))


# --- one update ---------------------------------------------------------------------------------------------------


def step_losses(
    state: TrainingState, lm: LlamaForCausalLM, drawn: Sequence[Drawn], config: PretrainConfig
) -> list[StepLosses]:
    """The objective's terms for several prompts, which go through encoder, adapter and backbone together."""
    device = lm.device
    posterior = state.encoder([(d.prompt_ids, y) for d in drawn for y in d.responses])
    noise = torch.cat([d.noise for d in drawn]).to(device)
    kv = state.adapter(posterior.mean + noise * (posterior.log_variance / 2).exp())
    of, responses, latents = [], [], []
    first = 0
    for prompt, d in enumerate(drawn):
        k = len(d.responses)
        for i, y in enumerate(d.responses):
            latents += [first + (i + shift) % k for shift in (0, *d.shifts)]
            responses += [y] * (1 + len(d.shifts))
            of += [prompt] * (1 + len(d.shifts))
        first += k
    prompts = [d.prompt_ids for d in drawn]
    if config.latent_place == "after prompt":
        found = clap.response_log_likelihood(lm, prompt_caches(lm, prompts), of, responses, kv[latents])
    else:
        found = clap.latent_first_log_likelihood(lm, [prompts[i] for i in of], responses, kv[latents])
    tables = found.split([len(d.responses) * (1 + len(d.shifts)) for d in drawn])
    sizes = [len(d.responses) for d in drawn]
    own = [
        Posterior(m, v) for m, v in zip(posterior.mean.split(sizes), posterior.log_variance.split(sizes), strict=True)
    ]
    recent = (
        Posterior(*(torch.cat(parts).to(device) for parts in zip(*state.recent, strict=True))) if state.recent else None
    )
    return [
        StepLosses(d.step, _terms(table.view(len(d.responses), -1), q, recent, d, config), q)
        for d, table, q in zip(drawn, tables, own, strict=True)
    ]


def _terms(
    table: Tensor, posterior: Posterior, recent: Posterior | None, drawn: Drawn, config: PretrainConfig
) -> dict[str, Tensor]:
    """Of one prompt; `table` [K, 1 + N] holds log p(y_k | x, z) under the own latent first."""
    if config.kl == "marginal":
        kld = clap.dg_kld(posterior, recent, drawn.kld_noise.to(table.device))
    else:
        kld = clap.standard_kl(posterior)
    return {
        "nll": -table[:, 0].mean(),
        "nll_per_token": -table[:, 0].sum() / sum(map(len, drawn.responses)),
        # Cut to one drawn length, the responses of a prompt may all be the same: then there is nothing to contrast.
        "contrastive": clap.contrastive_loss(table, own_first=True),
        "kld": kld,
        "accuracy": (table.argmax(1) == 0).float().mean(),
    }


def update(
    state: TrainingState,
    lm: LlamaForCausalLM,
    rows: Sequence[PromptResponses],
    config: PretrainConfig,
    accelerator: Accelerator,
    at_once: int,
) -> None:
    """One update of the weights from `config.accumulate` prompts, each process its share; then all are the same again.

    Raises BackboneError in every process, with the weights as they were, when the loss of any prompt is no number.
    """
    wanted = range(state.step, min(state.step + config.accumulate, config.steps))
    mine = [draw(rows, step, config) for step in wanted[accelerator.process_index :: accelerator.num_processes]]
    # Alike in length side by side: less padding.
    mine.sort(key=lambda d: (max(map(len, d.responses)), len(d.prompt_ids)))
    told: list[tuple[int, dict[str, float], Posterior]] = []
    for drawn in (mine[i : i + at_once] for i in range(0, len(mine), at_once)):
        found = step_losses(state, lm, drawn, config)
        total = torch.stack(
            [
                config.reconstruction_weight * one.terms["nll"]
                + config.contrastive_weight * one.terms["contrastive"]
                + kld_weight(one.step, config) * one.terms["kld"]
                for one in found
            ]
        ).sum()
        (total / config.accumulate).backward()
        for one in found:
            q = Posterior(*(part.detach().cpu() for part in one.posterior))
            told.append((one.step, {name: value.item() for name, value in one.terms.items()}, q))
    if accelerator.num_processes > 1:
        told = gather_object(told)
    told.sort(key=lambda entry: entry[0])
    for step, terms, _ in told:
        if not all(map(_is_number, terms.values())):
            state.optimizer.zero_grad()
            raise BackboneError(f"The loss is not a number at step {step}")
    if len(wanted) == config.accumulate:
        add_up_gradients(state.trained, accelerator)
        nn.utils.clip_grad_norm_(state.trained, 1.0)
        for group, rate in zip(state.optimizer.param_groups, state.rates, strict=True):
            group["lr"] = rate * learning_rate_scale(wanted[-1] + 1, config)
        state.optimizer.step()
    state.optimizer.zero_grad()
    for _, terms, q in told:
        state.log.append(terms)
        state.recent.append(q)
    while len(state.recent) > config.recent_prompts:
        state.recent.popleft()
    state.step = wanted[-1] + 1


def _is_number(value: float) -> bool:
    return value - value == 0


def add_up_gradients(parameters: Sequence[nn.Parameter], accelerator: Accelerator) -> None:
    """Makes every process's gradients the sum over all of them, in one message."""
    if accelerator.num_processes == 1:
        return
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat: Tensor = accelerator.reduce(torch.cat([grad.flatten() for grad in grads]), "sum")
    for p, grad in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = grad.view_as(p).clone()


# --- the whole run ------------------------------------------------------------------------------------------------


def warm_start(
    encoder: LatentEncoder,
    lm: LlamaForCausalLM,
    rows: Sequence[PromptResponses],
    config: PretrainConfig,
    report: Report,
) -> None:
    """Trains the encoder alone, against the K responses of a prompt, before there is an adapter to learn."""
    if config.warm_start == "none" or config.warm_steps == 0:
        return
    bag = clap.BagOfWords(lm, latent_size=config.latent_size).to(lm.device)
    skip = clap.SkipConnection(lm, latent_size=config.latent_size).to(lm.device)
    is_bag = config.warm_start == "bag of words"
    helper: nn.Module = bag if is_bag else skip
    groups = [{"params": encoder.parameters(), "lr": 3e-4}, {"params": helper.parameters(), "lr": 3e-3}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    for step in range(config.warm_steps):
        rng = random.Random(f"warm {config.seed} {step}")
        torch.manual_seed(rng.getrandbits(63))
        drawn = [(row, draw_responses(row, config, rng)) for row in rng.sample(list(rows), config.warm_prompts)]
        posterior = encoder([(row.prompt_ids, y) for row, ys in drawn for y in ys])
        z = posterior.sample().split([len(ys) for _, ys in drawn])
        tables = [
            bag(z_row, ys) if is_bag else skip(z_row, row.prompt_ids, ys)
            for z_row, (row, ys) in zip(z, drawn, strict=True)
        ]
        contrastive = torch.stack([clap.contrastive_loss(t / 4) for t in tables]).mean()
        nll = torch.stack([-t.diag().mean() for t in tables]).mean()
        noise = torch.randn(KLD_SAMPLES, *posterior.mean.shape, device=lm.device)
        loss = contrastive + 0.02 * nll + 0.05 * clap.dg_kld(posterior, None, noise)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 24:
            hits = torch.cat([t.argmax(1).cpu() == torch.arange(len(t)) for t in tables]).float().mean()
            report(f"warm start {step + 1}/{config.warm_steps}: contrastive {contrastive:.3f} accuracy {hits:.2f}")


def pretrain(
    lm: LlamaForCausalLM,
    rows: Sequence[PromptResponses],
    folder: Path,
    config: PretrainConfig,
    *,
    about: dict[str, Any],
    report: Report = print,
    checkpoint_every_s: float = 300,
    at_once: int = 1,
) -> Path:
    """Trains to the end, from `folder/checkpoint.pt` if there is one; returns the path of `clap.safetensors`.

    `at_once`: prompts of one forward pass; more fill a GPU, and change the result by rounding only. Under `accelerate
    launch` every process calls this with the same arguments; the first one writes. Raises UsageError for too few
    prompts, BackboneError when the loss is no number (the last checkpoint stays).
    """
    rows = [row for row in rows if len(row.responses) >= config.responses]
    if len(rows) < max(config.warm_prompts, 8):
        raise UsageError(f"Only {len(rows)} prompts with {config.responses} different responses: sample more.")
    accelerator = Accelerator(cpu=lm.device.type == "cpu")
    tell = report if accelerator.is_main_process else _say_nothing
    choose_attention(lm)
    folder.mkdir(parents=True, exist_ok=True)
    state = start_or_resume(lm, rows, folder, config, tell, accelerator)
    started, first = time.monotonic(), state.step
    for _ in _every(checkpoint_every_s, lambda: save_checkpoint(state, folder, config, accelerator)):
        if state.step >= config.steps:
            break
        before = state.step
        try:
            update(state, lm, rows, config, accelerator, at_once)
        except BackboneError as error:
            raise BackboneError(f"{error}; {folder} keeps the last checkpoint.") from error
        if state.step // 50 > before // 50:
            recent = state.log[-50:]
            means = " ".join(f"{name} {sum(r[name] for r in recent) / len(recent):.3f}" for name in recent[0])
            pace = (time.monotonic() - started) / (state.step - first)
            tell(f"step {state.step}/{config.steps} {pace:.2f} s/step: {means}")
    save_checkpoint(state, folder, config, accelerator)
    path = folder / "clap.safetensors"
    if accelerator.is_main_process:
        write_atomically(folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in state.log).encode())
        save_clap(path, state.encoder, state.adapter, {**about, "config": asdict(config), "prompts": len(rows)})
    accelerator.wait_for_everyone()
    return path


def choose_attention(lm: LlamaForCausalLM) -> None:
    """Plain products of matrices on a CPU: torch's fused attention needs six times as long for its gradient there."""
    lm.config._attn_implementation = "eager" if lm.device.type == "cpu" else "sdpa"


def _say_nothing(line: str) -> None:
    """Processes but the first."""


def _every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Yields for ever; acts between two rounds when so much time has passed since the last act."""
    last = time.monotonic()
    while True:
        yield
        if time.monotonic() - last > seconds:
            act()
            last = time.monotonic()


def start_or_resume(
    lm: LlamaForCausalLM,
    rows: Sequence[PromptResponses],
    folder: Path,
    config: PretrainConfig,
    report: Report,
    accelerator: Accelerator,
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
    state.rates = [config.encoder_rate, config.adapter_rate]
    path = folder / CHECKPOINT
    if path.exists():
        stored = read_checkpoint(path)
        if stored["config"] != json.dumps(asdict(config)):
            raise UsageError(f"{path} belongs to a run with other settings: give another folder, or delete it.")
        encoder.load_state_dict(stored["encoder"])
        adapter.load_state_dict(stored["adapter"])
        state.optimizer.load_state_dict(stored["optimizer"])
        state.step, state.log = stored["step"], stored["log"]
        state.recent.extend(Posterior(*pair) for pair in stored["recent"])
        report(f"resumed at step {state.step}")
        return state
    if accelerator.is_main_process:
        warm_start(encoder, lm, rows, config, report)
        adapter.start_as_text(lm, [row.prompt_ids for row in rows[:64]])
    if accelerator.num_processes > 1:
        with torch.no_grad():
            for parameter in state.trained:
                parameter.copy_(broadcast(parameter.detach().clone()))
    return state


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote. Raises BackboneError for a damaged file."""
    try:
        stored: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise BackboneError(f"{path} is damaged: delete it to train from the start.") from error
    return stored


def save_checkpoint(state: TrainingState, folder: Path, config: PretrainConfig, accelerator: Accelerator) -> None:
    """Written atomically by the first process: a `kill -9` leaves the last checkpoint whole."""
    if not accelerator.is_main_process:
        return
    buffer = io.BytesIO()
    torch.save(
        {
            "config": json.dumps(asdict(config)),
            "encoder": state.encoder.state_dict(),
            "adapter": state.adapter.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "step": state.step,
            "recent": [tuple(posterior) for posterior in state.recent],
            "log": state.log,
        },
        buffer,
    )
    write_atomically(folder / CHECKPOINT, buffer.getvalue())


def save_clap(path: Path, encoder: LatentEncoder, adapter: Adapter, about: dict[str, Any]) -> None:
    """fp16 safetensors: the encoder's layers and head, and the adapter; nothing of the backbone."""
    parts = {"encoder": encoder, "adapter": adapter}
    arrays = {
        f"{part}.{name}": tensor.detach().cpu().half().numpy()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    write_arrays(path, arrays, {"format": 1, "latent_positions": LATENT_POSITIONS, **about})

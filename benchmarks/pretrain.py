"""How fast CLaP trains: tokens per second, the share of what this machine can multiply, and the gain over a plain step.

    python -m benchmarks.pretrain --samples DIR [--steps 8] [--negatives 3] [--at-once 1] [--out docs/benchmarks]

`--samples` is a folder of `penpal backbone sample`. In the plain step every one of the K x K terms reads its prompt
itself, and the output head sees padding too. Both are measured in turn, in one run, on the same prompts. FLOPs are
counted by torch, products of matrices only; the ceiling is the best of a few such products.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator, PartialState
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaForCausalLM

from app.wiring import open_penpal
from models import clap, pretrain
from models.adapter import LATENT_POSITIONS, PromptCaches, latent_cache, prompt_caches
from models.backbone import load_torch
from models.pretrain import PretrainConfig, TrainingState
from models.publish import SHARDS
from models.sampling import PromptResponses, read_shards


def plain_log_likelihood(
    lm: LlamaForCausalLM, prompts: PromptCaches, of: Sequence[int], responses: Sequence[Sequence[int]], kv: Tensor
) -> Tensor:
    """[B]: as `clap.response_log_likelihood`, the straightforward way."""
    own = prompt_caches(lm, [prompts.prompts[i] for i in of])
    start = own.is_text.sum(1)
    length = max(map(len, responses))
    ids = torch.tensor([[*y, *[0] * (length - len(y))] for y in responses], device=lm.device)
    real = torch.tensor([[True] * len(y) + [False] * (length - len(y)) for y in responses], device=lm.device)
    last = torch.tensor([[prompts.prompts[i][-1]] for i in of], device=lm.device)
    hidden = lm.model(
        input_ids=torch.cat([last, ids[:, :-1]], 1),
        past_key_values=latent_cache(lm, own.layers, kv, start),
        attention_mask=torch.cat(
            [own.is_text, torch.ones(len(of), LATENT_POSITIONS + length, dtype=torch.bool, device=lm.device)], 1
        ),
        position_ids=start[:, None] + LATENT_POSITIONS + torch.arange(length, device=lm.device),
        use_cache=True,
    ).last_hidden_state
    logits = lm.lm_head(hidden).float()
    nll = F.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none").view(ids.shape)
    return -(nll * real).sum(1)


def seconds_and_flops(
    state: TrainingState, lm: LlamaForCausalLM, rows: Sequence[PromptResponses], config: PretrainConfig, at_once: int,
    *, count: bool,
) -> tuple[float, float]:  # fmt: skip
    """Of one update; FLOPs only when asked, since counting takes time."""
    with FlopCounterMode(display=False) if count else torch.enable_grad() as counter:
        started = time.monotonic()
        pretrain.update(state, lm, rows, config, Accelerator(cpu=lm.device.type == "cpu"), at_once)
        if lm.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.monotonic() - started
    return seconds, float(counter.get_total_flops()) if isinstance(counter, FlopCounterMode) else 0.0


def ceiling(device: torch.device) -> float:
    """FLOP/s of the best bf16 product of matrices of the backbone's kind."""
    best = 0.0
    for size in (512, 1024, 2048):
        a, b = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
        for _ in range(5):
            started = time.monotonic()
            for _ in range(8):
                a @ b
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 8 * 2 * size**3 / (time.monotonic() - started))
    return best


def measure(
    rows: Sequence[PromptResponses], lm: LlamaForCausalLM, config: PretrainConfig, at_once: int
) -> dict[str, Any]:
    """Both steps in turn on the same prompts."""
    quick = clap.response_log_likelihood
    kinds = {"PenPal": quick, "plain": plain_log_likelihood}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    folder = Path(os.devnull)
    accelerator = Accelerator(cpu=lm.device.type == "cpu")
    state = pretrain.start_or_resume(lm, rows, folder, config, lambda line: None, accelerator)
    flops = tokens = 0.0
    while state.step + config.accumulate <= config.steps:
        step, logged = state.step, len(state.log)
        for name, function in kinds.items():
            state.step = step
            clap.response_log_likelihood = function
            if name == "plain":
                lm.config._attn_implementation = "sdpa"  # transformers' own choice
            else:
                pretrain.choose_attention(lm)
            took, counted = seconds_and_flops(state, lm, rows, config, at_once, count=step == 0)
            if step == 0:
                flops = counted if name == "PenPal" else flops
            else:
                seconds[name].append(took)
        clap.response_log_likelihood = quick
        own, plain = ([row["nll"] for row in part] for part in (state.log[logged:][: config.accumulate],
                                                              state.log[logged:][config.accumulate :]))  # fmt: skip
        assert len(own) == len(plain), "both read the same prompts"
        drawn = [pretrain.draw(rows, s, config) for s in range(step, step + config.accumulate)]
        if step:
            tokens += sum(len(y) * (1 + len(d.shifts)) for d in drawn for y in d.responses)
    best = ceiling(lm.device)
    per_update = median(seconds["PenPal"])
    return {
        "seconds_per_prompt": per_update / config.accumulate,
        "seconds_per_prompt_plain": median(seconds["plain"]) / config.accumulate,
        "times_as_fast": median(p / q for p, q in zip(seconds["plain"], seconds["PenPal"], strict=True)),
        "response_tokens_per_second": tokens / sum(seconds["PenPal"]),
        "gflop_per_second_of_first_update_at_median_pace": flops / per_update / 1e9,
        "gflop_per_second_ceiling": best / 1e9,
        "share_of_ceiling": flops / per_update / best,
    }


def main() -> None:
    """Prints the figures, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8, help="updates, the first of which is a warm-up")
    parser.add_argument("--negatives", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [row for row in read_shards(options.samples / SHARDS) if len(row.responses) >= 4]
    # One drawn length: then the median over updates and the FLOPs of the first one belong together.
    config = PretrainConfig(
        negatives=options.negatives, warm_start="none", accumulate=2, steps=2 * options.steps, response_tokens=(48,)
    )
    with closing(open_penpal()) as penpal:
        lm = load_torch(penpal.backbone, torch.bfloat16).to(PartialState().device)
    found = {
        "command": f"python -m benchmarks.pretrain --negatives {options.negatives} --at-once {options.at_once}",
        "device": torch.cuda.get_device_name() if lm.device.type == "cuda" else f"{os.cpu_count()} CPU cores",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **measure(rows, lm, config, options.at_once),
    }
    print(json.dumps(found, indent=1))
    if options.out:
        (options.out / "pretrain.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

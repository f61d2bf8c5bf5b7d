"""What each choice in CLaP's design is worth: the same training without it, and the same personalization after it.

    python -m benchmarks.ablations --samples DIR --pool HOME [--steps 600] [--work DIR] [--out docs/benchmarks]

`--samples` is a folder of `penpal backbone sample`, `--pool` the home that `benchmarks.personalize --work W` leaves in
W/pool: the same texts for all. Every variant trains for so many steps on the same prompts with the same dice, is
measured on held-out ones, and then a dozen simulated people teach it with the same 50 choices. Goes on where it was
stopped. An hour and a half on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from app.wiring import open_penpal
from benchmarks.pages import markdown_table, write_page
from benchmarks.personalize import PEOPLE as TAUGHT
from benchmarks.personalize import ROWS, Bench, Size, cpu_name, say
from benchmarks.personalize_tables import win_rate
from benchmarks.remembering_decoder import RememberingDecoder
from benchmarks.row_log import Row, RowLog
from core.paths import Home
from core.protocols import Latent
from models.adapter import LATENT_POSITIONS, latent_cache
from models.backbone import ChatTemplate, load_tokenizer, load_torch
from models.checkpoint import read_arrays
from models.decoder_torch import TorchDecoder, adapter_from
from models.encoder import encoder_from
from models.evaluate import evaluate_drafts, evaluate_likelihoods
from models.pretrain import PretrainConfig, pretrain
from models.publish import DRAFTING, SampleConfig, read_samples, sample

VARIANTS: dict[str, dict[str, Any]] = {
    "PenPal's": {},
    "standard KL": {"kl": "standard"},
    "no contrastive term": {"contrastive_weight": 0.0},
    "no warm start": {"warm_start": "none"},
    "skip-connection warm start": {"warm_start": "skip connection"},
    "latent before the prompt": {"latent_place": "before prompt"},
}
"""Name -> what differs from the released configuration."""
LATENT_FIRST = "latent before the prompt"
PEOPLE = Size(rounds=2000, seeds=2, prompts=12, points=(50,), random_runs=0)


class LatentFirstDecoder(TorchDecoder):
    """Drafts as in the paper, the latent before the prompt: every draft reads the prompt under its own latent."""

    has_latents = True

    @torch.no_grad()
    def _branches(self, ids: Sequence[int], latents: Sequence[Latent | None]) -> tuple[DynamicCache, int]:
        known = [z for z in latents if z is not None]
        if not known or self._adapter is None:
            return super()._branches(ids, latents)
        kv = self._adapter(torch.from_numpy(np.stack(known)))
        cache = latent_cache(self._lm, [], kv, torch.zeros(len(kv), dtype=torch.long))
        before = torch.tensor([list(ids[:-1])] * len(kv))
        positions = torch.arange(LATENT_POSITIONS, LATENT_POSITIONS + before.shape[1]).expand_as(before)
        self._lm.model(input_ids=before, past_key_values=cache, position_ids=positions, use_cache=True)
        return cache, LATENT_POSITIONS + before.shape[1]


class LatentLastDecoder(TorchDecoder):
    """PenPal's order in the same runtime, to compare the other one with."""

    has_latents = True


class Ablations:
    """One set of samples, and the rows measured so far."""

    def __init__(self, samples: Path, pool: Path, work: Path, steps: int, held_out: int) -> None:
        self.work, self.pool, self.steps = work, pool, steps
        work.mkdir(parents=True, exist_ok=True)
        with closing(open_penpal(Home(work / "home"))) as penpal:
            self.backbone = penpal.backbone
            few = SampleConfig(held_out, 0, plain=4, hinted=2, max_tokens=48, seed=7)
            self.held_out = sample(self.backbone, work / "held-out", few, split="held_out", report=say)
        self.rows = read_samples(samples)

    def trained(self, name: str) -> Path:
        """The weights of a variant."""
        folder = self.work / name.replace(" ", "-").replace("'", "")
        config = replace(PretrainConfig(steps=self.steps), **VARIANTS[name])
        about = {"backbone": self.backbone.id, "backbone_name": self.backbone.path.stem}
        return pretrain(load_torch(self.backbone, torch.bfloat16), self.rows, folder, config, about=about, report=say)

    def measured(self, name: str, runtime: str) -> Row:
        """Held-out numbers of a variant, and what the same people make of it."""
        log = RowLog(self.work / ROWS, about=("variant", "runtime", "steps"))
        key = {"variant": name, "runtime": runtime, "steps": self.steps}
        if (known := log.known(**key)) is not None:
            return known
        path = self.trained(name)
        say(f"measuring {name} ({runtime})")
        os.environ["PENPAL_CLAP"] = str(path)
        try:
            row = {**key, **self._numbers(name, runtime, path)}
        finally:
            del os.environ["PENPAL_CLAP"]
        say(json.dumps(row))
        return log.keep(row)

    def _numbers(self, name: str, runtime: str, path: Path) -> Row:
        place = replace(PretrainConfig(), **VARIANTS[name]).latent_place
        arrays, _ = read_arrays(path)
        lm = load_torch(self.backbone, torch.bfloat16)
        encoder, adapter = encoder_from(arrays, lm), adapter_from(arrays, lm)
        found: Row = dict(evaluate_likelihoods(lm, encoder, adapter, self.held_out, latent_place=place))
        with torch.no_grad():
            posteriors = [encoder([(row.prompt_ids, row.responses[0])]).mean[0].numpy() for row in self.held_out]
        people = path.parent / runtime
        if not (people / "pool").exists():
            shutil.copytree(self.pool, people / "pool")
        bench = Bench(people, PEOPLE)
        if runtime == "torch":
            kind = LatentFirstDecoder if place == "before prompt" else LatentLastDecoder
            template = ChatTemplate(self.backbone.metadata["tokenizer.chat_template"])
            bench.decoder = RememberingDecoder(
                kind(lm, load_tokenizer(self.backbone), template, adapter, backbone_id=self.backbone.id)
            )
        prompts = [row.messages for row in self.held_out]
        found |= evaluate_drafts(bench.decoder, prompts, len(posteriors[0]), posteriors, sampling=DRAFTING)
        people_rows = bench.curve()
        return found | {
            "win_rate_50": win_rate(people_rows),
            "accuracy_50": fmean(row["accuracy"] for row in people_rows),
            "activated_50": fmean(row["activated"] for row in people_rows),
        }


COLUMNS = {
    "contrastive_accuracy_k4": "accuracy of 4",
    "gain": "nll gain per token",
    "active_dims": "active dimensions",
    "dg_kld": "DG-KLD",
    "perplexity_z0": "perplexity z = 0",
    "perplexity_prior": "prior",
    "accuracy_50": "held-out choices",
    "win_rate_50": "win rate",
    "activated_50": "activated",
}


NOTE = """Every variant trained for {steps} steps on the same samples with the same dice. Measured on held-out prompts
(the backbone's own drafts: perplexity {own:.2f}), then taught by the same {people} simulated people with 50
choices each: the share of held-out choices ordered as they did, the win rate of the personal over the generic
draft, and the share of people whose encoder passed the gate. With the latent before the prompt, as in the
paper, drafts cannot share one reading of the prompt, and llama.cpp is not used that way here: drafted with
torch, and so is ours beside it."""


def as_markdown(command: str, rows: Sequence[Row]) -> str:
    """ablations.md."""
    cells = []
    for row in rows:
        known = {**row, "gain": row["nll_per_token_no_latent"] - row["nll_per_token"]}
        numbers = [f"{known[name]:.3g}" if name != "active_dims" else str(known[name]) for name in COLUMNS]
        cells.append([row["variant"], row["runtime"], *numbers])
    people = len(TAUGHT) * PEOPLE.seeds
    lines = [
        "# What each choice in CLaP's design is worth",
        "",
        f"`{command}` ({cpu_name()}, {os.cpu_count()} cores)",
        "",
        NOTE.format(steps=rows[0]["steps"], own=fmean(row["perplexity_own"] for row in rows), people=people),
        "",
        *markdown_table(["variant", "drafted with", *COLUMNS.values()], cells),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measures what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(".bench-ablations"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--held-out", type=int, default=40, help="prompts")
    parser.add_argument("--only", choices=VARIANTS, action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ablations = Ablations(options.samples, options.pool, options.work, options.steps, options.held_out)
    names = options.only or list(VARIANTS)
    rows = [ablations.measured(name, "llama.cpp") for name in names if name != LATENT_FIRST]
    if LATENT_FIRST in names:
        rows += [ablations.measured(name, "torch") for name in (next(iter(VARIANTS)), LATENT_FIRST)]
    if options.out:
        page = as_markdown(f"python -m benchmarks.ablations --steps {options.steps}", rows)
        write_page(options.out, "ablations", page, rows)


if __name__ == "__main__":
    main()

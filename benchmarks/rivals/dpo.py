"""DPO on a language model's own weights, as trl trains it: what LoRA, prefix and full tuning have in common.

Rafailov et al. 2023 (arXiv 2305.18290), eq. 7, on the response's tokens. The rivals are to be at their best on a CPU:
bf16, texts of like length in a batch, no gradient checkpointing, no evaluation, the reference's log-probabilities
computed once and beforehand, and only responses projected to the vocabulary.

PPO is left out. It needs a reward model, a value model and fresh drafts of the policy for every update (Ouyang et al.
2022, arXiv 2203.02155, section 3.5), hours for each person on two cores; on the very task of the paper, IMDB sentiment,
DPO reached more reward at every distance from the reference, even from PPO with the true reward (Rafailov et al. 2023,
section 6.1, figure 2), though PPO tuned with care can win elsewhere (Xu et al. 2024, arXiv 2404.10719); and trl 1.16
ships no PPO trainer any more. What PPO would climb, a reward fitted to the choices, is what `reward` picks drafts by.
"""

from __future__ import annotations

import copy
import math
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from peft import PeftConfig, PeftModel
from torch import Tensor
from transformers import LlamaForCausalLM, PrinterCallback
from transformers.utils import logging
from trl import DPOConfig, DPOTrainer

from benchmarks.rivals.cost_meter import CostMeter, flops
from benchmarks.rivals.method import Comparison, Cost
from benchmarks.rivals.torch_author import SharedSampler


@dataclass(frozen=True)
class Recipe:
    """How long and how firmly weights are trained."""

    learning_rate: float
    epochs: int = 3
    min_updates: int = 20
    """With few pairs there are more epochs: three updates teach nothing."""
    enough_updates: int = 500
    """With many pairs there are fewer epochs, but one at least."""
    beta: float = 0.1
    batch: int = 8
    """Pairs per update."""
    at_once: int = 4
    """Pairs per forward pass, at most; a divisor of a larger `batch`.

    Two cores read 340 tokens a second by 4, in 1.4 GB, and 285 by 8, in 3.1 GB.
    """
    warmup: float = 0.1
    """Share of the updates in which the learning rate rises; then it falls as a cosine does."""
    cut_at: int | None = None
    """A text of as many tokens was cut off by the sampler: it gets no end of text, which it never had."""

    def epochs_of(self, pairs: int) -> int:
        """How often so many pairs are read."""
        updates = math.ceil(pairs / self.batch)
        fewest, most = math.ceil(self.min_updates / updates), max(1, self.enough_updates // updates)
        return max(fewest, min(self.epochs, most))


def around(default: Recipe, **others: Sequence[float]) -> dict[str, Recipe]:
    """The default, then recipes in which one value is another, by what they are called in a table."""
    recipes = [default]
    changes: list[dict[str, Any]] = [{name: value} for name, values in others.items() for value in values]
    recipes += [replace(default, **change) for change in changes]
    return {f"lr {r.learning_rate:g}, epochs {r.epochs}, beta {r.beta:g}": r for r in recipes}


@dataclass(frozen=True)
class Trained:
    """A model after training, and what that took; `bytes_per_person` is for its owner to say."""

    model: Any
    """PeftModel, or LlamaForCausalLM where there was no adapter."""
    cost: Cost


def train(
    lm: LlamaForCausalLM,
    sampler: SharedSampler,
    pairs: Sequence[Comparison],
    recipe: Recipe,
    *,
    seed: int,
    adapter: PeftConfig | None = None,
    started: Callable[[PeftModel], None] = lambda model: None,
) -> Trained:
    """**Changes lm**, which is to be a copy. `started` may set the adapter's first weights.

    Of the cost, `seconds` are training, `seconds_before` the reference's log-probabilities, which can be computed
    while feedback comes in; building the trainer is not counted. FLOPs are those of one step, counted and scaled by
    the tokens (padding included) of all.
    Nothing is written but into a temporary folder that is removed, and the global random states stay as they were.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet(), _own_dice():
        trainer = PairTrainer(
            model=lm,
            args=_arguments(folder, recipe, len(pairs), seed, on_cpu=lm.device.type == "cpu"),
            train_dataset=Dataset.from_list(_token_pairs(sampler, pairs, recipe.cut_at)),
            processing_class=copy.deepcopy(sampler.tokenizer),  # trl sets its padding token
            peft_config=adapter,
        )
        trainer.remove_callback(PrinterCallback)
        model: Any = trainer.model
        if adapter is not None:
            started(model)
        with CostMeter() as meter:
            begun = time.monotonic()
            trainer.add_reference()
            seconds_before = time.monotonic() - begun
            trainer.train()
        notes: dict[str, float | str] = {
            "learning_rate": recipe.learning_rate,
            "epochs": recipe.epochs_of(len(pairs)),
            "beta": recipe.beta,
            "batch": recipe.batch,
            "steps": trainer.state.global_step,
            "tokens": trainer.tokens,
            "tokens_padded": trainer.tokens_padded,
            "tokens_per_second": trainer.tokens / (meter.seconds - seconds_before),
        }
        cost = Cost(
            seconds=meter.seconds - seconds_before,
            seconds_before=seconds_before,
            flops=trainer.counted_flops(),
            peak_bytes=meter.peak_bytes,
            notes=notes,
        )
        model.eval().requires_grad_(False).zero_grad(set_to_none=True)
    return Trained(model, cost)


class PairTrainer(DPOTrainer):
    """trl's trainer on token ids, projecting responses alone to the vocabulary.

    Where there is no Triton, trl 1.16 projects prompts and padding too, and computes entropies and ranks for its logs.
    The loss is the same (a test compares).
    """

    tokens = tokens_padded = 0
    """What training has read, both texts of each pair."""

    def add_reference(self) -> None:
        """Adds each pair's log-probabilities under the untouched model to the training data."""
        rows = sorted(self.train_dataset.to_list(), key=lambda row: row["length"])
        adapter_off = self.model.disable_adapter if isinstance(self.model, PeftModel) else nullcontext
        self.model.eval()
        at_once = self.args.per_device_train_batch_size
        with torch.no_grad(), self.accelerator.autocast(), adapter_off():
            for start in range(0, len(rows), at_once):
                part = rows[start : start + at_once]
                chosen, rejected = self.response_log_probs(self.model, self._prepare_inputs(self.data_collator(part)))
                for row, good, bad in zip(part, chosen.tolist(), rejected.tolist(), strict=True):
                    row |= {"ref_chosen_logps": good, "ref_rejected_logps": bad}
        self.train_dataset = Dataset.from_list(rows)
        self.model.train()

    def response_log_probs(self, model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """[B] twice, float32: log-probabilities of the chosen and of the rejected responses."""
        is_response = batch["completion_mask"][:, 1:].bool()
        first = int(is_response.any(0).nonzero()[0])
        logits = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            use_cache=False,
            logits_to_keep=batch["input_ids"].shape[1] - first,
        ).logits[:, :-1]
        is_response, targets = is_response[:, first:], batch["input_ids"][:, first + 1 :]
        summed = logits.new_zeros(is_response.shape, dtype=torch.float32)
        scored = -F.cross_entropy(logits[is_response].float(), targets[is_response], reduction="none")
        chosen, rejected = summed.masked_scatter(is_response, scored).sum(1).chunk(2)
        return chosen, rejected

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """Mean of -log sigmoid(beta h) over the pairs, h the chosen less the rejected log-ratio."""
        chosen, rejected = self.response_log_probs(model, inputs)
        margin = (chosen - inputs["ref_chosen_logps"]) - (rejected - inputs["ref_rejected_logps"])
        self.tokens += int(inputs["attention_mask"].sum())
        self.tokens_padded += inputs["input_ids"].numel()
        self._last = inputs
        return -F.logsigmoid(self.beta * margin).mean()

    def counted_flops(self) -> float:
        """Of all training and of the reference, from one step of the last batch's size."""
        batch, read = self._last, self.tokens_padded
        per_token = flops(lambda: self._step(batch)) / batch["input_ids"].numel()
        with torch.no_grad(), self.accelerator.autocast():
            ahead = flops(lambda: self.response_log_probs(self.model, batch)) / batch["input_ids"].numel()
        return per_token * read + ahead * read / self.args.num_train_epochs

    def _step(self, batch: dict[str, Tensor]) -> None:
        with self.accelerator.autocast():
            loss = self.compute_loss(self.model, batch)
        loss.backward()

    def _prepare_dataset(self, dataset: Dataset, *about: Any) -> Dataset:
        """It is tokenized, as PenPal's prompts are; trl would end every text, cut or not."""
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *about: Any) -> Dataset:
        """Left to `add_reference`, which is timed, and keeps nothing from one run for the next."""
        return dataset


def _token_pairs(sampler: SharedSampler, choices: Sequence[Comparison], cut_at: int | None) -> list[dict[str, Any]]:
    """Rows as trl's collator takes them: token ids, and a length to sort by."""
    end = sampler.tokenizer.eos_token_id
    rows = []
    for choice in choices:
        sides = []
        for text in (choice.chosen, choice.rejected):
            ids = list(sampler.tokenizer(text, add_special_tokens=False).input_ids)
            # What was cut at 48 tokens may be 47 when it is tokenized again.
            sides.append(ids if cut_at is not None and len(ids) >= cut_at - 1 else [*ids, end])
        prompt = sampler.ids(choice.messages)
        rows.append(
            {
                "prompt_ids": prompt,
                "chosen_ids": sides[0],
                "rejected_ids": sides[1],
                "length": len(prompt) + max(map(len, sides)),
            }
        )
    return rows


def _arguments(folder: str, recipe: Recipe, pairs: int, seed: int, *, on_cpu: bool) -> DPOConfig:
    return DPOConfig(
        output_dir=folder,
        beta=recipe.beta,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        num_train_epochs=recipe.epochs_of(pairs),
        per_device_train_batch_size=min(recipe.at_once, recipe.batch),
        gradient_accumulation_steps=max(1, recipe.batch // recipe.at_once),
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,  # the lengths are one
        max_length=None,
        precompute_ref_log_probs=True,
        gradient_checkpointing=False,
        bf16=True,
        use_cpu=on_cpu,
        dataloader_pin_memory=False,
        seed=seed,
        data_seed=seed,
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No word below an error from transformers, nor of what trl still calls by older names."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def _own_dice() -> Iterator[None]:
    """trl seeds Python's, NumPy's and torch's global generators; here they go on as if it had not."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)

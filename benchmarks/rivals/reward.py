"""Best of n: drafts of the untouched backbone, of which a small reward head picks one.

The head is linear on frozen features of a text and fitted to choices by the Bradley-Terry model (1952) with a ridge,
as reward models are trained (Ouyang et al. 2022, arXiv 2203.02155, eq. 1); a person is one vector. Learning is cheap,
drafting is not: n texts are written and read for each one that is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rivals.cost_meter import CostMeter, flops
from benchmarks.rivals.method import Author, Comparison, Cost, Method
from benchmarks.rivals.pairs import pairs_to_learn
from benchmarks.rivals.torch_author import Conversation, SampledAuthor, SharedSampler
from models.latent_dpo import Posteriors

Floats = NDArray[np.float64]
Text = tuple[Conversation, str]
"""A prompt and what was written for it."""
Features = Callable[[Sequence[Text]], Floats]
"""[N, F]"""
READ_AT_ONCE = 16


@dataclass(frozen=True)
class BackboneFeatures:
    """The backbone's last hidden states, averaged over the text."""

    sampler: SharedSampler

    @torch.no_grad()
    def __call__(self, texts: Sequence[Text]) -> Floats:
        pairs = [self._ids(messages, text) for messages, text in texts]
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        lm = self.sampler.lm
        found = np.zeros((len(pairs), lm.config.hidden_size))
        for start in range(0, len(order), READ_AT_ONCE):
            part = order[start : start + READ_AT_ONCE]
            wholes = [pairs[i][0] + pairs[i][1] for i in part]
            longest = max(map(len, wholes))
            # Padded on the right: causal attention keeps it out of every text.
            ids = torch.tensor([[*whole, *[0] * (longest - len(whole))] for whole in wholes], device=lm.device)
            states = lm.model(input_ids=ids).last_hidden_state.float()
            for row, i in enumerate(part):
                found[i] = states[row, len(pairs[i][0]) : len(wholes[row])].mean(0).cpu().numpy()
        return found

    def _ids(self, messages: Conversation, text: str) -> tuple[list[int], list[int]]:
        """An empty text is read as its prompt's last token."""
        prompt = self.sampler.ids(messages)
        ids = list(self.sampler.tokenizer(text, add_special_tokens=False).input_ids)
        return (prompt, ids) if ids else (prompt[:-1], prompt[-1:])


RIDGE = 100.0
NEWTON_STEPS = 25
CONVERGED = 1e-8


def bradley_terry(difference: Floats, ridge: float) -> Floats:
    """[F]: w that minimises the sum of -log sigmoid(w . d) over the rows d [N, F], plus ridge / 2 |w|^2.

    Newton's method in the span of the rows, where the optimum lies: N x N or F x F, whichever is smaller.
    """
    rows, size = difference.shape
    basis = np.linalg.svd(difference, full_matrices=False)[2] if rows < size else np.eye(size)
    x = difference @ basis.T
    w = np.zeros(len(basis))
    for _ in range(NEWTON_STEPS):
        right = 1 / (1 + np.exp(-x @ w))
        gradient = -x.T @ (1 - right) + ridge * w
        hessian = (x * (right * (1 - right))[:, None]).T @ x + ridge * np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.abs(step).max() < CONVERGED:
            break
    found: Floats = w @ basis
    return found


@dataclass
class BestOfN:
    """A reward head, and the sampler whose drafts it judges."""

    sampler: SharedSampler
    cost: Cost
    features: Features
    weights: Floats
    """[F]"""
    n: int

    def drafts(self, prompts: Sequence[Conversation], seeds: Sequence[int], *, max_tokens: int) -> list[str]:
        asked = [prompt for prompt in prompts for _ in range(self.n)]
        dice = [seed * self.n + k for seed in seeds for k in range(self.n)]
        texts = self.sampler.texts(asked, dice, max_tokens=max_tokens)
        rewards = self.rewards(list(zip(asked, texts, strict=True))).reshape(len(prompts), self.n)
        return [texts[i * self.n + int(best)] for i, best in enumerate(rewards.argmax(1))]

    def rewards(self, texts: Sequence[Text]) -> Floats:
        """[N]: in nats of log-odds, up to a constant per prompt."""
        rewards: Floats = self.features(texts) @ self.weights
        return rewards


@dataclass(frozen=True)
class BestOf:
    """Learns the head; the backbone and the features are the same for everybody."""

    sampler: SharedSampler
    features: Features
    n: int = 8
    ridge: float = RIDGE
    """On features of variance 1."""
    name: str = "best-of-n"

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        """Reading the texts is counted as done before, while choices came in; the seed decides nothing here.

        FLOPs are those of reading, and 0 for features that are not computed in torch.
        """
        pairs = pairs_to_learn(choices)
        if not pairs:
            return SampledAuthor(self.sampler, Cost(0.0))
        texts = [(choice.messages, text) for choice in pairs for text in (choice.chosen, choice.rejected)]
        with CostMeter() as meter:
            begun = time.monotonic()
            read = self.features(texts)
            seconds_before = time.monotonic() - begun
            spread = np.maximum(read.std(0), 1e-9)
            difference = (read[0::2] - read[1::2]) / spread
            weights = bradley_terry(difference, self.ridge) / spread
        few = texts[:READ_AT_ONCE]
        cost = Cost(
            seconds=meter.seconds - seconds_before,
            seconds_before=seconds_before,
            flops=flops(lambda: self.features(few)) / len(few) * len(texts),
            peak_bytes=meter.peak_bytes,
            bytes_per_person=weights.astype(np.float32).nbytes,
            notes={"n": self.n, "ridge": self.ridge},
        )
        return BestOfN(self.sampler, cost, self.features, weights, self.n)


def grid(sampler: SharedSampler, *, cut_at: int | None = None) -> dict[str, Method]:
    """What is tried, the defaults first. Where texts were cut does not matter here."""
    return _trials(sampler, BackboneFeatures(sampler), "best-of-n")


def posterior_grid(sampler: SharedSampler, posteriors: Callable[[Sequence[Text]], Posteriors]) -> dict[str, Method]:
    """With what PenPal's encoder reads in a text, the mean of q(z given x, y), in place of the backbone's states.

    `posteriors` is `TextEncoder.posteriors` or the cached `TextVectors.posteriors`. Shows what the features are worth
    apart from the way in which drafts are made.
    """
    return _trials(sampler, lambda texts: posteriors(texts).mean.astype(np.float64), "best-of-n-posteriors")


def _trials(sampler: SharedSampler, features: Features, name: str) -> dict[str, Method]:
    ridges = (RIDGE, 3.0, 10.0, 30.0, 300.0, 1000.0)
    return {f"ridge {ridge:g}": BestOf(sampler, features, ridge=ridge, name=name) for ridge in ridges}

"""From rows of evidence to a personal encoder: what may depend on what, and the fit.

The margin of a row is linear in what is learned (see `latent_dpo`), also when mu(x) depends on the context or on the
prompt's features: mu(x) = psi(x) M with psi = [1 | one-hot context | features], so each capacity is a choice of psi and
is fitted by Newton's method to its one optimum. Each block of M has a Gaussian prior around 0, which is the simpler
encoder. Knows nothing of texts, files or people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models import latent_dpo
from models.latent_dpo import MarginLoss

Variant = Literal["expected", "sampled", "marginal"]
LossName = Literal["dpo", "ipo", "hinge", "simpo", "kto"]
NoiseModel = Literal["none", "conservative", "robust"]
CapacityName = Literal["shift", "shift and scale", "contexts", "head", "layers"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LearnConfig:
    """What decides a personal encoder, besides the evidence."""

    loss: LossName = "dpo"
    variant: Variant = "expected"
    beta: float = 0.2
    prior_weight: float = 0.16
    """Nats of loss per nat of KL(p_u || N(0, I)). With beta it holds the shift back while pairs are few: the ridge on
    beta * mean is prior_weight / beta^2 = 4."""
    context_prior: float = 2.0
    """How much more firmly a context is held to the common part than that to 0."""
    head_prior: float = 16.0
    scale_prior: float = 16.0
    max_norm: float = 5.0
    """The mean stays inside the cloud of real posteriors, whose mean norm is 5."""
    noise: NoiseModel = "robust"
    flip_rate: float | None = None
    """The share of labels that are turned round; None: to be estimated, 0 until then."""
    known_weight: float = 0.0
    """Weight of the latents that made the drafts, beside what the posteriors infer from the texts."""
    half_life: float | None = None
    """In choices: one that is this many choices old counts half. None: all count the same."""
    candidates: int = 16
    """Sampled variant: latents per source and pair, from the prior and both posteriors."""
    evidence_ratio: float = 0.5
    """Sampled variant: share of candidate pairs that may be used, those with the largest reward gaps."""
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Rows:
    """Evidence as arrays; N rows, oldest first. A single mark is a row against the average draft."""

    difference: Array
    """[N, D]: posterior mean of the chosen text less that of the rejected one."""
    spread: Array
    """[N, D]: half the difference of their second moments, which is what a learned scale acts on."""
    weight: Array
    """[N]"""
    tie: NDArray[np.bool_]
    """[N]: both texts are as good as each other."""
    turn: NDArray[np.int64]
    """[N]: rows of one turn share texts, and stay together in cross-validation and in the test."""
    context: tuple[str, ...]
    features: NDArray[np.float32] | None = None
    """[N, H]: the prompts as the frozen encoder sees them."""
    known: Array | None = None
    """[N, D]: difference of the latents that made the texts; NaN where PenPal did not make both."""
    samples: NDArray[np.float32] | None = None
    """[N, K, D]: differences of candidates, for the sampled variant."""

    def __len__(self) -> int:
        return len(self.weight)

    def take(self, index: NDArray[Any]) -> Rows:
        """The rows at these positions, or where this mask is true."""
        at = np.flatnonzero(index) if index.dtype == bool else index
        optional = {
            name: None if value is None else value[at]
            for name, value in (("features", self.features), ("known", self.known), ("samples", self.samples))
        }
        return Rows(
            self.difference[at], self.spread[at], self.weight[at], self.tie[at], self.turn[at],
            tuple(self.context[i] for i in at), **optional,  # type: ignore[arg-type]
        )  # fmt: skip

    def aged(self, half_life: float | None) -> Rows:
        """With weights that halve every `half_life` turns into the past, however many rows a turn has."""
        if half_life is None:
            return self
        newest_of_turn = np.zeros(len(self))
        newest_of_turn[np.unique(self.turn[::-1], return_index=True)[1]] = 1
        age = (np.cumsum(newest_of_turn) - 1)[::-1]
        return replace(self, weight=self.weight * 0.5 ** (age / half_life))


@dataclass(frozen=True)
class Parts:
    """What a personal encoder is made of: mu(x) = mean + context's shift + (features - center) head; D dimensions."""

    mean: Array
    log_variance: Array
    contexts: dict[str, Array]
    center: Array | None = None
    """[H]"""
    head: Array | None = None
    """[H, D]"""

    @classmethod
    def generic(cls, latent_size: int) -> Parts:
        """N(0, I)."""
        return cls(np.zeros(latent_size), np.zeros(latent_size), {})

    def means(self, rows: Rows) -> Array:
        """[N, D]: mu(x) of each row."""
        none = np.zeros_like(self.mean)
        shifts = [self.contexts.get(context, none) for context in rows.context]
        mu: Array = self.mean + np.array(shifts).reshape(len(rows), len(none))  # also of no rows
        if self.head is not None and self.center is not None and rows.features is not None:
            mu = mu + (rows.features - self.center) @ self.head
        return mu

    def margins(self, rows: Rows, max_norm: float = np.inf) -> Array:
        """[N]: expected log-ratio of the chosen less that of the rejected text, in nats.

        With `max_norm` that of the encoder as it drafts, which cuts every mu(x).
        """
        precision = np.exp(-self.log_variance)
        means = self.means(rows)
        if np.isfinite(max_norm):
            means = means * shrinking(means, max_norm)
        margins: Array = (precision * means * rows.difference).sum(1) + rows.spread @ (1 - precision)
        return margins


def shrinking(vectors: Array, max_norm: float) -> Array:
    """[..., 1]: the factor that brings each vector [..., D] to this length, if it is longer."""
    factors: Array = np.minimum(1.0, max_norm / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
    return factors


@dataclass(frozen=True)
class Design:
    """psi(x): what mu(x) may depend on."""

    contexts: tuple[str, ...] = ()
    center: Array | None = None
    """[H]"""
    projection: Array | None = None
    """[H, R]: the prompts' features, less their center, to R uncorrelated ones of variance 1."""
    scale: bool = False

    def psi(self, rows: Rows) -> Array:
        """[N, F]"""
        blocks = [np.ones((len(rows), 1))]
        if self.contexts:
            blocks.append(np.array([[c == name for name in self.contexts] for c in rows.context], float))
        if self.projection is not None and self.center is not None and rows.features is not None:
            blocks.append((rows.features - self.center) @ self.projection)
        return np.concatenate(blocks, axis=1)

    def columns(self, psi: Array, difference: Array, spread: Array) -> Array:
        """[N, P]: the margin's derivative by every parameter."""
        columns = (psi[:, :, None] * difference[:, None, :]).reshape(len(psi), -1)
        return np.concatenate([columns, spread], axis=1) if self.scale else columns

    def ridge(self, config: LearnConfig, latent_size: int) -> Array:
        """[P]: how firmly each parameter is held to 0, which is the simpler encoder."""
        strengths = [1.0, *[config.context_prior] * len(self.contexts)]
        if self.projection is not None:
            strengths += [config.head_prior] * self.projection.shape[1]
        ridge = np.repeat(strengths, latent_size)
        if self.scale:
            ridge = np.concatenate([ridge, np.full(latent_size, config.scale_prior)])
        return config.prior_weight * ridge

    def parts(self, parameters: Array, latent_size: int) -> Parts:
        """The encoder that these parameters [P] describe."""
        natural, tau = parameters, np.ones(latent_size)
        if self.scale:
            natural, tau = parameters[:-latent_size], np.clip(1 - parameters[-latent_size:], *PRECISION_RANGE)
        rows = natural.reshape(-1, latent_size) / tau
        contexts = dict(zip(self.contexts, rows[1:], strict=False))
        head = None if self.projection is None else self.projection @ rows[1 + len(self.contexts) :]
        return Parts(rows[0], -np.log(tau), contexts, self.center if head is not None else None, head)


PRECISION_RANGE = (0.25, 4.0)
HEAD_FEATURES = 16
MIN_ROWS_PER_CONTEXT = 8
MIN_ROWS_FOR_HEAD = 60
MIN_ROWS_FOR_LAYERS = 2000
"""With 1,000 choices a trial costs 25 s and is worth nothing (docs/experiments.md)."""


def designs(rows: Rows) -> dict[CapacityName, Design]:
    """The capacities that so many rows may be given, the simplest first."""
    found: dict[CapacityName, Design] = {"shift": Design()}
    if len(contexts := contexts_to_learn(rows)) > 1:
        found["contexts"] = Design(contexts=contexts)
    if rows.features is not None and len(rows) >= MIN_ROWS_FOR_HEAD:
        found["head"] = head_design(rows.features)
    if len(rows) >= MIN_ROWS_FOR_HEAD:
        found["shift and scale"] = Design(scale=True)
    return found


def enough_for_layers(rows: Rows, config: LearnConfig) -> bool:
    """Whether so many rows still count: Kish's effective size of their weights after ageing."""
    weight = rows.aged(config.half_life).weight
    return rows.features is not None and bool(weight.sum() ** 2 >= MIN_ROWS_FOR_LAYERS * (weight**2).sum())


def contexts_to_learn(rows: Rows) -> tuple[str, ...]:
    """Kinds of writing with enough rows, in alphabetical order."""
    return tuple(sorted(c for c, count in Counter(rows.context).items() if count >= MIN_ROWS_PER_CONTEXT))


def head_design(features: NDArray[np.float32]) -> Design:
    """mu(x) linear in the principal components of the person's own prompts."""
    center = features.mean(0, dtype=np.float64)
    centered = features - center
    variance, axes = np.linalg.eigh(centered.T @ centered / len(features))  # [H, H]: quicker than an SVD of [N, H]
    largest = np.argsort(-variance)[:HEAD_FEATURES]
    kept = largest[variance[largest] > 1e-6 * variance.max()]
    return Design(center=center, projection=axes[:, kept] / np.sqrt(variance[kept]))


def fit(rows: Rows, design: Design, config: LearnConfig, *, start: Parts | None = None) -> Parts:
    """The encoder that latent DPO finds. With `start`, a step away from that encoder, which the prior holds it to."""
    aged = rows.aged(config.half_life)
    latent_size = rows.difference.shape[1]
    columns, offset, weight, tie = _problem(aged, design, config, start)
    ridge = design.ridge(config, latent_size)
    if config.variant == "marginal":
        assert start is None  # the margin that it starts with would have to be told apart by dimension
        parameters = np.empty(len(ridge))
        for at in (slice(d, None, latent_size) for d in range(latent_size)):  # all that depends on one dimension
            parameters[at] = _newton(columns[:, at], offset, weight, tie, ridge[at], config)
    else:
        parameters = _newton(columns, offset, weight, tie, ridge, config)
    parts = design.parts(parameters, latent_size)
    return parts if start is None else _stepped(start, parts)


def _stepped(start: Parts, step: Parts) -> Parts:
    """Both in one: their natural parameters, as differences from those of N(0, I), add up."""
    if not step.log_variance.any() and not step.contexts and step.head is None:
        return replace(start, mean=start.mean + np.exp(start.log_variance) * step.mean)  # and nothing is rounded
    before, change = np.exp(-start.log_variance), np.exp(-step.log_variance)
    precision = np.clip(before + change - 1, *PRECISION_RANGE)
    return combined([(start, before / precision), (step, change / precision)], -np.log(precision))


def combined(voices: Sequence[tuple[Parts, Array]], log_variance: Array) -> Parts:
    """The encoder whose mu(x) is the sum of these encoders' mu(x), each times its factors [D].

    Heads with different centres become one around their mean; what that moves goes into the mean.
    """
    none = np.zeros_like(log_variance)
    names = sorted({name for parts, _ in voices for name in parts.contexts})
    mean: Array = np.sum([factor * parts.mean for parts, factor in voices], axis=0)
    contexts = {n: np.sum([factor * p.contexts.get(n, none) for p, factor in voices], axis=0) for n in names}
    headed = [(p.center, p.head, factor) for p, factor in voices if p.center is not None and p.head is not None]
    if not headed:
        return Parts(mean, log_variance, contexts)
    center: Array = np.mean([own for own, _, _ in headed], axis=0)
    head: Array = np.sum([factor * own for _, own, factor in headed], axis=0)
    mean = mean + np.sum([factor * ((center - own) @ matrix) for own, matrix, factor in headed], axis=0)
    return Parts(mean, log_variance, contexts, center, head)


def _problem(
    rows: Rows, design: Design, config: LearnConfig, start: Parts | None
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Columns [M, P], offsets [M], weights [M] and ties [M] of everything that is compared."""
    found = comparisons(rows, config)
    columns = design.columns(design.psi(rows)[found.row], found.difference, found.spread)
    offset = found.offset
    if start is not None:
        of_row = rows.take(found.row)
        offset = offset + start.margins(replace(of_row, difference=found.difference, spread=found.spread))
    return columns, offset, found.weight, found.tie


@dataclass(frozen=True)
class Comparisons:
    """What is compared, M latents with M others: of each row its posteriors, or samples of them, and known latents."""

    row: NDArray[np.int64]
    """[M]: whose they are."""
    difference: Array
    """[M, D]"""
    spread: Array
    """[M, D]: 0 except for whole posteriors."""
    offset: Array
    """[M]: the margin under N(0, I)."""
    weight: Array
    """[M]"""
    tie: NDArray[np.bool_]
    """[M]"""


def comparisons(rows: Rows, config: LearnConfig) -> Comparisons:
    """All that latent DPO compares under this configuration."""
    every = np.arange(len(rows))
    blocks = [(every, rows.difference, rows.spread, rows.weight)]
    if config.variant == "sampled" and rows.samples is not None:
        samples, weight = rows.samples.astype(np.float64), rows.weight / rows.samples.shape[1]
        blocks = [(every, difference, 0 * difference, weight) for difference in samples.swapaxes(0, 1)]
    if config.known_weight and rows.known is not None:
        made = np.flatnonzero(~np.isnan(rows.known).any(1))
        known = rows.known[made]
        blocks.append((made, known, 0 * known, config.known_weight * rows.weight[made]))
    row, difference, spread, weight = (np.concatenate(part) for part in zip(*blocks, strict=True))
    # SimPO has no reference: what N(0, I) says about the two texts is left in the margin.
    offset = -spread.sum(1) if config.loss == "simpo" else np.zeros(len(weight))
    return Comparisons(row, difference, spread, offset, weight, rows.tie[row])


def preference_terms(margin: Array, tie: NDArray[np.bool_], config: LearnConfig) -> latent_dpo.LossTerms:
    """The loss of these margins, where a tie pulls both texts together; `tie` has the margin's shape or broadcasts."""
    terms = pair_loss(config)(margin)
    if not tie.any():
        return terms
    alike = latent_dpo.conservative(lambda margin: latent_dpo.LOSSES[config.loss](margin, beta=config.beta), 0.5)
    return latent_dpo.LossTerms(*(np.where(tie, a, b) for a, b in zip(alike(margin), terms, strict=True)))


def pair_loss(config: LearnConfig) -> MarginLoss:
    """The loss of a preference under the assumed noise."""

    def plain(margin: latent_dpo.Floats) -> latent_dpo.LossTerms:
        return latent_dpo.LOSSES[config.loss](margin, beta=config.beta)

    return latent_dpo.NOISE_MODELS[config.noise](plain, config.flip_rate or 0.0)


STEPS = 50
HALVINGS = 20
TOLERANCE = 1e-6


def _newton(
    columns: Array, offset: Array, weight: Array, tie: NDArray[np.bool_], ridge: Array, config: LearnConfig
) -> Array:
    """Minimises sum of weight * loss(offset + columns p) + 1/2 ridge p^2, by damped Newton steps from p = 0."""

    def terms(p: Array) -> latent_dpo.LossTerms:
        return preference_terms(offset + columns @ p, tie, config)

    def objective(found: latent_dpo.LossTerms, p: Array) -> float:
        return float(weight @ found.value + 0.5 * ridge @ p**2)

    p = np.zeros(columns.shape[1])
    now = terms(p)
    value = objective(now, p)
    for _ in range(STEPS):
        gradient = columns.T @ (weight * now.slope) + ridge * p
        hessian = _information(columns, weight * now.curvature) + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        for _ in range(HALVINGS):
            after = terms(p - step)
            if (lower := objective(after, p - step)) <= value:
                break
            step = step / 2
        else:
            return p
        p, now, improved, value = p - step, after, value - lower, lower
        if improved < TOLERANCE:
            break
    return p


def _information(columns: Array, weight: Array) -> Array:
    """[P, P]: X' diag(weight) X, without a second copy of X [M, P]."""
    total = np.zeros((columns.shape[1],) * 2)
    for start in range(0, len(columns), ROWS_AT_ONCE):
        block = columns[start : start + ROWS_AT_ONCE]
        total += (block * weight[start : start + ROWS_AT_ONCE, None]).T @ block
    return total


ROWS_AT_ONCE = 4096


def within(parts: Parts, max_norm: float) -> Parts:
    """The same encoder with every fixed shift inside the cloud of real posteriors: the mean, and with each context.

    A scale or a head was learned beside the uncut mean, so all of it shrinks together, toward N(0, I) in natural
    parameters; a head's mu(x) is cut once more when it drafts.
    """
    factor = float(shrinking(parts.mean, max_norm)[0])
    if factor < 1 and (parts.head is not None or parts.log_variance.any()):
        parts = _toward_generic(parts, factor)
    mean = _cut(parts.mean, max_norm)
    contexts = {name: _cut(parts.mean + shift, max_norm) - mean for name, shift in parts.contexts.items()}
    return replace(parts, mean=mean, contexts=contexts)


def _toward_generic(parts: Parts, share: float) -> Parts:
    """p_u^share N(0, I)^(1 - share), normalised: 0 is generic, 1 is as learned."""
    precision = np.exp(-parts.log_variance)
    less = 1 - share * (1 - precision)
    factor = share * precision / less
    return Parts(
        factor * parts.mean,
        -np.log(less),
        {name: factor * shift for name, shift in parts.contexts.items()},
        parts.center,
        None if parts.head is None else factor * parts.head,
    )


def without(parts: Parts, direction: Array) -> Parts:
    """The same encoder without what its fixed shifts have of this direction [D], a unit vector. Its opposite stays."""
    mean = _less(parts.mean, direction)
    contexts = {name: _less(parts.mean + shift, direction) - mean for name, shift in parts.contexts.items()}
    return replace(parts, mean=mean, contexts=contexts)


def _less(vector: Array, direction: Array) -> Array:
    return vector - max(0.0, float(vector @ direction)) * direction


def _cut(vector: Array, max_norm: float) -> Array:
    return vector * shrinking(vector, max_norm)

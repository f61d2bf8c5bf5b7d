"""The richest capacity: a personal copy of the encoder's layers, and a head from it, for who has given much evidence.

mu(x) = mean + context's shift + (f(x) - center) head, as for a head on the frozen encoder, but f is trained too: latent
DPO (`latent_dpo`) on minibatches of prompts, from exactly the best simpler encoder, and kept only when it foresees
choices better. Torch trains; how good it is, is asked of the NumPy encoder that drafts. The language model is never
loaded. Imported when it is needed: torch takes seconds.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.protocols import Message
from models import learner, validation
from models.checkpoint import Arrays, read_cache, write_arrays
from models.learner import Array, LearnConfig, Parts, Rows
from models.personal_layers import Device, PersonalLayers, placement
from models.text_encoder import TextEncoder, Tokens
from models.validation import Candidate

Prompts = Sequence[Sequence[Message]]
Indices = NDArray[np.int64]

BATCH_TOKENS = 1024
"""Of one forward pass, padding included: about 100 MB of activations. A step of longer prompts takes several."""
CHECKPOINT_EVERY_S = 60.0
EVALUATED_AT_ONCE = 64
MAX_STOP_ROWS = 400
"""More would cost time and tell no better when to stop."""
MAX_ROWS = 4000
"""Of the newest evidence: a minute and a half of training on two cores, however long a person's history is."""


@dataclass(frozen=True)
class LayersConfig:
    """How layers are trained; what counts as good is `LearnConfig`'s."""

    rate: float = 1e-4
    """AdamW's; the reference implementation's."""
    head_rate: float = 1e-3
    warm_up: float = 0.1
    """Share of all steps, after which the rate stays."""
    batch_pairs: int = 64
    epochs: int = 3
    start_prior: float = 16.0
    """How much more firmly mu(x) is held to the simpler encoder's than to 0: as firmly as `LearnConfig.head_prior`."""
    evaluations: int = 10
    """How often held-out pairs are asked; the best answer's weights are kept."""
    patience: int = 4
    """Evaluations without a better answer that end the training."""
    seed: int = 0


@dataclass(frozen=True)
class LayeredResult:
    """A personal encoder with layers of its own, the best of its training; at worst the one that it started from."""

    parts: Parts
    """Their features are those of `layers`."""
    layers: Arrays
    """float16, named as in `TextEncoder.layers`."""
    losses: list[tuple[int, float]]
    """Steps done, and the mean log-loss of held-out choices, in nats: before the first step, and at each evaluation."""
    steps: int
    """In all, those after the best included."""
    device: str
    """Which, in which dtype, and why."""

    @property
    def loss_before(self) -> float:
        return self.losses[0][1]

    @property
    def loss_after(self) -> float:
        return min(loss for _, loss in self.losses)


@dataclass
class TrainingState:
    """What changes while training, and what a checkpoint holds."""

    model: PersonalLayers
    optimizer: torch.optim.Optimizer
    best: Arrays = field(default_factory=dict)
    """The best weights so far: layers, and "head" [H, D] float32."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    step: int = 0

    def evaluated(self, loss: float) -> None:
        """Keeps the weights when this is the best loss so far."""
        if not self.losses or loss < min(self.losses, key=lambda entry: entry[1])[1]:
            self.best = {**self.model.layers(), "head": self.model.head.detach().cpu().numpy().copy()}
        self.losses.append((self.step, loss))

    def gave_up(self, patience: int) -> bool:
        losses = [loss for _, loss in self.losses]
        return len(losses) - 1 - int(np.argmin(losses)) >= patience


def train_layers(
    rows: Rows,
    prompts: Prompts,
    start: Parts,
    encoder: TextEncoder,
    config: LayersConfig = LayersConfig(),
    learning: LearnConfig = LearnConfig(),  # noqa: B008 (immutable)
    *,
    stop_on: NDArray[np.bool_],
    device: Device = "auto",
    checkpoint: Path | None = None,
    between: Callable[[], None] = lambda: None,
    deadline: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda share: None,
) -> LayeredResult:
    """Trains layers from exactly the encoder `start`; returns the best that it came by.

    Args:
        rows: N rows with features, their weights as they shall count.
        prompts: N.
        stop_on: [N], rows that are not trained on but asked how good it is; `start` should not know them either.
        checkpoint: written every minute and after each epoch; a run with the same arguments goes on from there. The
            caller removes it when the result is safe.
        between: called between passes of about BATCH_TOKENS.
        deadline: asked there whether to end now.
    """
    assert rows.features is not None
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8")  # one for each shape of a batch: 250 MB otherwise
    start = with_head(start, rows)
    data = TrainingData.of(rows, prompts, start, encoder, learning, stop_on)
    place = placement(device)
    torch.manual_seed(config.seed)
    model = PersonalLayers(encoder, data.vocabulary, start, place)
    state = resumed(model, config, checkpoint, identity := data.identity(config, encoder))
    if not state.losses:
        state.evaluated(data.held_out_loss(model, encoder, between))
    per_epoch = -(-len(data.train) // config.batch_pairs)
    total = config.epochs * per_epoch
    evaluate_every = max(1, total // config.evaluations)
    saved = time.monotonic()
    while state.step < total and not state.gave_up(config.patience):
        epoch, at = divmod(state.step, per_epoch)
        batch = data.epoch(epoch, config)[at * config.batch_pairs : (at + 1) * config.batch_pairs]
        for group in state.optimizer.param_groups:
            group["lr"] = group["full_rate"] * min(1.0, (state.step + 1) / max(1, config.warm_up * total))
        state.optimizer.zero_grad()
        if not accumulate(model, data, batch, config, between, deadline):
            break
        nn.utils.clip_grad_norm_(model.trained().values(), 1.0)
        state.optimizer.step()
        state.step += 1
        if state.step % evaluate_every == 0 or state.step == total:
            state.evaluated(data.held_out_loss(model, encoder, between))
        progress(state.step / total)
        if checkpoint and (time.monotonic() - saved > CHECKPOINT_EVERY_S or state.step % per_epoch == 0):
            save_checkpoint(state, checkpoint, identity)
            saved = time.monotonic()
    layers = {name: array for name, array in state.best.items() if name != "head"}
    parts = replace(start, head=state.best["head"].astype(np.float64))
    return LayeredResult(parts, layers, state.losses, state.step, place.why)


def with_head(parts: Parts, rows: Rows) -> Parts:
    """The same encoder; one without a head gets one that does nothing."""
    assert rows.features is not None
    if parts.head is not None:
        return parts
    center = rows.features.mean(0, dtype=np.float64)
    return replace(parts, center=center, head=np.zeros((len(center), len(parts.mean))))


@dataclass(frozen=True)
class TrainingData:
    """Rows and prompts, ready to train on; equal prompts are one, and read once a step."""

    rows: Rows
    train: Indices
    """Rows to train on."""
    held_out: Indices
    prompts: list[Sequence[Message]]
    """Distinct ones."""
    ids: list[Tokens]
    """Of those, in positions of `vocabulary`."""
    prompt_of: Indices
    """[N]: which of them is the row's."""
    vocabulary: Indices
    fixed: Array
    """[N, D]: what mu(x) has without a head."""
    started: Array
    """[N, D]: mu(x) of `start`."""
    start: Parts
    learning: LearnConfig

    @classmethod
    def of(
        cls,
        rows: Rows,
        prompts: Prompts,
        start: Parts,
        encoder: TextEncoder,
        learning: LearnConfig,
        stop_on: NDArray[np.bool_],
    ) -> TrainingData:
        keyed = [tuple(messages) for messages in prompts]
        distinct = {messages: i for i, messages in enumerate(dict.fromkeys(keyed))}
        # A prompt without tokens has no mean to pool; any token will do, its features are nobody's taste.
        ids = [encoder.prompt_ids(messages) or (0,) for messages in distinct]
        vocabulary = np.unique(np.concatenate([np.array(prompt) for prompt in ids]))
        return cls(
            rows, np.flatnonzero(~stop_on), np.flatnonzero(stop_on), list(distinct),
            [tuple(np.searchsorted(vocabulary, prompt).tolist()) for prompt in ids],
            np.array([distinct[messages] for messages in keyed]), vocabulary,
            replace(start, head=None).means(rows), start.means(rows), start, learning,
        )  # fmt: skip

    def epoch(self, number: int, config: LayersConfig) -> Indices:
        """Rows to train on, those of one prompt side by side, in an order of this epoch."""
        place = np.random.default_rng([config.seed, number]).permutation(len(self.prompts))
        return self.train[np.argsort(place[self.prompt_of[self.train]], kind="stable")]

    def passes(self, batch: Indices) -> Iterator[tuple[list[Tokens], Indices, Indices]]:
        """A batch in parts of at most BATCH_TOKENS: prompts of about one length, rows, and their prompts [n]."""
        of_batch = np.unique(self.prompt_of[batch])
        shortest_first = of_batch[np.argsort([len(self.ids[i]) for i in of_batch], kind="stable")]
        groups: list[list[int]] = [[]]
        for prompt in shortest_first.tolist():
            if groups[-1] and (len(groups[-1]) + 1) * len(self.ids[prompt]) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(prompt)
        for group in groups:
            rows = batch[np.isin(self.prompt_of[batch], group)]
            at = {prompt: i for i, prompt in enumerate(group)}
            yield [self.ids[i] for i in group], rows, np.array([at[i] for i in self.prompt_of[rows].tolist()])

    def gradient(self, mu: Array, rows: Indices, start_prior: float) -> Array:
        """[n, D]: the objective's derivative by mu(x) of these rows, summed over rows; priors are shared by all rows.

        The margin is linear in mu(x) (`latent_dpo`), so every loss and noise model is the one that Newton's method
        minimises for simpler encoders.
        """
        compared = learner.comparisons(self.rows.take(rows), self.learning)
        precision = np.exp(-self.start.log_variance)
        factor = learner.shrinking(mu, self.learning.max_norm)
        terms = precision * (factor * mu)[compared.row] * compared.difference
        margin = terms if self.learning.variant == "marginal" else terms.sum(1, keepdims=True)
        margin = margin + (compared.offset + compared.spread @ (1 - precision))[:, None]
        slope = learner.preference_terms(margin, compared.tie[:, None], self.learning).slope
        by_drafted = np.zeros_like(mu)
        np.add.at(by_drafted, compared.row, compared.weight[:, None] * slope * precision * compared.difference)
        # What is cut has no say in its own length: only its direction is learned.
        along = mu / np.maximum(np.linalg.norm(mu, axis=1, keepdims=True), 1e-9)
        lengthwise = (by_drafted * along).sum(1, keepdims=True) * along
        prior: Array = mu + start_prior * (mu - self.started[rows])
        gradient: Array = factor * (by_drafted - (factor < 1) * lengthwise)
        return gradient + self.learning.prior_weight / len(self.train) * prior

    def held_out_loss(self, model: PersonalLayers, encoder: TextEncoder, between: Callable[[], None]) -> float:
        """Mean log-loss of held-out choices, in nats, by the encoder that would draft."""
        rows = self.rows.take(self.held_out)
        parts = replace(self.start, head=model.head.detach().cpu().numpy().astype(np.float64))
        prompts = [self.prompts[i] for i in self.prompt_of[self.held_out]]
        layered = encoder.with_layers(model.layers())
        margins = layered_margins(parts, layered, rows, prompts, self.learning.max_norm, between)
        return float(np.average(validation.log_loss(margins, rows, self.learning), weights=rows.weight))

    def identity(self, config: LayersConfig, encoder: TextEncoder) -> str:
        """Of everything that decides the result: a checkpoint of anything else is not resumed."""
        digest = hashlib.sha256(repr((config, self.learning, self.rows.context, self.ids)).encode())
        arrays: list[NDArray[Any] | None] = [
            self.rows.difference,
            self.rows.spread,
            self.rows.weight,
            self.rows.tie,
            self.rows.known,
        ]
        arrays += [self.rows.samples, self.train, self.started, *astuple(self.start)[:2], self.start.head]
        for array in (*arrays, *encoder.layers.values()):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def accumulate(
    model: PersonalLayers,
    data: TrainingData,
    batch: Indices,
    config: LayersConfig,
    between: Callable[[], None],
    deadline: Callable[[], bool],
) -> bool:
    """Adds the gradient of a batch's mean loss; False when the deadline came first."""
    for prompts, rows, prompt_of in data.passes(batch):
        between()
        if deadline():
            return False
        shift = model(prompts)[torch.from_numpy(prompt_of).to(model.head.device)]
        mu = data.fixed[rows] + shift.detach().cpu().numpy()
        gradient = data.gradient(mu, rows, config.start_prior) / len(batch)
        shift.backward(gradient=torch.from_numpy(gradient).to(shift))
    return True


def layered_margins(
    parts: Parts,
    encoder: TextEncoder,
    rows: Rows,
    prompts: Prompts,
    max_norm: float,
    between: Callable[[], None] = lambda: None,
) -> Array:
    """[N]: margins, as it would draft, of rows whose N prompts are read by an encoder with personal layers."""
    distinct = list(dict.fromkeys(tuple(messages) for messages in prompts))
    features: dict[tuple[Message, ...], NDArray[np.float32]] = {}
    for first in range(0, len(distinct), EVALUATED_AT_ONCE):
        between()
        part = distinct[first : first + EVALUATED_AT_ONCE]
        features |= zip(part, encoder.prompt_features(part), strict=True)
    read = replace(rows, features=np.stack([features[tuple(messages)] for messages in prompts]))
    return parts.margins(read, max_norm)


# --- checkpoints ----------------------------------------------------------------------------------------------

MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's, by its own names."""


def save_checkpoint(state: TrainingState, path: Path, identity: str) -> None:
    """Written atomically: weights, moments and the best weights so far."""
    arrays: Arrays = {f"best.{name}": array for name, array in state.best.items()}
    for name, parameter in state.model.trained().items():
        arrays[f"now.{name}"] = parameter.detach().cpu().numpy()
        for moment in MOMENTS:
            arrays[f"{moment}.{name}"] = state.optimizer.state[parameter][moment].cpu().numpy()
    write_arrays(path, arrays, {"run": identity, "step": state.step, "losses": state.losses})


def resumed(model: PersonalLayers, config: LayersConfig, path: Path | None, identity: str) -> TrainingState:
    """The state that this very run was left in, or a new one: a damaged or another run's file starts anew."""
    parameters = model.trained()
    rates = {name: config.head_rate if name == "head" else config.rate for name in parameters}
    groups: list[dict[str, Any]] = [
        {"params": [parameter], "full_rate": rates[name]} for name, parameter in parameters.items()
    ]
    state = TrainingState(model, torch.optim.AdamW(groups, weight_decay=0.0))
    kept = read_cache(path) if path else None
    if kept is None or kept[1].get("run") != identity:
        return state
    arrays, about = kept
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(arrays[f"now.{name}"]))
            moments = {m: torch.from_numpy(arrays[f"{m}.{name}"]).to(parameter.device) for m in MOMENTS}
            state.optimizer.state[parameter] = {"step": torch.tensor(float(about["step"])), **moments}
    state.step, state.losses = about["step"], [(step, loss) for step, loss in about["losses"]]
    state.best = {name.removeprefix("best."): array for name, array in arrays.items() if name.startswith("best.")}
    return state


# --- what to trust --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """Layers, trained without a fifth of the turns, and what those say of them."""

    result: LayeredResult
    candidate: Candidate
    """On that fifth; on all other rows it is the simpler encoder's answer, since layers know those rows."""
    better: bool
    """Than the simpler encoder on that fifth: in log-loss beyond noise, and no worse at telling which was chosen."""


def trial(
    rows: Rows,
    prompts: Prompts,
    simpler: Candidate,
    encoder: TextEncoder,
    learning: LearnConfig,
    config: LayersConfig = LayersConfig(),
    *,
    adopted: Parts | None = None,
    device: Device = "auto",
    checkpoint: Path | None = None,
    between: Callable[[], None] = lambda: None,
    deadline: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda share: None,
) -> Trial:
    """Trains layers from the capacity that cross-validation chose, and asks choices that neither has seen.

    `adopted`: the encoder that this capacity is a step away from, if not N(0, I); `encoder` reads prompts as it does.

    What was asked is what is used: training once more on all rows would double the time for a fifth more evidence.
    Only the newest MAX_ROWS are trained on and asked, so that time and memory are bounded.
    """
    newest = np.arange(len(rows)) >= len(rows) - MAX_ROWS
    fold = validation.folds(rows, learning)[0]
    fifth, rest = fold & newest, ~fold & newest
    aged, unaged = rows.aged(learning.half_life), replace(learning, half_life=None)
    seen = aged.take(rest)
    stop_on = validation.folds(seen, replace(learning, folds=max(10, len(seen) // MAX_STOP_ROWS)))[0]
    known = ~fold
    known[np.flatnonzero(rest)[stop_on]] = False
    start = learner.fit(aged.take(known), learner.designs(rows)[simpler.capacity], unaged, start=adopted)
    result = train_layers(
        seen, [prompts[i] for i in np.flatnonzero(rest).tolist()], learner.within(start, learning.max_norm), encoder,
        config, unaged, stop_on=stop_on, device=device, checkpoint=checkpoint, between=between, deadline=deadline,
        progress=progress,
    )  # fmt: skip
    margins = simpler.margins.copy()
    asked = [prompts[i] for i in np.flatnonzero(fifth).tolist()]
    layered = encoder.with_layers(result.layers)
    margins[fifth] = layered_margins(result.parts, layered, rows.take(fifth), asked, learning.max_norm, between)
    losses = validation.log_loss(margins, rows, learning)
    orders = [validation.accuracy(each[fifth], rows.take(fifth))[0] for each in (margins, simpler.margins)]
    better = orders[0] >= orders[1] and validation.better(losses[fifth], simpler.losses[fifth], aged.weight[fifth])
    return Trial(result, Candidate("layers", margins, losses), better)

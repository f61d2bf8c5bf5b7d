"""The overnight run: preference pairs in, a personal encoder out. Never loads the language model.

Of the backbone only the token embedding and the tokenizer are read; posteriors are computed once per text and cached
beside the database. First capacity: a shift and a scale of z for all prompts (`ShiftEncoder`).
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from core.errors import BackboneError, LearnError
from core.feedback import Pair
from core.protocols import Message
from models import latent_dpo
from models.backbone import Backbone, ChatTemplate
from models.checkpoint import Arrays, read_cache, write_arrays
from models.encoder import LatentEncoder, Posterior
from models.llama_runtime import LlamaModel
from models.personal_encoder import ShiftEncoder

MIN_PAIRS = 4
MAX_RESPONSE_TOKENS = 256
ENCODE_BATCH = 16
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class LearnConfig:
    """What decides a personal encoder, besides the pairs."""

    variant: Literal["expected", "sampled"] = "expected"
    beta: float = 0.2
    prior_weight: float = 0.16
    """Nats of loss per nat of KL(p_u || N(0, I)). With beta it holds the shift back while pairs are few: the ridge on
    beta * mean is prior_weight / beta^2 = 4, and 18 clear choices move the mean by 4.6."""
    max_norm: float = 5.0
    """The mean stays inside the cloud of real posteriors, whose mean norm is 4.8."""
    known_weight: float = 0.0
    """Weight of the latents that made the drafts, beside what the posteriors infer from the texts."""
    learn_scale: bool = False
    candidates: int = 16
    """Sampled variant: latents per source and pair, from the prior and both posteriors."""
    evidence_ratio: float = 0.5
    """Sampled variant: share of candidate pairs that is used, those with the largest reward gaps."""
    steps: int = 200
    rate: float = 0.05
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True)
class EncodedPairs:
    """Pairs as posteriors over z. Rows are pairs."""

    chosen: Posterior
    rejected: Posterior
    known: Tensor
    """[N, 2, D]: the latents that made chosen and rejected; NaN where PenPal did not make both."""
    weight: Tensor
    """[N]"""

    def __len__(self) -> int:
        return len(self.weight)

    def rows(self, index: Sequence[int]) -> EncodedPairs:
        at = torch.tensor(list(index), dtype=torch.long)
        chosen, rejected = (Posterior(p.mean[at], p.log_variance[at]) for p in (self.chosen, self.rejected))
        return EncodedPairs(chosen, rejected, self.known[at], self.weight[at])


@dataclass(frozen=True)
class Learned:
    """A trained encoder and how well it guesses choices it has not seen."""

    encoder: ShiftEncoder
    pairs: int
    accuracy: float
    """Cross-validated share of held-out pairs that it orders as the person did; 0.5 is guessing."""
    p_value: float
    """How probable such an accuracy is if the choices were coin flips."""
    seconds_encode: float
    seconds_train: float

    @property
    def shift(self) -> float:
        return float(np.linalg.norm(self.encoder.mean_vector))


class PosteriorEncoder:
    """q(z given x, y) of one backbone, without its language model: embedding, tokenizer, two layers."""

    def __init__(self, backbone: Backbone, clap: Arrays, cache_file: Path | None = None) -> None:
        from transformers import LlamaConfig

        self._tokenizer = LlamaModel(backbone.path, vocabulary_only=True)
        self._template = ChatTemplate(self._tokenizer.metadata("tokenizer.chat_template"))
        state = {
            name.removeprefix("encoder."): torch.from_numpy(array).float()
            for name, array in clap.items()
            if name.startswith("encoder.")
        }
        latent_size = len(state["head.bias"]) // 2
        layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
        config = LlamaConfig(**llama_shape(self._tokenizer))
        config._attn_implementation = "sdpa"
        self.encoder = LatentEncoder(
            config, token_embedding(backbone, cache_file), latent_size=latent_size, layers=layers
        )
        self.encoder.load_state_dict(state)
        self.encoder.eval()

    @torch.no_grad()
    def posteriors(
        self, texts: Sequence[tuple[Sequence[Message], str]], progress: Callable[[float], None] = lambda share: None
    ) -> Posterior:
        """[B]: posteriors of responses to conversations; batched by length, so that little is padding."""
        pairs = [(self._tokenizer.tokenize(self._template.render(x)), self._response_ids(y)) for x, y in texts]
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        parts: list[Posterior] = []
        for start in range(0, len(order), ENCODE_BATCH):
            parts.append(self.encoder([pairs[i] for i in order[start : start + ENCODE_BATCH]]))
            progress((start + ENCODE_BATCH) / len(order))
        back = torch.tensor(order).argsort()
        return Posterior(torch.cat([p.mean for p in parts])[back], torch.cat([p.log_variance for p in parts])[back])

    def _response_ids(self, text: str) -> list[int]:
        return self._tokenizer.tokenize(text)[:MAX_RESPONSE_TOKENS]

    def close(self) -> None:
        self._tokenizer.close()


def llama_shape(model: LlamaModel) -> dict[str, Any]:
    """The fields of a transformers `LlamaConfig` that the encoder's layers need, from the GGUF's metadata."""

    def field(name: str) -> str:
        value = model.metadata(name)
        if value is None:
            raise BackboneError(f"{model.path} lacks '{name}': PenPal needs a backbone of the llama family.")
        return value

    return {
        "hidden_size": int(field("llama.embedding_length")),
        "intermediate_size": int(field("llama.feed_forward_length")),
        "num_hidden_layers": int(field("llama.block_count")),
        "num_attention_heads": int(field("llama.attention.head_count")),
        "num_key_value_heads": int(field("llama.attention.head_count_kv")),
        "rms_norm_eps": float(field("llama.attention.layer_norm_rms_epsilon")),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(field("llama.rope.freq_base"))},
    }


def token_embedding(backbone: Backbone, cache_file: Path | None) -> Tensor:
    """[V, H]: the backbone's token embedding; kept as f16 in `cache_file`, since parsing the GGUF takes a second."""
    cached = read_cache(cache_file) if cache_file is not None else None
    if cached is not None:
        return torch.from_numpy(cached[0]["embedding"])
    from gguf import GGUFReader
    from gguf.quants import dequantize

    tensor = next(t for t in GGUFReader(backbone.path).tensors if t.name == "token_embd.weight")
    embedding = dequantize(tensor.data, tensor.tensor_type).astype(np.float16)
    if cache_file is not None:
        write_arrays(cache_file, {"embedding": embedding}, {"backbone": backbone.id})
    return torch.from_numpy(embedding)


def encode_pairs(pairs: Sequence[Pair], encoder: Callable[[], PosteriorEncoder], cache: PosteriorCache) -> EncodedPairs:
    """Posteriors of both sides of every pair; `encoder` is only made when the cache lacks some."""
    texts = [(pair.messages, side.text) for pair in pairs for side in (pair.chosen, pair.rejected)]
    both = cache.lookup(texts, encoder)
    chosen, rejected = (Posterior(both.mean[i::2], both.log_variance[i::2]) for i in (0, 1))
    unknown = [math.nan] * both.mean.shape[1]
    complete = [pair.chosen.z is not None and pair.rejected.z is not None for pair in pairs]
    known = [
        [pair.chosen.z, pair.rejected.z] if ok else [unknown, unknown] for pair, ok in zip(pairs, complete, strict=True)
    ]
    return EncodedPairs(chosen, rejected, torch.tensor(known), torch.tensor([pair.weight for pair in pairs]))


class PosteriorCache:
    """Posteriors by the hash of prompt and response, in one file per CLaP. Damaged or missing: made anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, tuple[Any, Any]] = {}
        if (cached := read_cache(path)) is not None:
            keys = [bytes(row).hex() for row in cached[0]["key"]]
            rows = zip(cached[0]["mean"], cached[0]["log_variance"], strict=True)
            self._rows = dict(zip(keys, rows, strict=True))

    def lookup(
        self, texts: Sequence[tuple[Sequence[Message], str]], encoder: Callable[[], PosteriorEncoder]
    ) -> Posterior:
        """[B]: posteriors of these texts, computed where they are not known yet."""
        keys = [text_key(messages, text) for messages, text in texts]
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}.items())
        if missing:
            new = encoder().posteriors([text for _, text in missing])
            rows = zip(new.mean.numpy(), new.log_variance.numpy(), strict=True)
            self._rows.update(dict(zip((key for key, _ in missing), rows, strict=True)))
            self._save()
        found = [self._rows[key] for key in keys]
        mean, log_variance = (torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True))
        return Posterior(mean, log_variance)

    def _save(self) -> None:
        mean, log_variance = (np.stack(part) for part in zip(*self._rows.values(), strict=True))
        keys = np.stack([np.frombuffer(bytes.fromhex(key), np.uint8) for key in self._rows])
        write_arrays(self._path, {"key": keys, "mean": mean, "log_variance": log_variance}, {})


def text_key(messages: Sequence[Message], text: str) -> str:
    """SHA-256 of a conversation and a response."""
    digest = hashlib.sha256()
    for part in (*(part for m in messages for part in (m.role, m.content)), text):
        digest.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return digest.hexdigest()


def train_shift(data: EncodedPairs, config: LearnConfig) -> Posterior:
    """The Gaussian p_u that latent DPO finds, starting at exactly N(0, I). [D] mean and log-variance."""
    torch.manual_seed(config.seed)
    latent_size = data.chosen.mean.shape[1]
    mean = torch.zeros(latent_size, requires_grad=True)
    log_variance = torch.zeros(latent_size, requires_grad=config.learn_scale)
    trained = [mean, log_variance] if config.learn_scale else [mean]
    pair_loss = PAIR_LOSSES[config.variant](data, config)
    optimizer = torch.optim.Adam(trained, lr=config.rate)
    for _ in range(config.steps):
        person = Posterior(mean, log_variance)
        loss = (data.weight * pair_loss(person)).sum() + config.prior_weight * latent_dpo.kl_to_prior(person)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        length = float(mean.norm())
        return Posterior(mean * min(1.0, config.max_norm / max(length, 1e-9)), log_variance.clone())


PairLoss = Callable[[Posterior], Tensor]
"""p_u to the loss [N] of every pair."""


def _expected_loss(data: EncodedPairs, config: LearnConfig) -> PairLoss:
    """Posteriors in closed form, and, where PenPal made both drafts, the latents that made them."""
    known = (~data.known.isnan()).all(-1).all(-1)
    z = data.known.nan_to_num()
    certain = torch.full_like(z[:, 0], -30.0)

    def loss(person: Posterior) -> Tensor:
        inferred = latent_dpo.expected_dpo_loss(data.chosen, data.rejected, person, beta=config.beta)
        if not config.known_weight:
            return inferred
        made = latent_dpo.expected_dpo_loss(
            Posterior(z[:, 0], certain), Posterior(z[:, 1], certain), person, beta=config.beta
        )
        return inferred + config.known_weight * known * made

    return loss


def _sampled_loss(data: EncodedPairs, config: LearnConfig) -> PairLoss:
    """The paper's candidates, drawn once."""
    z = latent_dpo.draw_candidates(data.chosen, data.rejected, per_source=config.candidates)
    reward = latent_dpo.latent_reward(z, data.chosen, data.rejected)
    keep = latent_dpo.selected(reward, evidence_ratio=config.evidence_ratio)
    under_prior = latent_dpo.log_density(z, latent_dpo.standard_normal(z.shape[-1]))

    def loss(person: Posterior) -> Tensor:
        log_ratio = latent_dpo.log_density(z, person) - under_prior
        return latent_dpo.sampled_dpo_loss(log_ratio, keep, beta=config.beta)

    return loss


PAIR_LOSSES = {"expected": _expected_loss, "sampled": _sampled_loss}


def ordered_rightly(person: Posterior, data: EncodedPairs) -> Tensor:
    """[N] bool: the pair's chosen posterior is the more probable one under p_u than its rejected one."""
    return latent_dpo.expected_log_ratio(data.chosen, person) > latent_dpo.expected_log_ratio(data.rejected, person)


def cross_validated(data: EncodedPairs, config: LearnConfig) -> float:
    """Share of pairs ordered rightly by an encoder that was trained without them."""
    order = list(range(len(data)))
    random.Random(config.seed).shuffle(order)
    folds = [order[i :: min(config.folds, len(order))] for i in range(min(config.folds, len(order)))]
    right = 0
    for held_out in folds:
        training = [i for i in order if i not in set(held_out)]
        person = train_shift(data.rows(training), config)
        right += int(ordered_rightly(person, data.rows(held_out)).sum())
    return right / len(data)


def coin_flip_p_value(accuracy: float, count: int) -> float:
    """One-sided binomial: the chance of at least this accuracy on so many pairs by guessing."""
    right = round(accuracy * count)
    return float(sum(math.comb(count, k) for k in range(right, count + 1)) / 2**count)


def learn(
    pairs: Sequence[Pair],
    encoder: Callable[[], PosteriorEncoder],
    cache: PosteriorCache,
    *,
    config: LearnConfig | None = None,
    progress: Progress = lambda stage, share: None,
) -> Learned:
    """Latent DPO on a person's pairs. Raises LearnError when there are too few."""
    if len(pairs) < MIN_PAIRS:
        raise LearnError(
            f"There is not enough to learn from: {len(pairs)} of {MIN_PAIRS} pairs. "
            "Pick, edit or star drafts in 'penpal chat', or label pairs in 'penpal rate'."
        )
    config = config or LearnConfig()
    started = time.monotonic()
    progress("Reading your choices", 0.0)
    data = encode_pairs(pairs, encoder, cache)
    encoded = time.monotonic()
    progress("Learning", 0.5)
    person = train_shift(data, config)
    trained = time.monotonic()
    progress("Checking on held-out choices", 0.7)
    accuracy = cross_validated(data, config)
    progress("Done", 1.0)
    return Learned(
        encoder=ShiftEncoder(person.mean.numpy(), person.log_variance.numpy()),
        pairs=len(pairs),
        accuracy=accuracy,
        p_value=coin_flip_p_value(accuracy, len(pairs)),
        seconds_encode=encoded - started,
        seconds_train=trained - encoded,
    )

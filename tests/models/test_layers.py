"""Layers of one's own: they start as the simpler encoder, learn what it cannot, and are what is drafted with."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import LearnError, PackError, UsageError
from core.evidence import Evidence, Side
from core.protocols import Message
from models import layers, learner, personal_layers, personalize, validation
from models.backbone import Backbone
from models.checkpoint import Arrays, read_arrays, write_arrays
from models.layers import LayeredResult, LayersConfig, layered_margins, train_layers
from models.learner import LearnConfig, Parts, Rows
from models.personal_encoder import GaussianEncoder
from models.text_encoder import TextEncoder
from models.text_vectors import TextVectors
from tests import tiny

ROOT = Path(__file__).parents[2]
D = tiny.LATENT_SIZE
WORDS = ("hope", "well", "miss", "walks", "love", "soon", "tell", "market", "opens", "train", "late", "rain", "cold")
FAST = LayersConfig(rate=1e-3, head_rate=2e-2, batch_pairs=32, epochs=5, patience=99)
LEARNING = LearnConfig()
Prompts = list[tuple[Message, ...]]


@pytest.fixture(scope="module")
def encoder(tiny_backbone: Backbone, tiny_clap: Arrays) -> Iterator[TextEncoder]:
    made = TextEncoder(tiny_backbone, tiny_clap)
    yield made
    made.close()


def asked(words: Sequence[str]) -> tuple[Message, ...]:
    return (Message("user", " ".join(words)),)


def people(
    encoder: TextEncoder, count: int, seed: int = 0, taste: Callable[[list[str]], bool] | None = None
) -> tuple[Rows, Prompts]:
    """Choices of somebody who likes one direction when `taste` holds of the prompt's words, and its opposite else."""
    draw = random.Random(seed)
    drawn = [[draw.choice(WORDS) for _ in range(4)] for _ in range(count)]
    likes = taste or (lambda words: words[0] < "m")
    difference = np.random.default_rng(seed).standard_normal((count, D))
    wanted = np.array([1 if likes(words) else -1 for words in drawn])
    difference *= (wanted * np.sign(difference[:, 0]))[:, None]
    prompts = [asked(words) for words in drawn]
    return rows_of(3 * difference, encoder.prompt_features(prompts)), prompts


def rows_of(difference: Any, features: Any) -> Rows:
    count = len(difference)
    return Rows(
        difference=difference, spread=np.random.default_rng(1).standard_normal((count, D)), weight=np.ones(count),
        tie=np.zeros(count, bool), turn=np.arange(count), context=("mail",) * count, features=features,
    )  # fmt: skip


def every_fifth(rows: Rows) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.arange(len(rows)) % 5 == 0


SHIFT = Parts(np.linspace(-1, 1, D), np.full(D, -0.2), {"mail": np.full(D, 0.1)})


def headed(encoder: TextEncoder, rows: Rows) -> Parts:
    assert rows.features is not None
    head = 0.3 * np.random.default_rng(5).standard_normal((tiny.HIDDEN, D))
    return replace(SHIFT, center=rows.features.mean(0, dtype=np.float64), head=head)


@pytest.fixture(scope="module")
def trained(encoder: TextEncoder) -> tuple[LayeredResult, Rows, Prompts]:
    rows, prompts = people(encoder, 400)
    return train_layers(rows, prompts, SHIFT, encoder, FAST, LEARNING, stop_on=every_fifth(rows)), rows, prompts


# --- where it starts, and what it learns ------------------------------------------------------------------------


@pytest.mark.parametrize("head", [False, True])
def test_it_starts_as_exactly_the_simpler_encoder(encoder: TextEncoder, head: bool) -> None:
    rows, prompts = people(encoder, 40)
    start = headed(encoder, rows) if head else SHIFT
    held_out = rows.take(every_fifth(rows))
    result = train_layers(
        rows, prompts, start, encoder, FAST, LEARNING, stop_on=every_fifth(rows), deadline=lambda: True
    )
    expected = validation.log_loss(start.margins(held_out), held_out, LEARNING).mean()
    assert result.losses == [(0, pytest.approx(expected, abs=1e-5))]
    assert result.steps == 0
    same = layered_margins(result.parts, encoder.with_layers(result.layers), rows, prompts, LEARNING.max_norm)
    np.testing.assert_allclose(same, start.margins(rows), atol=1e-4)


def test_torch_reads_prompts_as_the_numpy_encoder_does(encoder: TextEncoder) -> None:
    rows, prompts = people(encoder, 12)
    start = headed(encoder, rows)
    data = layers.TrainingData.of(rows, prompts, start, encoder, LEARNING, every_fifth(rows))
    place = personal_layers.Placement(torch.device("cpu"), False, "")
    model = personal_layers.PersonalLayers(encoder, data.vocabulary, start, place)
    found = model([data.ids[i] for i in data.prompt_of]).detach().numpy()
    np.testing.assert_allclose(found + data.fixed, start.means(rows), atol=2e-4)


def test_a_taste_that_depends_on_the_prompt_is_learned(
    encoder: TextEncoder, trained: tuple[LayeredResult, Rows, Prompts]
) -> None:
    result, *_ = trained
    unseen, prompts = people(encoder, 300, seed=99)
    margins = layered_margins(result.parts, encoder.with_layers(result.layers), unseen, prompts, LEARNING.max_norm)
    assert (SHIFT.margins(unseen) > 0).mean() < 0.6
    assert (margins > 0).mean() > 0.7
    assert result.loss_after < result.loss_before - 0.05


def test_random_labels_leave_the_simpler_encoder_in_place(encoder: TextEncoder) -> None:
    rows, prompts = people(encoder, 200, taste=lambda words: zlib.crc32(" ".join(words).encode()) % 2 == 0)
    rng = np.random.default_rng(3)
    rows = replace(rows, difference=rows.difference * rng.choice([-1, 1], (200, 1)))
    candidate = validation.cross_validated(rows, LEARNING)[1][0]
    assert not layers.trial(rows, prompts, candidate, encoder, LEARNING, replace(FAST, epochs=2)).better


def test_the_layers_themselves_change(encoder: TextEncoder, trained: tuple[LayeredResult, Rows, Prompts]) -> None:
    result, *_ = trained
    assert result.layers.keys() == encoder.layers.keys()
    assert all(array.dtype == np.float16 for array in result.layers.values())
    moved = [np.abs(result.layers[name] - encoder.layers[name]).max() for name in result.layers]
    assert min(moved) > 0


@pytest.mark.parametrize("variant", ["expected", "sampled", "marginal"])
@pytest.mark.parametrize("loss", ["dpo", "ipo", "hinge", "simpo", "kto"])
def test_the_gradient_is_that_of_what_newtons_method_minimises(
    encoder: TextEncoder, variant: learner.Variant, loss: learner.LossName
) -> None:
    rows, prompts = people(encoder, 6)
    rng = np.random.default_rng(0)
    rows = replace(
        rows, tie=np.arange(6) == 2, weight=rng.random(6), known=rng.standard_normal((6, D)),
        samples=rng.standard_normal((6, 3, D)).astype(np.float32),
    )  # fmt: skip
    learning = LearnConfig(variant=variant, loss=loss, known_weight=0.5, flip_rate=0.1)
    start = headed(encoder, rows)
    data = layers.TrainingData.of(rows, prompts, start, encoder, learning, np.zeros(6, bool))
    every, precision, at_start = np.arange(6), np.exp(-start.log_variance), start.means(rows)

    def objective(mu: learner.Array) -> float:
        found = learner.comparisons(rows, learning)
        margin = precision * mu[found.row] * found.difference
        margin = margin if variant == "marginal" else margin.sum(1, keepdims=True)
        margin = margin + (found.offset + found.spread @ (1 - precision))[:, None]
        value = learner.preference_terms(margin, found.tie[:, None], learning).value
        prior = 0.5 * (mu**2).sum() + 0.5 * 16 * ((mu - at_start) ** 2).sum()
        return float(found.weight @ value.sum(1) + learning.prior_weight / 6 * prior)

    mu = at_start + 0.1 * rng.standard_normal((6, D))
    gradient = data.gradient(mu, every, 16.0)
    for row, d in itertools.product(range(6), (0, D - 1)):
        step = np.zeros_like(mu)
        step[row, d] = 1e-5
        by_difference = (objective(mu + step) - objective(mu - step)) / 2e-5
        assert gradient[row, d] == pytest.approx(by_difference, rel=1e-3, abs=1e-6)


def test_a_batch_read_in_parts_gives_the_gradient_of_the_whole(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, prompts = people(encoder, 30)
    prompts = [asked(["rain"] * (1 + 2 * (i % 5))) if i % 2 else prompts[i] for i in range(30)]
    start = headed(encoder, rows)
    data = layers.TrainingData.of(rows, prompts, start, encoder, LEARNING, every_fifth(rows))
    assert len(data.prompts) == 15 + 5
    place = personal_layers.Placement(torch.device("cpu"), False, "")

    def gradients() -> list[torch.Tensor]:
        model = personal_layers.PersonalLayers(encoder, data.vocabulary, start, place)
        layers.accumulate(model, data, data.train, FAST, lambda: calls.append(1), lambda: False)
        return [p.grad for p in model.trained().values() if p.grad is not None]

    calls: list[int] = []
    whole = gradients()
    assert len(calls) == 1
    monkeypatch.setattr(layers, "BATCH_TOKENS", 60)
    parts = gradients()
    assert len(calls) > 4
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-3)


# --- a run that is stopped --------------------------------------------------------------------------------------


class StoppedError(Exception):
    pass


def test_a_killed_run_goes_on_to_the_same_weights(
    encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "CHECKPOINT_EVERY_S", -1.0)
    rows, prompts = people(encoder, 100)
    config, checkpoint = replace(FAST, epochs=3), tmp_path / "layers.checkpoint"
    calls = itertools.count()

    def killed() -> None:
        if next(calls) == 9:
            raise StoppedError

    def run(between: Callable[[], None], checkpoint: Path | None) -> LayeredResult:
        return train_layers(
            rows, prompts, SHIFT, encoder, config, LEARNING, stop_on=every_fifth(rows), checkpoint=checkpoint,
            between=between,
        )  # fmt: skip

    with pytest.raises(StoppedError):
        run(killed, checkpoint)
    assert 0 < read_arrays(checkpoint)[1]["step"] < 9
    steps: list[None] = []
    resumed, whole = run(lambda: steps.append(None), checkpoint), run(lambda: None, None)
    assert 0 < len(steps) < 9 + len(whole.losses)
    assert resumed.losses == whole.losses
    assert resumed.steps == whole.steps == 9
    np.testing.assert_array_equal(resumed.parts.head, whole.parts.head)
    for name, array in whole.layers.items():
        np.testing.assert_array_equal(resumed.layers[name], array)
    steps.clear()
    assert run(lambda: steps.append(None), checkpoint).losses == whole.losses
    assert steps == []  # it was finished


@pytest.mark.parametrize("kept", ["damaged", "of another run"])
def test_a_checkpoint_of_no_use_is_written_anew(encoder: TextEncoder, tmp_path: Path, kept: str) -> None:
    rows, prompts = people(encoder, 50)
    checkpoint = tmp_path / "layers.checkpoint"
    if kept == "damaged":
        checkpoint.write_bytes(b"no weights")
    else:
        write_arrays(checkpoint, {}, {"run": "other", "step": 1})
    config = replace(FAST, epochs=1)
    result = train_layers(
        rows, prompts, SHIFT, encoder, config, LEARNING, stop_on=every_fifth(rows), checkpoint=checkpoint
    )
    assert read_arrays(checkpoint)[1]["step"] == result.steps == 2


def test_a_deadline_ends_it_with_the_best_so_far(encoder: TextEncoder) -> None:
    rows, prompts = people(encoder, 200)
    calls = itertools.count()
    result = train_layers(
        rows, prompts, SHIFT, encoder, FAST, LEARNING, stop_on=every_fifth(rows), deadline=lambda: next(calls) >= 4
    )
    assert result.steps == 4
    assert result.loss_after <= result.loss_before
    assert all(step <= 4 for step, _ in result.losses)


def test_no_better_answer_for_a_while_ends_it(encoder: TextEncoder) -> None:
    rows, prompts = people(encoder, 100, taste=lambda words: len(words) == 4)
    wild = LayersConfig(rate=0.1, head_rate=10.0, batch_pairs=16, epochs=10, patience=2)
    start = learner.fit(rows, learner.Design(), LEARNING)
    result = train_layers(rows, prompts, start, encoder, wild, LEARNING, stop_on=every_fifth(rows))
    assert result.steps < 10 * 5
    assert result.loss_after == result.loss_before
    np.testing.assert_array_equal(result.parts.head, 0)


def test_a_device_that_is_not_there_is_refused_in_words() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no device 'cuda'"):
            personal_layers.placement("cuda")
    assert personal_layers.placement("cpu").why.startswith("cpu (as asked), ")


# --- files ------------------------------------------------------------------------------------------------------


def test_what_is_loaded_drafts_with_the_mean_that_torch_trained(
    encoder: TextEncoder, trained: tuple[LayeredResult, Rows, Prompts], tmp_path: Path
) -> None:
    result, rows, prompts = trained
    GaussianEncoder(result.parts, layers=result.layers).save(tmp_path / "mine", {"backbone": "x"})
    loaded, about = GaussianEncoder.load(tmp_path / "mine", latent_size=D)
    assert about == {"backbone": "x"}
    assert loaded.layers is not None
    text = encoder.with_layers(loaded.layers)
    reading = loaded.reading(lambda messages: text.prompt_features([messages])[0])
    model = personal_layers.PersonalLayers(
        text, np.arange(tiny.VOCAB_SIZE), result.parts, personal_layers.Placement(torch.device("cpu"), False, "")
    )
    shift = model([encoder.prompt_ids(messages) for messages in prompts[:20]]).detach().numpy()
    expected = replace(result.parts, head=None).means(rows)[:20] + shift
    for messages, mean in zip(prompts, expected, strict=False):
        if np.linalg.norm(mean) < 4.9:  # a longer one is cut
            np.testing.assert_allclose(reading.mean(messages, "mail"), mean, atol=1e-3)
    half = reading.scaled(0.5)
    assert half.layers is reading.layers
    short = next(m for m, mean in zip(prompts, expected, strict=False) if np.linalg.norm(mean) < 4.9)
    np.testing.assert_allclose(2 * half.mean(short, "mail"), reading.mean(short, "mail"), atol=1e-4)


def changed(arrays: Arrays, name: str, array: Any) -> Arrays:
    kept = {key: value for key, value in arrays.items() if key != name}
    return kept if array is None else kept | {name: array}


HALF = np.float16


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("norm.weight", None, r"norm\.weight is absent, float16\[64\] was expected"),
        ("norm.weight", np.ones(63, HALF), r"norm\.weight is float16\[63\], float16\[64\] was expected"),
        ("norm.weight", np.ones(64, np.float32), r"norm\.weight is float32\[64\]"),
        ("norm.weight", np.full(64, np.nan, HALF), "norm.weight holds values that no training makes"),
        ("norm.weight", np.full(64, 101, HALF), "norm.weight holds values that no training makes"),
        ("layers.1.mlp.down_proj.weight", np.ones((128, 64), HALF), r"float16\[64, 128\] was expected"),
        ("layers.1.self_attn.q_proj.weight", None, "q_proj.weight is absent"),
        ("layers.0.self_attn.k_proj.weight", None, "absent was expected"),
        ("layers.0.self_attn.k_proj.weight", np.ones((), HALF), "absent was expected"),
        ("layers.3.self_attn.k_proj.weight", np.ones((32, 64), HALF), "layers.2.input_layernorm.weight is absent"),
        ("layers.0.self_attn.q_proj.bias", np.ones(64, HALF), "bias is float16.64., absent was expected"),
        ("layers.x\n.weight", np.ones(64, HALF), "expected"),
        ("head", None, "absent was expected"),
        ("center", np.ones(20_000, np.float32), "absent was expected"),
    ],
)
def test_misshapen_layers_are_refused_in_one_line(
    trained: tuple[LayeredResult, Rows, Prompts], tmp_path: Path, name: str, array: Any, said: str
) -> None:
    result, *_ = trained
    GaussianEncoder(result.parts, layers=result.layers).save(tmp_path / "mine", {})
    arrays = changed(read_arrays(tmp_path / "mine")[0], name, array)
    with pytest.raises(PackError, match=said) as refused:
        GaussianEncoder.from_arrays(arrays, latent_size=D, source="me.penpal")
    assert str(refused.value).startswith("me.penpal: ")
    assert "\n" not in str(refused.value)


def test_too_many_layers_are_refused(trained: tuple[LayeredResult, Rows, Prompts]) -> None:
    result, *_ = trained
    five = {n.replace("layers.0", f"layers.{i}"): a for n, a in result.layers.items() for i in range(5)}
    arrays = {"mean": np.zeros(D), "log_variance": np.zeros(D), "head": result.parts.head, "center": np.zeros(64)}
    with pytest.raises(PackError, match="absent was expected"):
        GaussianEncoder.from_arrays(
            {n: np.asarray(a, np.float32) for n, a in arrays.items()} | five, latent_size=D, source="x"
        )


def test_layers_of_another_backbone_are_refused_when_they_are_used(encoder: TextEncoder) -> None:
    narrower = {name: array[: len(array) // 2] for name, array in encoder.layers.items()}
    with pytest.raises(PackError, match=r"personal layers cannot be used\..*it should be") as refused:
        encoder.with_layers(narrower)
    assert "\n" not in str(refused.value)


# --- the run ----------------------------------------------------------------------------------------------------


class Memory:
    """Vectors in a dictionary: `models.text_vectors.VectorStore`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def vectors(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self.kept[space, key] for key in keys if (space, key) in self.kept}

    def add_vectors(self, space: str, vectors: Mapping[str, bytes]) -> None:
        self.kept |= {(space, key): value for key, value in vectors.items()}


@pytest.fixture
def vectors(encoder: TextEncoder) -> TextVectors:
    return TextVectors(Memory(), "clap", lambda: encoder, latent_size=D, hidden_size=tiny.HIDDEN)


def evidence(count: int) -> list[Evidence]:
    draw = random.Random(4)
    found = []
    for i in range(count):
        words, liked = [draw.choice(WORDS) for _ in range(4)], draw.sample(WORDS, 6)
        texts = sorted([" ".join(liked[:3]) * 3, " ".join(liked[3:]) * 2], reverse=words[0] < "m")
        found.append(
            Evidence(
                asked(words), Side(texts[0], None), Side(texts[1], None), "pick", 1.0, "", "mail", turn_id=i, act_id=i
            )
        )
    return found


def test_with_enough_evidence_layers_are_tried_and_kept_only_when_better(
    vectors: TextVectors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(learner, "MIN_ROWS_FOR_LAYERS", 60)
    monkeypatch.setattr(personalize, "ALIKE", 0.0)
    told = evidence(80)
    config = LearnConfig(half_life=1e9)
    checkpoint = tmp_path / "checkpoint"
    tried = personalize.learn(told, vectors, config=config, checkpoint=checkpoint)
    assert "layers" in tried.capacities
    assert checkpoint.is_file()
    assert (tried.encoder.layers is not None) == (tried.capacity == "layers")
    fixed = personalize.learn(told, vectors, config=config, fixed_capacity="layers")
    assert fixed.capacity == "layers"
    assert fixed.encoder.layers is not None
    assert fixed.capacities["layers"] == tried.capacities["layers"]
    assert "layers" not in personalize.learn(told[:40], vectors, config=config).capacities
    few = LearnConfig(half_life=5)
    assert "layers" not in personalize.learn(told, vectors, config=few).capacities
    with pytest.raises(LearnError, match="too little evidence for an encoder with capacity 'layers'"):
        personalize.learn(told[:20], vectors, config=config, fixed_capacity="layers")


def test_an_active_encoder_with_layers_is_asked_with_them(
    vectors: TextVectors, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personalize, "ALIKE", 0.0)
    told, config = evidence(80), LearnConfig(half_life=1e9)
    rows = personalize.rows_of(told, vectors, config)
    assert rows.features is not None
    flipped = {name: (-array if "o_proj" in name else array) for name, array in encoder.layers.items()}
    own = vectors.with_layers(flipped)
    prompts = [e.messages for e in told]
    assert np.abs(own.features(prompts) - vectors.features(prompts)).max() > 0.1
    alone = encoder.with_layers(flipped).prompt_features(prompts[:3])
    np.testing.assert_allclose(own.features(prompts[:3]), alone, atol=1e-5)
    np.testing.assert_array_equal(own.posteriors([(prompts[0], "x")]), vectors.posteriors([(prompts[0], "x")]))
    active = headed(encoder, rows)
    expected = active.margins(replace(rows, features=own.features(prompts)))
    learned = personalize.learn(told, vectors, config=config, active=active, active_saw_act=-1, active_vectors=own)
    assert learned.unseen_active.right == (expected > 0).sum()
    assert learned.unseen_active.count == 80


def test_torch_is_imported_for_layers_only() -> None:
    code = "import sys, models.personalize, models.fast_path, models.personal_encoder; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.returncode) == ("False\n", 0), run.stderr

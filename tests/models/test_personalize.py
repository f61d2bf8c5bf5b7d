"""What a person's pairs teach, on made-up posteriors; and that the language model is never run for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from core.errors import LearnError
from core.feedback import Pair, Side
from core.protocols import Message
from models import personalize
from models.backbone import Backbone, ChatTemplate
from models.checkpoint import Arrays
from models.decoder_llama import LlamaDecoder
from models.encoder import LatentEncoder, Posterior
from models.latent_dpo import kl_to_prior
from models.llama_runtime import LlamaContext, LlamaModel
from models.personalize import EncodedPairs, LearnConfig, PosteriorCache, PosteriorEncoder, learn, train_shift
from tests import tiny

D = 32
HELLO = (Message("user", "Hello"),)


def encoded(count: int, seed: int, choose: Callable[[torch.Tensor, torch.Tensor], bool]) -> EncodedPairs:
    """Pairs of posteriors with means from the prior; `choose(a, b)` says whether the person prefers a."""
    random = torch.Generator().manual_seed(seed)
    means = torch.randn(count, 2, D, generator=random)
    first = torch.tensor([choose(a, b) for a, b in means])
    chosen = torch.where(first[:, None], means[:, 0], means[:, 1])
    rejected = torch.where(first[:, None], means[:, 1], means[:, 0])
    narrow = torch.full((count, D), -3.0)
    return EncodedPairs(
        Posterior(chosen, narrow), Posterior(rejected, narrow), torch.full((count, 2, D), math.nan), torch.ones(count)
    )


def direction(seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(D, generator=torch.Generator().manual_seed(1000 + seed))
    return drawn / drawn.norm()


def liking(taste: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor], bool]:
    return lambda a, b: bool((a - b) @ taste > 0)


def coin(seed: int) -> Callable[[torch.Tensor, torch.Tensor], bool]:
    random = torch.Generator().manual_seed(seed)
    return lambda a, b: bool(torch.rand(1, generator=random) < 0.5)


@pytest.fixture(params=["expected", "sampled"])
def config(request: pytest.FixtureRequest) -> LearnConfig:
    return LearnConfig(variant=request.param)


def test_before_the_first_step_a_person_is_exactly_the_prior(config: LearnConfig) -> None:
    start = train_shift(encoded(8, 0, coin(0)), LearnConfig(variant=config.variant, steps=0))
    assert start.mean.tolist() == start.log_variance.tolist() == [0.0] * D
    assert kl_to_prior(start).item() == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_a_known_direction_is_learned(config: LearnConfig, seed: int) -> None:
    taste = direction(seed)
    found = train_shift(encoded(120, seed, liking(taste)), config).mean
    assert torch.cosine_similarity(found, taste, dim=0) > 0.7
    assert found.norm() > 0.5


def test_what_was_learned_orders_pairs_it_has_not_seen(config: LearnConfig) -> None:
    taste = direction()
    person = train_shift(encoded(120, 0, liking(taste)), config)
    assert personalize.ordered_rightly(person, encoded(200, 99, liking(taste))).float().mean() > 0.75


def test_more_pairs_move_further() -> None:
    taste, free = direction(), LearnConfig(max_norm=100)
    lengths = [train_shift(encoded(n, 0, liking(taste)), free).mean.norm().item() for n in (4, 30, 240)]
    assert lengths == sorted(lengths)


def test_the_shift_is_never_longer_than_allowed(config: LearnConfig) -> None:
    free = LearnConfig(variant=config.variant, prior_weight=0, rate=0.5)
    held = LearnConfig(variant=config.variant, prior_weight=0, rate=0.5, max_norm=1.5)
    data = encoded(40, 0, liking(direction()))
    assert train_shift(data, free).mean.norm() <= free.max_norm + 1e-4
    assert train_shift(data, held).mean.norm().item() == pytest.approx(1.5, abs=1e-4)


def test_a_pair_without_weight_teaches_nothing(config: LearnConfig) -> None:
    data = encoded(8, 0, liking(direction()))
    silent = EncodedPairs(data.chosen, data.rejected, data.known, torch.zeros(8))
    assert train_shift(silent, config).mean.abs().max() < 1e-6


def test_training_twice_gives_the_same(config: LearnConfig) -> None:
    data = encoded(20, 0, liking(direction()))
    assert torch.equal(train_shift(data, config).mean, train_shift(data, config).mean)


def test_coin_flips_are_mostly_recognised_as_such() -> None:
    quick = LearnConfig(steps=60)
    p_values = []
    for seed in range(10):
        accuracy = personalize.cross_validated(encoded(40, seed, coin(seed)), quick)
        p_values.append(personalize.coin_flip_p_value(accuracy, 40))
    assert sum(p > 0.1 for p in p_values) >= 8


def test_a_taste_is_recognised_as_one() -> None:
    accuracy = personalize.cross_validated(encoded(60, 0, liking(direction())), LearnConfig(steps=60))
    assert personalize.coin_flip_p_value(accuracy, 60) < 0.05


@pytest.mark.parametrize(("right", "count", "expected"), [(10, 10, 2**-10), (0, 10, 1), (5, 10, 0.623), (3, 4, 5 / 16)])
def test_p_value_by_hand(right: int, count: int, expected: float) -> None:
    assert personalize.coin_flip_p_value(right / count, count) == pytest.approx(expected, abs=1e-3)


# --- the posterior encoder, on the tiny backbone ----------------------------------------------------------------


@pytest.fixture(scope="module")
def posterior_encoder(tiny_backbone: Backbone, tiny_clap: Arrays) -> Iterator[PosteriorEncoder]:
    made = PosteriorEncoder(tiny_backbone, tiny_clap)
    yield made
    made.close()


TEXTS = [
    (HELLO, " I hope you are well."),
    ((Message("user", "Write to the neighbours about the garden"),), "No."),
    (HELLO, "Thank you! 🙂 " * 10),
]


def trained_encoder(clap: Arrays) -> LatentEncoder:
    lm = tiny.tiny_lm()
    made = LatentEncoder(lm.config, lm.model.embed_tokens.weight, latent_size=tiny.LATENT_SIZE, layers=2)
    state = {
        name.removeprefix("encoder."): torch.from_numpy(a).float() for name, a in clap.items() if "encoder" in name
    }
    made.load_state_dict(state)
    return made


def test_posterior_encoder_gives_what_the_trained_encoder_gives(
    posterior_encoder: PosteriorEncoder, tiny_backbone: Backbone, tiny_clap: Arrays
) -> None:
    tokenizer, template = LlamaModel(tiny_backbone.path), ChatTemplate(tiny.CHAT_TEMPLATE)
    pairs = [(tokenizer.tokenize(template.render(x)), tokenizer.tokenize(y)) for x, y in TEXTS]
    tokenizer.close()
    with torch.no_grad():
        expected = trained_encoder(tiny_clap)(pairs)
    found = posterior_encoder.posteriors(TEXTS)
    torch.testing.assert_close(found.mean, expected.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.log_variance, expected.log_variance, atol=1e-4, rtol=1e-4)


def test_posteriors_come_back_in_the_order_of_the_texts(posterior_encoder: PosteriorEncoder) -> None:
    texts = TEXTS * 7  # more than one batch
    found = posterior_encoder.posteriors(texts).mean
    torch.testing.assert_close(found[:3], found[-3:], atol=1e-4, rtol=1e-4)


def test_embedding_kept_in_a_file_is_the_one_of_the_gguf(tiny_backbone: Backbone, tmp_path: Path) -> None:
    kept = tmp_path / "embedding"
    first = personalize.token_embedding(tiny_backbone, kept)
    again = personalize.token_embedding(Backbone(Path("nowhere"), "x"), kept)
    assert torch.equal(first, again)
    assert torch.equal(first.float(), tiny.tiny_lm().model.embed_tokens.weight)


def unneeded() -> PosteriorEncoder:
    raise AssertionError("everything was in the cache")


def test_what_is_cached_is_not_encoded_again(posterior_encoder: PosteriorEncoder, tmp_path: Path) -> None:
    path = tmp_path / "posteriors"
    first = PosteriorCache(path).lookup(TEXTS, lambda: posterior_encoder)
    again = PosteriorCache(path).lookup([*reversed(TEXTS), TEXTS[0]], unneeded)
    torch.testing.assert_close(again.mean, first.mean[[2, 1, 0, 0]], rtol=0, atol=0)
    torch.testing.assert_close(again.log_variance, first.log_variance[[2, 1, 0, 0]], rtol=0, atol=0)


def test_only_what_is_new_is_encoded(
    posterior_encoder: PosteriorEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PosteriorCache(tmp_path / "posteriors")
    cache.lookup(TEXTS[:2], lambda: posterior_encoder)
    asked: list[Any] = []
    posteriors = posterior_encoder.posteriors
    monkeypatch.setattr(posterior_encoder, "posteriors", lambda texts: (asked.extend(texts), posteriors(texts))[1])
    cache.lookup(TEXTS, lambda: posterior_encoder)
    assert asked == TEXTS[2:]


def test_a_damaged_cache_is_made_anew(posterior_encoder: PosteriorEncoder, tmp_path: Path) -> None:
    path = tmp_path / "posteriors"
    path.write_bytes(b"half a file")
    PosteriorCache(path).lookup(TEXTS, lambda: posterior_encoder)
    PosteriorCache(path).lookup(TEXTS, unneeded)


def test_a_texts_key_tells_prompt_from_response_and_role_from_content() -> None:
    key = personalize.text_key
    split = {key([Message("user", "ab")], "c"), key([Message("user", "a")], "bc"), key([Message("system", "ab")], "c")}
    assert len(split) == 3
    assert key(HELLO, "x") == key([*HELLO], "x")


# --- the whole run ----------------------------------------------------------------------------------------------


def pair(number: int, z: tuple[float, ...] | None = None) -> Pair:
    short, long = Side("No.", z), Side(f"Thank you for the garden, number {number}! " * 3, z)
    return Pair(HELLO, short, long, "pick", 1.0, number)


@pytest.fixture
def no_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes or loads one is caught."""

    def caught(*_: object, **__: object) -> None:
        raise AssertionError("personalization ran the language model")

    monkeypatch.setattr(transformers.LlamaForCausalLM, "__init__", caught)
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", caught)
    monkeypatch.setattr(LlamaDecoder, "__init__", caught)
    monkeypatch.setattr(LlamaContext, "__init__", caught)
    opened = LlamaModel.__init__

    def vocabulary_only(self: LlamaModel, path: Path, **options: Any) -> None:
        assert options.get("vocabulary_only"), "personalization loaded the weights"
        opened(self, path, **options)

    monkeypatch.setattr(LlamaModel, "__init__", vocabulary_only)


@pytest.mark.usefixtures("no_language_model")
def test_learning_never_touches_the_language_model(tiny_backbone: Backbone, tiny_clap: Arrays, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    learned = learn(
        [pair(i) for i in range(12)],
        lambda: PosteriorEncoder(tiny_backbone, tiny_clap, tmp_path / "embedding"),
        PosteriorCache(tmp_path / "posteriors"),
        config=LearnConfig(steps=50),
        progress=lambda stage, share: told.append((stage, share)),
    )
    assert learned.pairs == 12
    assert learned.accuracy > 0.9  # always the short one: easy even for an untrained encoder
    assert learned.p_value < 0.01
    assert 0 < learned.shift <= LearnConfig().max_norm + 1e-4
    assert told[0][1] == 0
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1][1] == 1


def test_the_latents_that_made_both_drafts_are_kept_beside_the_posteriors(
    posterior_encoder: PosteriorEncoder, tmp_path: Path
) -> None:
    z = tuple(float(i) for i in range(tiny.LATENT_SIZE))
    data = personalize.encode_pairs(
        [pair(1, z), pair(2)], lambda: posterior_encoder, PosteriorCache(tmp_path / "posteriors")
    )
    assert data.known[0].tolist() == [list(z), list(z)]
    assert data.known[1].isnan().all()
    assert len(data) == 2
    assert np.isfinite(data.chosen.mean.numpy()).all()


@pytest.mark.parametrize("count", [0, personalize.MIN_PAIRS - 1])
def test_too_few_pairs_say_how_many_are_needed(count: int, tmp_path: Path) -> None:
    with pytest.raises(LearnError, match=f"{count} of {personalize.MIN_PAIRS}"):
        learn([pair(i) for i in range(count)], unneeded, PosteriorCache(tmp_path / "posteriors"))

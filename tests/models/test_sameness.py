"""The direction along which drafts become alike: planted and found, kept beside its CLaP, never taken from another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from core.files import file_sha256
from core.protocols import Chunk, DraftRequest, Message, Sampling
from models import sameness
from models.checkpoint import write_arrays
from models.learner import Array
from tests.hooked_decoder import HookedDecoder

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "models" / "pretrained" / "smollm2-135m-instruct.clap.safetensors"
CLAP_ID = "c" * 64


def test_commonness_by_hand() -> None:
    """'thank you' occurs three times in all, the other pairs once."""
    found = sameness.commonness(["thank you", "thank you so", "so thank you", "one", ""])
    assert found == pytest.approx([np.log(3), np.log(3) / 2, np.log(3) / 2, 0, 0])


def phrased(lean: Array, rng: np.random.Generator) -> list[str]:
    """The larger `lean` [N], the more of a text is one common phrase; the rest is never the same."""
    common = 1 / (1 + np.exp(-2 * lean))
    return [
        " ".join("I am so happy" if rng.random() < share else f"word{rng.integers(10**6)}" for _ in range(12))
        for share in common
    ]


def planted(direction: Array, count: int = 150) -> tuple[Array, list[str]]:
    """Latents, and texts that are the more alike the further their latents lie this way."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((count, len(direction)))
    return latents, phrased(latents @ direction, rng)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_direction_is_found(seed: int) -> None:
    drawn = np.random.default_rng(seed).standard_normal(8)
    direction = drawn / np.linalg.norm(drawn)
    found = sameness.sameness_direction(*planted(direction))
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found @ direction > 0.9


def test_where_the_latents_lie_does_not_matter() -> None:
    latents, texts = planted(np.eye(4)[0])
    there = sameness.sameness_direction(latents, texts)
    np.testing.assert_allclose(sameness.sameness_direction(latents + 100, texts), there, atol=1e-6)


def test_where_no_word_pair_is_common_there_is_no_direction() -> None:
    latents = np.random.default_rng(0).standard_normal((5, 3))
    texts = [f"one{i} two{i} three{i}" for i in range(5)]
    assert not sameness.sameness_direction(latents, texts).any()


class Phrasing(HookedDecoder):
    """The further a latent lies along its first axis, the more a draft is one common phrase."""

    def generate(
        self,
        messages: Sequence[Message],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        latents = np.stack([request.z for request in requests if request.z is not None])
        self.texts = phrased(latents[:, 0].astype(np.float64), np.random.default_rng(len(self.asked)))
        return super().generate(messages, requests, sampling, cancelled=cancelled, on_prefill=on_prefill)


def test_it_is_measured_on_a_decoders_own_drafts() -> None:
    shares: list[float] = []
    decoder = Phrasing()
    prompts = [f"Thing {i}" for i in range(40)]
    found = sameness.measure(decoder, prompts, 6, Sampling(), shares.append)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found[0] > 0.9
    assert [messages for messages, _ in decoder.asked] == [[Message("user", prompt)] for prompt in prompts]
    assert {len(requests) for _, requests in decoder.asked} == {sameness.LATENTS_PER_PROMPT}
    assert shares == [pytest.approx((i + 1) / 40) for i in range(40)]
    np.testing.assert_array_equal(sameness.measure(Phrasing(), prompts, 6, Sampling()), found)


# --- the file ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clap(tmp_path: Path) -> Path:
    return tmp_path / "some.clap.safetensors"


DIRECTION = np.array([0.6, 0.0, -0.8])


def test_what_is_saved_is_loaded(clap: Path) -> None:
    sameness.save(DIRECTION, sameness.beside(clap), CLAP_ID)
    assert sameness.beside(clap).name == "some.clap.sameness.safetensors"
    found = sameness.load(clap, CLAP_ID, 3)
    assert found is not None
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, DIRECTION, atol=1e-7)


def test_one_that_leads_nowhere_is_kept_too(clap: Path) -> None:
    sameness.save(0 * DIRECTION, sameness.beside(clap), CLAP_ID)
    found = sameness.load(clap, CLAP_ID, 3)
    assert found is not None
    assert not found.any()


def test_one_that_was_never_measured_is_none(clap: Path) -> None:
    assert sameness.load(clap, CLAP_ID, 3) is None


def test_that_of_another_clap_is_refused(clap: Path) -> None:
    sameness.save(DIRECTION, sameness.beside(clap), "d" * 64)
    assert sameness.load(clap, CLAP_ID, 3) is None


def test_half_a_file_is_refused(clap: Path) -> None:
    sameness.save(DIRECTION, sameness.beside(clap), CLAP_ID)
    file = sameness.beside(clap)
    file.write_bytes(file.read_bytes()[:-4])
    assert sameness.load(clap, CLAP_ID, 3) is None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mean", [0.6, 0.0, -0.8]),
        ("direction", [0.6, -0.8]),
        ("direction", [[0.6, 0.0, -0.8]]),
        ("direction", [np.nan, 0.0, 1.0]),
        ("direction", [np.inf, 0.0, 0.0]),
        ("direction", [6.0, 0.0, -8.0]),
    ],
)
def test_what_is_no_direction_is_refused(clap: Path, name: str, values: list[float]) -> None:
    """One longer than 1 would not be left out of a voice but turned round in it."""
    write_arrays(sameness.beside(clap), {name: np.array(values, np.float32)}, {"clap": CLAP_ID})
    assert sameness.load(clap, CLAP_ID, 3) is None


def test_the_released_clap_has_its_own() -> None:
    found = sameness.load(RELEASED, file_sha256(RELEASED), 32)
    assert found is not None
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)

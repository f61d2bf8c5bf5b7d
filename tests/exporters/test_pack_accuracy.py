"""What the small form of a pack costs over the embedded backbone: bytes, and held-out choices foreseen.

Slow: layers are really trained, from the released CLaP's, on a taste that depends on the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from core.protocols import Message
from core.store import EncoderRecord
from exporters.pack import Space, export_pack, read_pack
from models import learner
from models.backbone import open_backbone
from models.checkpoint import read_arrays
from models.layers import LayersConfig, layered_margins, train_layers
from models.learner import LearnConfig, Parts, Rows
from models.personal_encoder import GaussianEncoder
from models.text_encoder import LAYERS, TextEncoder
from models.writing_tasks import writing_tasks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RELEASED = Path(__file__).parents[2] / "models" / "pretrained" / "smollm2-135m-instruct.clap.safetensors"
D = 32
TRAINED_ON, ASKED, ROWS_EACH = 160, 80, 5
MAX_LOST = 0.005
"""Half a point of accuracy."""
Prompt = tuple[Message, ...]


@dataclass(frozen=True)
class Taught:
    """Encoders that were trained, and choices about prompts that they were trained without."""

    encoder: TextEncoder
    layered: GaussianEncoder
    headed: GaussianEncoder
    rows: Rows
    prompts: list[Prompt]

    def accuracy(self, voice: GaussianEncoder) -> float:
        reader = self.encoder if voice.layers is None else self.encoder.with_layers(voice.layers)
        return float((layered_margins(voice.parts, reader, self.rows, self.prompts, 5.0) > 0).mean())


def choices(prompts: list[Prompt], features: np.ndarray, each: int, seed: int) -> Rows:  # type: ignore[type-arg]
    """Choices of somebody who likes one direction when a task begins with A to L, and its opposite else, mostly."""
    draw = np.random.default_rng(seed)
    at = np.repeat(np.arange(len(prompts)), each)
    likes = np.array([1.0 if prompts[i][0].content < "M" else -1.0 for i in at])
    difference = draw.standard_normal((len(at), D))
    difference[:, 1] += 0.5  # what is liked everywhere
    wanted = likes * difference[:, 0] + difference[:, 1] > 0
    difference[~wanted] *= -1
    return Rows(
        difference=2 * difference, spread=np.zeros_like(difference), weight=np.ones(len(at)),
        tie=np.zeros(len(at), bool), turn=at, context=("other",) * len(at), features=features[at],
    )  # fmt: skip


@pytest.fixture(scope="module")
def taught() -> Iterator[Taught]:
    encoder = TextEncoder(open_backbone(), read_arrays(RELEASED)[0])
    tasks = writing_tasks("held_out", limit=TRAINED_ON + ASKED)
    prompts: list[Prompt] = [(Message("user", task),) for task in tasks]
    features = encoder.prompt_features(prompts)
    seen = choices(prompts[:TRAINED_ON], features[:TRAINED_ON], ROWS_EACH, 1)
    asked = choices(prompts[TRAINED_ON:], features[TRAINED_ON:], 25, 2)
    config = LearnConfig()
    head, start = (
        learner.within(learner.fit(seen, learner.designs(seen)[capacity], config), config.max_norm)
        for capacity in ("head", "shift")
    )
    result = train_layers(
        seen, [prompts[i] for i in seen.turn], start, encoder,
        LayersConfig(rate=5e-4, epochs=4, patience=99, evaluations=3), config, stop_on=seen.turn % 8 == 0,
    )  # fmt: skip
    assert result.steps > 20
    yield Taught(encoder, GaussianEncoder(result.parts, layers=result.layers), GaussianEncoder(head), asked,
                 [prompts[TRAINED_ON + i] for i in asked.turn])  # fmt: skip
    encoder.close()


def packed(taught: Taught, voice: GaussianEncoder, folder: Path) -> tuple[GaussianEncoder, int]:
    """The same voice after a pack, and the pack's bytes."""
    arrays = read_arrays(RELEASED)[0]
    layers = {name.removeprefix("encoder."): array for name, array in arrays.items() if name.startswith(LAYERS)}
    space = Space("b" * 64, "c" * 64, D, layers)
    voice.save(folder / "mine.safetensors", {})
    record = EncoderRecord("x", "mine.safetensors", "personalized", None, space.backbone_id, space.clap_id, 800, "kept",
                           {"accuracy": 0.7}, "2026-11-20T00:00:00")  # fmt: skip
    export_pack(record, folder, folder / "me.penpal", space=space)
    return read_pack(folder / "me.penpal", space).encoder, (folder / "me.penpal").stat().st_size


def test_layers_take_less_than_8_mb_and_lose_next_to_nothing(taught: Taught, tmp_path: Path) -> None:
    voice, size_bytes = packed(taught, taught.layered, tmp_path)
    steps = [np.abs(a.astype(float) - taught.encoder.layers[n]).max() for n, a in (taught.layered.layers or {}).items()]
    moved = max(steps)
    before, after = taught.accuracy(taught.layered), taught.accuracy(voice)
    print(f"layers: {size_bytes:,} bytes, largest step {moved:.4f}, foreseen {before:.4f} before, {after:.4f} after")
    assert size_bytes < 8_000_000
    assert moved > 1e-3
    assert before > 0.6
    assert after >= before - MAX_LOST


def test_a_head_takes_less_than_200_kb_and_loses_next_to_nothing(taught: Taught, tmp_path: Path) -> None:
    voice, size_bytes = packed(taught, taught.headed, tmp_path)
    before, after = taught.accuracy(taught.headed), taught.accuracy(voice)
    print(f"head: {size_bytes:,} bytes, foreseen {before:.4f} before, {after:.4f} after")
    assert size_bytes < 200_000
    assert after >= before - MAX_LOST


def test_a_shift_takes_less_than_20_kb(taught: Taught, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shifts = {f"kind of writing number {i:02}": draw.normal(size=D) for i in range(32)}
    _, size_bytes = packed(taught, GaussianEncoder(Parts(draw.normal(size=D), draw.normal(size=D), shifts)), tmp_path)
    print(f"32 kinds of writing: {size_bytes:,} bytes")
    assert size_bytes < 20_000

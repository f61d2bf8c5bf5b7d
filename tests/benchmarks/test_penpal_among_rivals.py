"""PenPal as a method of the benchmark: the real program on homes of a tiny backbone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from benchmarks.rivals.method import Comparison
from benchmarks.rivals.penpal import Library, PenPalMethod
from benchmarks.rivals.torch_author import SampledAuthor, SharedSampler
from benchmarks.tasks.edits import Growing
from benchmarks.tasks.scale import in_one_batch
from core.protocols import Message, Sampling
from models.backbone import ChatTemplate
from models.checkpoint import read_arrays, write_arrays
from tests import tiny

PROMPTS = [(Message("user", "Tell the neighbours of the garden."),), (Message("user", "The train was late again."),)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    backbone = tiny.write_tiny_backbone(folder)
    clap = tiny.write_tiny_clap(folder, backbone)
    arrays, about = read_arrays(clap)
    # The untrained encoder says nearly the same of all texts; here its means lie as far apart as a trained one's.
    weights = arrays["encoder.head.weight"].astype("float32")
    weights[: tiny.LATENT_SIZE] *= 8
    write_arrays(clap, arrays | {"encoder.head.weight": weights}, {**about, "backbone": backbone.id})
    return backbone.path, clap


@pytest.fixture
def library(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.setenv("PENPAL_BACKBONE", str(files[0]))
    monkeypatch.setenv("PENPAL_CLAP", str(files[1]))
    monkeypatch.setenv("PENPAL_DRAFTS__MAX_TOKENS", "8")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tiny_tokenizer(), eos_token="<|im_end|>")
    sampler = SharedSampler(
        tiny.tiny_lm(), tokenizer, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=Sampling(max_tokens=8)
    )
    library = Library(tmp_path / "library", sampler)
    with closing(library.penpal):
        yield library


def choices(count: int) -> list[Comparison]:
    """Always the short one."""
    return [
        Comparison(
            (Message("user", f"Write to neighbour {i}."),),
            "No.",
            f"Thank you for the garden, number {i}! " * 3,
            "other",
        )
        for i in range(count)
    ]


def drafts(author: object) -> list[str]:
    assert isinstance(author, SampledAuthor)
    return author.drafts(PROMPTS, [1, 2], max_tokens=8)


def test_each_kind_writes_in_a_voice_of_its_own(library: Library) -> None:
    generic, fast, full = (
        PenPalMethod(library, kind, drafts=False).learn(choices(12), seed=0)
        for kind in ("generic", "fast path", "full")
    )
    plain = library.sampler.texts(PROMPTS, [1, 2], max_tokens=8)
    assert len({tuple(texts) for texts in (plain, drafts(generic), drafts(fast), drafts(full))}) >= 3
    assert full.cost.notes["activated"] == 1.0
    assert full.cost.notes["seconds_learn"] <= full.cost.seconds
    assert full.cost.seconds_before > 0
    assert 2 * 4 * tiny.LATENT_SIZE <= full.cost.bytes_per_person < 10_000
    assert full.cost.flops > 0
    assert drafts(PenPalMethod(library, "full", drafts=False).learn(choices(12), seed=0)) == drafts(full)


def test_too_few_choices_leave_the_generic_voice(library: Library) -> None:
    author = PenPalMethod(library, "full", drafts=False).learn(choices(2), seed=0)
    assert "not enough to learn from" in str(author.cost.notes["reason"])
    assert drafts(author) == drafts(PenPalMethod(library, "generic").learn([], seed=0))


def test_settings_of_the_learner_reach_it(library: Library) -> None:
    usual, free = (
        PenPalMethod(library, "full", config, drafts=False).learn(choices(12), seed=0)
        for config in ({}, {"prior_weight": 0.001})
    )
    assert drafts(usual) != drafts(free)


def test_texts_are_read_once_for_all_people(library: Library) -> None:
    library.read(choices(6))
    with library.home() as home:
        home.tell(choices(6))
        vectors = home.penpal.text_vectors()
        vectors.posteriors([(c.messages, text) for c in choices(6) for text in (c.chosen, c.rejected)])
        assert vectors.read == 0


def test_edits_move_the_voice_at_once_and_a_run_makes_it_last(library: Library) -> None:
    with library.home() as home:
        learner = Growing(library, home, every=8)
        voices = []
        for edit in choices(8):
            voices.append(home.leaning().parts.mean)
            learner.hear(edit)
        lengths = [float(np.linalg.norm(mean)) for mean in voices]
        assert lengths[0] == 0 < lengths[1] < lengths[-1]
        assert home.active() is not None
        assert learner.author().cost.bytes_per_person > 0
        assert {act.kind for turn in range(1, 9) for act in home.penpal.store.acts(turn)} == {"edit"}


def test_what_was_kept_as_it_was_is_no_edit(library: Library) -> None:
    kept = Comparison((Message("user", "Write to us."),), "Thank you!", "Thank you!")
    with library.home() as home:
        home.tell([kept], as_edits=True)
        assert [act.kind for act in home.penpal.store.acts(1)] == ["accept"]
        assert np.linalg.norm(home.leaning().parts.mean) == 0


def test_people_in_one_batch_write_as_they_do_alone(library: Library) -> None:
    method = PenPalMethod(library, "fast path")
    voices = [method.learn(part, seed=0) for part in (choices(6), [])]
    assert all(isinstance(voice, SampledAuthor) for voice in voices)
    together = in_one_batch(library, voices, PROMPTS).drafts(PROMPTS, [1, 2], max_tokens=8)  # type: ignore[arg-type]
    alone = [
        voice.drafts([prompt], [seed], max_tokens=8)[0]
        for voice, prompt, seed in zip(voices, PROMPTS, (1, 2), strict=True)
    ]
    assert together == alone

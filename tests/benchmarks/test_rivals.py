"""Trained rivals on a tiny random backbone: they learn a taste, repeat themselves, and leave no trace.

Those that need trl and peft (dependency group `bench`) skip where they are not installed; CI does not install them.
"""

from __future__ import annotations

import copy
import importlib
import random
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from benchmarks.rivals.control_vector import ControlVector, directions
from benchmarks.rivals.method import Author, Comparison, Method
from benchmarks.rivals.reward import BackboneFeatures, BestOf, BestOfN, bradley_terry, posterior_grid
from benchmarks.rivals.torch_author import Hooks, SampledAuthor, SharedSampler
from benchmarks.rivals.tuning import TRIALS, read, tuned
from core.protocols import Message, Sampling
from models.backbone import ChatTemplate
from models.text_encoder import TextEncoder
from tests import tiny

LIKED = ("garden", "neighbours", "walks", "market", "visit")
DISLIKED = ("train", "coffee", "machine", "rain", "broken")
DPO = ("lora_dpo", "prefix_dpo", "full_dpo")
MODULES = [*(pytest.param(name, marks=pytest.mark.slow) for name in DPO), "reward", "control_vector"]


@pytest.fixture(scope="module")
def sampler() -> SharedSampler:
    """Over a tiny LM that has read both kinds of texts for a second, and can tell one from the other."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tiny_tokenizer(), eos_token="<|im_end|>")
    lm = copy.deepcopy(tiny.tiny_lm()).requires_grad_(True)
    sampler = SharedSampler(lm, tokenizer, ChatTemplate(tiny.CHAT_TEMPLATE), sampling=Sampling(max_tokens=12))
    optimizer = torch.optim.AdamW(lm.parameters(), lr=3e-3)
    texts = [(c.messages, text) for c in comparisons(16, seed=0) for text in (c.chosen, c.rejected)]
    wholes = [sampler.ids(messages) + tokenizer(text + "<|im_end|>").input_ids for messages, text in texts]
    longest = max(map(len, wholes))
    ids = torch.tensor([whole + [0] * (longest - len(whole)) for whole in wholes])
    for _ in range(40):
        lm(input_ids=ids, labels=ids.masked_fill(ids == 0, -100)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    lm.requires_grad_(False)
    return sampler


def comparisons(count: int, seed: int) -> list[Comparison]:
    """One taste, other texts for each seed."""
    dice = random.Random(seed)

    def text(words: tuple[str, ...]) -> str:
        return " ".join(["The", *dice.choices(words, k=dice.randint(3, 6))])

    return [
        Comparison((Message("user", f"Write a note about {dice.choice(['us', 'it', 'the dog'])}."),),
                   text(LIKED), text(DISLIKED))
        for _ in range(count)
    ]  # fmt: skip


TRAINING, HELD_OUT = comparisons(32, seed=1), comparisons(16, seed=2)


def method(module: str, sampler: SharedSampler) -> Method:
    if module in DPO:
        pytest.importorskip("trl", reason="trl and peft are in the dependency group `bench`, which is not installed")
        pytest.importorskip("peft")
    return next(iter(grid(module, sampler).values()))


def grid(module: str, sampler: SharedSampler) -> dict[str, Method]:
    found: dict[str, Method] = importlib.import_module(f"benchmarks.rivals.{module}").grid(sampler, cut_at=None)
    return found


def margin(author: Author, sampler: SharedSampler) -> float:
    """Nats by which this author finds held-out chosen texts more probable (or better) than rejected ones."""
    prompts = [choice.messages for choice in HELD_OUT]
    if isinstance(author, BestOfN):
        sides = [author.rewards([(c.messages, getattr(c, side)) for c in HELD_OUT]) for side in ("chosen", "rejected")]
        return float((sides[0] - sides[1]).mean())
    assert isinstance(author, SampledAuthor)
    chosen = sampler.likelihoods(prompts, [c.chosen for c in HELD_OUT], hooks=author.hooks)
    rejected = sampler.likelihoods(prompts, [c.rejected for c in HELD_OUT], hooks=author.hooks)
    return sum(bad.nll - good.nll for good, bad in zip(chosen, rejected, strict=True)) / len(HELD_OUT)


def learned_weights(author: Author) -> dict[str, Tensor]:
    if isinstance(author, BestOfN):
        return {"head": torch.from_numpy(author.weights)}
    assert isinstance(author, SampledAuthor)
    hooks = author.hooks
    found = {f"layer {layer}": vector for layer, vector in hooks.steering.items()}
    found |= {} if hooks.before is None else {"prefix": hooks.before}
    return found | (dict(hooks.lm.state_dict()) if hooks.lm is not None else {})


def state(sampler: SharedSampler) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in sampler.lm.state_dict().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def files(*folders: Path) -> set[Path]:
    return {path for folder in folders if folder.exists() for path in folder.rglob("*")}


@pytest.mark.parametrize("module", MODULES)
def test_a_rival_learns_a_taste_and_leaves_no_trace(
    module: str,
    sampler: SharedSampler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rival = method(module, sampler)
    monkeypatch.chdir(tmp_path)
    watched = (tmp_path, Path.home() / ".cache" / "huggingface")
    before, files_before, repr_before = state(sampler), files(*watched), repr(sampler.lm)
    dice = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    generic = 0.0 if module == "reward" else margin(SampledAuthor(sampler, cost=None), sampler)  # type: ignore[arg-type]

    author = rival.learn(TRAINING, seed=3)
    assert margin(author, sampler) > generic + 0.1
    prompts, seeds = [c.messages for c in HELD_OUT[:3]], [5, 6, 7]
    drafts = author.drafts(prompts, seeds, max_tokens=12)
    assert drafts == author.drafts(prompts, seeds, max_tokens=12)
    assert len(drafts) == 3

    assert same(before, state(sampler))
    assert repr(sampler.lm) == repr_before
    assert not any(weight.requires_grad for weight in sampler.lm.parameters())
    plain = sampler.texts(prompts, seeds, max_tokens=12)
    assert plain == sampler.texts(prompts, seeds, max_tokens=12, hooks=Hooks())
    assert files(*watched) == files_before
    assert (torch.get_rng_state() == dice[0]).all()
    assert random.getstate() == dice[1]
    assert np.random.get_state()[1].tolist() == dice[2]
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")

    cost = author.cost
    assert cost.seconds > 0
    assert cost.flops > 0
    assert 0 < cost.bytes_per_person <= 4 * sum(w.numel() for w in sampler.lm.parameters())
    again = rival.learn(TRAINING, seed=3)
    assert same(learned_weights(author), learned_weights(again))


@pytest.mark.parametrize("module", MODULES)
def test_drafts_kept_as_they_were_teach_nothing(module: str, sampler: SharedSampler) -> None:
    kept = [Comparison(c.messages, c.chosen, c.chosen) for c in TRAINING]
    author = method(module, sampler).learn([*kept, TRAINING[0]], seed=0)
    prompts = [HELD_OUT[0].messages]
    assert author.drafts(prompts, [1], max_tokens=8) == sampler.texts(prompts, [1], max_tokens=8)


@pytest.mark.parametrize("module", MODULES)
def test_every_rival_has_as_many_trials_and_no_two_alike(module: str, sampler: SharedSampler) -> None:
    method(module, sampler)
    tried = list(grid(module, sampler).values())
    assert len(tried) == TRIALS
    assert all(one != other for i, one in enumerate(tried) for other in tried[:i])


@pytest.mark.slow
@pytest.mark.parametrize(("pairs", "epochs"), [(10, 10), (50, 3), (1000, 3), (10_000, 1)])
def test_few_pairs_are_read_more_often_and_many_less(pairs: int, epochs: int, sampler: SharedSampler) -> None:
    assert vars(method("lora_dpo", sampler))["recipe"].epochs_of(pairs) == epochs


@pytest.mark.slow
def test_the_loss_is_that_of_trl(sampler: SharedSampler, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl and peft are in the dependency group `bench`, which is not installed")
    from trl import DPOTrainer

    from benchmarks.rivals import dpo

    seen: list[tuple[float, float]] = []

    class Both(dpo.PairTrainer):
        def compute_loss(self, model: object, inputs: dict[str, Tensor], *rest: object, **more: object) -> Tensor:
            own = super().compute_loss(model, inputs)
            with torch.no_grad():
                seen.append((own.item(), float(DPOTrainer._compute_loss(self, model, inputs, False))))
            return own

    patch = pytest.MonkeyPatch()
    patch.setattr(dpo, "PairTrainer", Both)
    try:
        method("lora_dpo", sampler).learn(TRAINING, seed=0)
    finally:
        patch.undo()
    ours, theirs = np.array(seen).T
    assert len(seen) > 10
    assert ours == pytest.approx(theirs, rel=0.02)


@pytest.mark.slow
def test_a_prefix_means_the_same_to_the_sampler_as_to_peft(sampler: SharedSampler) -> None:
    author = method("prefix_dpo", sampler).learn(TRAINING, seed=0)
    from peft import PrefixTuningConfig, get_peft_model

    from benchmarks.rivals.prefix_dpo import entries

    assert isinstance(author, SampledAuthor)
    prefix = author.hooks.before
    assert prefix is not None
    model = get_peft_model(
        copy.deepcopy(sampler.lm), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    ).eval()  # fmt: skip
    flat = prefix.permute(3, 0, 1, 2, 4).reshape(4, -1).float()  # peft's order: places, then layers, keys and values
    model.prompt_encoder["default"].load_prompt_embeddings(flat)
    assert torch.equal(entries(model).float(), prefix.float())
    prompt, text = HELD_OUT[0].messages, HELD_OUT[0].chosen
    start, ids = len(sampler.ids(prompt)), sampler.ids(prompt) + sampler.tokenizer(text).input_ids
    with torch.no_grad():
        scored = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, start - 1 : -1], -1)
    by_peft = -float(scored.gather(1, torch.tensor(ids[start:])[:, None]).sum())
    (by_sampler,) = sampler.likelihoods([prompt], [text], hooks=author.hooks)
    assert by_sampler.nll == pytest.approx(by_peft, rel=1e-4)


def test_bradley_terry_in_the_span_of_few_rows_is_the_same_as_in_full() -> None:
    """Two rows along the first two axes: each weight solves r w = 1 / (1 + exp(w)), and the third stays 0."""
    w = bradley_terry(np.array([[1.0, 0, 0], [0, 1.0, 0]]), ridge=0.5)
    assert w[:2] * 0.5 == pytest.approx(1 / (1 + np.exp(w[:2])))
    assert w[2] == pytest.approx(0)
    difference = np.random.default_rng(0).standard_normal((20, 4))
    wide = np.concatenate([difference, np.zeros((20, 30))], axis=1)
    assert bradley_terry(wide, 2.0)[:4] == pytest.approx(bradley_terry(difference, 2.0))


def test_best_of_n_shows_the_draft_that_its_head_finds_best(sampler: SharedSampler) -> None:
    author = BestOf(sampler, BackboneFeatures(sampler), n=4).learn(TRAINING, seed=0)
    assert isinstance(author, BestOfN)
    prompt = HELD_OUT[0].messages
    (shown,) = author.drafts([prompt], [9], max_tokens=10)
    all_four = sampler.texts([prompt] * 4, [36, 37, 38, 39], max_tokens=10)
    assert shown == all_four[int(author.rewards([(prompt, text) for text in all_four]).argmax())]


def test_a_head_on_what_penpals_encoder_reads_learns_the_taste(sampler: SharedSampler, tmp_path: Path) -> None:
    backbone = tiny.write_tiny_backbone(tmp_path)
    clap = tiny.read_clap(tiny.write_tiny_clap(tmp_path, backbone))
    with closing(TextEncoder(backbone, clap)) as encoder:
        trials = posterior_grid(sampler, encoder.posteriors)
        assert len(trials) == TRIALS
        assert margin(trials["ridge 3"].learn(TRAINING, seed=0), sampler) > 0.1


def test_both_directions_point_to_the_chosen_side_and_are_as_long() -> None:
    towards = torch.tensor([[2.0, 0.0], [0.0, -1.0]])  # [L, H]
    difference = towards + 0.3 * torch.randn(40, 2, 2, generator=torch.Generator().manual_seed(0))
    mean, component = (directions(difference, kind) for kind in ("mean difference", "principal component"))
    assert component.norm(dim=-1) == pytest.approx(mean.norm(dim=-1))
    assert torch.cosine_similarity(mean, component, dim=-1).min() > 0.95


def test_strength_0_is_the_backbone(sampler: SharedSampler) -> None:
    author = ControlVector(sampler, strength=0.0).learn(TRAINING, seed=0)
    prompts = [c.messages for c in HELD_OUT[:4]]
    assert author.drafts(prompts, [1, 2, 3, 4], max_tokens=10) == sampler.texts(prompts, [1, 2, 3, 4], max_tokens=10)


def test_a_tuning_run_that_was_stopped_goes_on(sampler: SharedSampler, tmp_path: Path) -> None:
    trials: dict[str, Method] = {str(i): ControlVector(sampler, strength=float(i)) for i in range(TRIALS)}
    file = tmp_path / "work" / "tuned.json"
    asked: list[float] = []

    def score(rival: Method) -> float:
        assert isinstance(rival, ControlVector)
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(rival.strength)
        return -abs(rival.strength - 4)

    with pytest.raises(KeyboardInterrupt):
        tuned("control-vector", trials, score, file)
    assert read(file)["control-vector"] == {"trials": {"0": -4.0, "1": -3.0}, "chosen": ""}
    label, chosen = tuned("control-vector", trials, lambda rival: -abs(vars(rival)["strength"] - 4), file)
    assert (label, chosen) == ("4", trials["4"])
    assert tuned("control-vector", trials, score, file)[0] == "4"
    with pytest.raises(ValueError, match="every method is given"):
        tuned("greedy", {**trials, "more": trials["0"]}, score, file)
    assert set(read(file)) == {"control-vector"}

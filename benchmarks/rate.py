"""Which pair to ask about next: labels until held-out pairs are foreseen, by the order in which pairs are asked.

    python -m benchmarks.rate [--work DIR] [--prompts 100] [--seeds 5] [--speed] [--json] [--out docs/benchmarks]

Simulated people (12 tastes) answer about drafts of the real backbone: eight for each prompt, as `penpal rate` writes
them. What is learned is tested on pairs of other prompts. Writing the drafts takes 2 s a prompt on two idle cores and
goes on where it was stopped when it is given the same `--work`; the rest takes minutes. `--speed` instead times the
maker of pairs while somebody answers every three seconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.pair_choice import PairChoice
from app.pair_sources import DRAFTS, PromptSource
from app.tastes import TASTES
from app.tui.pair_maker import PairMaker
from app.wiring import open_penpal
from benchmarks.people import TASKS_SEED, Pool, fill_pool, read_texts, short
from benchmarks.personalize import PEOPLE, cpu_name, say
from core.candidates import write_candidates
from core.evidence import INDIRECT_WEIGHT
from core.paths import Home
from models import learner
from models.latent_dpo import Posteriors
from models.learner import Array, Design, LearnConfig, Parts, Rows
from models.pair_information import Belief, Texts, covariance_of, typical_of
from models.writing_tasks import writing_tasks

FIRST_TASK = 3000
"""The pool of held-out pairs has those before."""
ROUNDS = 2000
TESTED = 800
"""Held-out pairs per seed."""
TARGET = 0.75
EXPLORE = 0.2
FLIP_RATE = 0.05
"""What is assumed of a person before any pair was asked twice."""
POINTS = (5, 10, 20, 30, 40, 60, 80, 100)
READ_S = 3.0


@dataclass(frozen=True)
class Prompt:
    """The drafts for one prompt, as all orders see them."""

    texts: tuple[str, ...]
    rows: Rows
    pairs: list[tuple[int, int]]


Gains = Callable[[Belief, Rows, Array], Array]
"""What each of these pairs would tell; the array is the second moment of typical pairs."""


def doubt(belief: Belief, rows: Rows, typical: Array) -> Array:
    """How unsure the answer is."""
    return -np.abs(belief.margins(rows))


def difference(belief: Belief, rows: Rows, typical: Array) -> Array:
    """How far apart the texts lie, whatever is known of the person."""
    squared: Array = (rows.difference**2).sum(1)
    return squared


def own_variance(belief: Belief, rows: Rows, typical: Array) -> Array:
    """D-optimal: how far the answer narrows the margin of this very pair."""
    curvature = learner.preference_terms(belief.margins(rows), rows.tie, belief.config).curvature
    narrowed: Array = curvature * ((rows.difference @ belief.covariance) * rows.difference).sum(1)
    return narrowed


def all_variances(belief: Belief, rows: Rows, typical: Array) -> Array:
    """V-optimal, what `penpal rate` does: how far the answer narrows the margins of typical pairs."""
    return belief.gains(rows, typical)


@dataclass(frozen=True)
class Order:
    """How the next pair is chosen among those of one prompt."""

    name: str
    gains: Gains | None
    """None: any pair of two drafts that are not twins."""
    explore: float = 0.0


ORDERS = (
    Order("random", None),
    Order("largest difference", difference),
    Order("most in doubt", doubt),
    Order("own variance (D-optimal)", own_variance),
    Order("typical variance (V-optimal)", all_variances),
    Order("V-optimal, 10% random", all_variances, 0.1),
    Order("V-optimal, 20% random: penpal rate", all_variances, EXPLORE),
)


class Bench:
    """Prompts to ask about, and pairs to be foreseen."""

    def __init__(self, work: Path, prompts: int) -> None:
        work.mkdir(parents=True, exist_ok=True)
        home = Home(work / "pool")
        with closing(open_penpal(home)) as penpal:
            fill_pool(penpal, ROUNDS, say)
            read_texts(penpal)
            self.avoid = penpal.sameness
            held_out = Pool(home, ROUNDS).rounds
            turns = {turn.id: turn for c in penpal.store.conversations(origin="demo", limit=10**6)
                     for turn in penpal.store.turns(c.id)}  # fmt: skip
            texts = [(turns[draft.turn_id].messages, draft.text) for pair in held_out for draft in pair]
            mean = penpal.text_vectors().posteriors(texts).mean.astype(np.float64)
            self.prompts = written(work / "sets.jsonl", home, prompts)
        self.held_out_texts = [(left.text, right.text) for left, right in held_out]
        self.held_out = mean[0::2] - mean[1::2]
        self.config = LearnConfig(flip_rate=FLIP_RATE)
        self.typical = typical_of([prompt.rows for prompt in self.prompts])

    def curve(self, order: Order, taste: str, seed: int) -> list[float]:
        """Accuracy on held-out pairs after each answer."""
        rng, score = np.random.default_rng([seed, PEOPLE.index(taste)]), TASTES[taste].score
        tested, sign = self._tested(taste, seed)
        asked: list[Rows] = []
        found = []
        parts, belief = Parts.generic(self.held_out.shape[1]), None
        for number in rng.permutation(len(self.prompts)):
            prompt = self.prompts[number]
            at = self._next(order, prompt, belief, rng)
            first, second = prompt.pairs[at]
            better = float(np.sign(score(prompt.texts[first]) - score(prompt.texts[second])))
            asked.append(answered(prompt.rows.take(np.array([at])), better, int(number)))
            rows = stacked(asked)
            parts = learner.fit(rows, Design(), self.config)
            parts = learner.within(parts if self.avoid is None else learner.without(parts, self.avoid), 5.0)
            belief = Belief(parts, covariance_of(parts, rows, self.config), self.config)
            found.append(float(((self.held_out[tested] @ parts.mean) * sign > 0).mean()))
        return found

    def _next(self, order: Order, prompt: Prompt, belief: Belief | None, rng: np.random.Generator) -> int:
        independent = [i for i, (a, b) in enumerate(prompt.pairs) if a // 2 != b // 2]
        if order.gains is None:
            return int(rng.choice(independent))
        if belief is None:
            parts = Parts.generic(self.held_out.shape[1])
            belief = Belief(parts, covariance_of(parts, None, self.config), self.config)
        if rng.random() < order.explore:
            return int(rng.integers(len(prompt.pairs)))
        return int(np.argmax(order.gains(belief, prompt.rows, self.typical)))

    def _tested(self, taste: str, seed: int) -> tuple[NDArray[np.int64], Array]:
        score = TASTES[taste].score
        drawn = np.random.default_rng(seed).permutation(len(self.held_out))[:TESTED]
        sign = np.array([np.sign(score(a) - score(b)) for a, b in (self.held_out_texts[i] for i in drawn)])
        return drawn[sign != 0], sign[sign != 0]


def written(file: Path, home: Home, count: int) -> list[Prompt]:
    """Eight drafts for each of so many prompts, and what the encoder says about them."""
    known = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    tasks = writing_tasks("held_out", seed=TASKS_SEED)[FIRST_TASK : FIRST_TASK + count]
    if len(known) < count:
        with closing(open_penpal(home)) as penpal, file.open("a") as out:
            writer = penpal.writer(generic=True)
            for i in range(len(known), count):
                made = write_candidates(writer, tasks[i], DRAFTS, sampling=short(penpal), seed=i)
                assert made is not None
                texts = [text.text for text in made.texts]
                q = penpal.text_encoder.posteriors([(made.messages, text) for text in texts])
                known.append({"texts": texts, "m": q.mean.round(5).tolist(), "lv": q.log_variance.round(5).tolist()})
                out.write(json.dumps(known[-1]) + "\n")
                say(f"drafts for {i + 1} of {count} prompts")
    return [prompt_of(row) for row in known[:count]]


def prompt_of(row: dict[str, list[str]]) -> Prompt:
    texts = Texts(Posteriors(np.array(row["m"], np.float32), np.array(row["lv"], np.float32)), "other")
    return Prompt(tuple(row["texts"]), texts.rows(), texts.pairs)


def answered(row: Rows, better: float, turn: int) -> Rows:
    """One pair as it was answered: 1 the first text, -1 the second, 0 a tie."""
    side = better or 1.0
    weight = np.array([1.0 if better else INDIRECT_WEIGHT])
    return Rows(side * row.difference, side * row.spread, weight, np.array([not better]), np.array([turn]), row.context)


def stacked(rows: Sequence[Rows]) -> Rows:
    arrays = ("difference", "spread", "weight", "tie", "turn")
    joined = {name: np.concatenate([getattr(r, name) for r in rows]) for name in arrays}
    return Rows(**joined, context=tuple(context for r in rows for context in r.context))  # fmt: skip


def reached(curve: Array) -> int | None:
    """Labels until the target, the first time; None when there were not enough."""
    at = np.flatnonzero(curve >= TARGET)
    return int(at[0]) + 1 if len(at) else None


def compared(bench: Bench, seeds: int) -> list[dict[str, Any]]:
    """A row for each order: its curve over all people, and labels needed by taste."""
    found = []
    for order in ORDERS:
        curves = np.array([[bench.curve(order, taste, seed) for seed in range(seeds)] for taste in PEOPLE])
        mean = curves.mean((0, 1))
        found.append(
            {
                "order": order.name,
                "labels": reached(mean),
                "by_taste": {
                    taste: reached(own) for taste, own in zip(PEOPLE, curves.mean(1), strict=True)
                },
                "accuracy": {n: round(float(mean[n - 1]), 3) for n in POINTS if n <= len(mean)},
            }
        )  # fmt: skip
        say(json.dumps(found[-1]))
    return found


def summed(row: dict[str, Any], base: dict[str, Any], prompts: int) -> int:
    """Labels of all tastes that get to the target in the order `base`; all of them where this order does not."""
    return sum(row["by_taste"][taste] or prompts for taste in PEOPLE if base["by_taste"][taste])


def as_markdown(rows: Sequence[dict[str, Any]], prompts: int, seeds: int) -> str:
    """The tables of docs/benchmarks/rate.md."""
    points, base = list(rows[0]["accuracy"]), rows[0]
    lines = [
        f"| order | labels to {TARGET:.0%}, by taste | of random's | mean of all | of random's | "
        + " | ".join(f"after {n}" for n in points) + " |",
        "| --- " * (5 + len(points)) + "|",
    ]  # fmt: skip
    for row in rows:
        by_taste, mean = summed(row, base, prompts), row["labels"]
        share = f"{mean / base['labels']:.2f}" if mean and base["labels"] else "-"
        cells = [
            row["order"],
            by_taste,
            f"{by_taste / summed(base, base, prompts):.2f}",
            mean or f"over {prompts}",
            share,
        ]
        cells += [f"{value:.1%}" for value in row["accuracy"].values()]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "| taste | " + " | ".join(str(row["order"]) for row in rows) + " |", "| --- " * (1 + len(rows)) + "|"]
    for taste in PEOPLE:
        cells = [row["by_taste"][taste] or f"over {prompts}" for row in rows]
        lines.append(f"| {taste} | " + " | ".join(map(str, cells)) + " |")
    lines += ["", f"{len(PEOPLE)} tastes, {seeds} seeds, {prompts} prompts with {DRAFTS} drafts each; {cpu_name()}."]
    return "\n".join(lines)


def speed(pairs: int) -> dict[str, float]:
    """How long somebody waits who answers every `READ_S` seconds."""
    with tempfile.TemporaryDirectory() as folder, closing(open_penpal(Home(Path(folder)))) as penpal:
        writer = penpal.writer()
        maker = PairMaker(PromptSource(writing_tasks("held_out", limit=pairs)), PairChoice(penpal))
        thread = threading.Thread(target=maker.run, args=(writer,))
        started, cpu = time.monotonic(), time.process_time()
        thread.start()
        waits = []
        for number in range(pairs):
            asked = time.monotonic()
            while (pair := maker.take()) is None:
                time.sleep(0.01)
            waits.append(time.monotonic() - asked)
            say(f"pair {number + 1}: waited {waits[-1]:.2f} s")
            time.sleep(READ_S)
            writer.recorder.pick(pair.shown[0].id, left_draft_id=pair.shown[0].id)
            penpal.learn_now(writer, pair.turn_id)
        wall, spent = time.monotonic() - started, time.process_time() - cpu
        maker.stop()
        thread.join()
        return {"first": waits[0], "mean wait": fmean(waits[1:]), "most": max(waits[1:]), "s per pair": wall / pairs,
                "CPU s per pair": spent / pairs}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="where drafts are kept (default: a temporary folder)")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    if wanted.speed:
        print(json.dumps(speed(20)))
        return
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(wanted.work or Path(folder), wanted.prompts)
        rows = compared(bench, wanted.seeds)
    table = as_markdown(rows, len(bench.prompts), wanted.seeds)
    if wanted.out:
        (wanted.out / "rate.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(rows) if wanted.json else table)


if __name__ == "__main__":
    main()

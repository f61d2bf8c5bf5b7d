"""What hiding each choice costs, and what a voice shows of its choices: `penpal export --private`, and its test.

    python -m benchmarks.privacy --work POOL [--seeds 2] [--json]

Simulated people (12 tastes) choose between two generic drafts for a prompt; the pool of drafts is that of
`benchmarks.personalize` (a PenPal home) and is read only. Accuracy is on 300 choices of the same person that nothing
was trained on. Rivals of what PenPal does (`models.private_learning`): output and objective perturbation (Chaudhuri
et al. 2011; Kifer et al. 2012), and, where it is installed, DP-SGD by Opacus:
`pip install --no-deps --target DIR opacus==1.6.0 opt-einsum==3.4.0 scipy==1.17.1`, and DIR on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import fmean

import numpy as np

from app.tastes import TASTES
from app.wiring import open_penpal
from benchmarks.people import Pool
from benchmarks.personalize import PEOPLE, say
from core.paths import Home
from models import learner
from models.learner import Array, Design, LearnConfig, Parts, Rows
from models.membership import Train, like, shadow_test
from models.private_learning import DISTANCE, Budget, private_fit, public_config

ROUNDS = 2000
TESTED = 300
COUNTS = (20, 50, 200, 1000)
EPSILONS = (1.0, 3.0, 8.0)
CONFIG = public_config(LearnConfig())
RIDGES = (0.01, 0.05, 0.2)
"""Of output perturbation, per choice; each is a row of its own, so that the best can be taken."""


def differences(home: Home) -> tuple[Array, list[tuple[str, str]]]:
    """[N, D]: of the posterior means of each round's two drafts, and those drafts."""
    pool = Pool(home, ROUNDS)
    with closing(open_penpal(home)) as penpal:
        messages = {left.turn_id: penpal.store.turn(left.turn_id).messages for left, _ in pool.rounds}
        texts = [(messages[draft.turn_id], draft.text) for pair in pool.rounds for draft in pair]
        means = penpal.text_vectors().posteriors(texts).mean.astype(float)
    return means[::2] - means[1::2], [(left.text, right.text) for left, right in pool.rounds]


def choices(taste: str, seed: int, difference: Array, texts: list[tuple[str, str]]) -> Rows:
    """Every round in which this person prefers a draft, in an order of their own."""
    score = TASTES[taste].score
    sign = np.array([np.sign(score(left) - score(right)) for left, right in texts])
    order = np.random.default_rng(seed).permutation(np.flatnonzero(sign))
    chosen = sign[order, None] * difference[order]
    count = len(order)
    return Rows(chosen, 0 * chosen, np.ones(count), np.zeros(count, bool), np.arange(count), ("other",) * count)


def foreseen(parts: Parts, rows: Rows) -> float:
    """The share that is ordered as the person did; nothing preferred counts half."""
    return float(((np.sign(parts.margins(rows)) + 1) / 2).mean())


# --- rivals -----------------------------------------------------------------------------------------------------


def clipped(rows: Rows) -> Rows:
    """Differences cut to a typical length, so that one choice's gradient is at most beta times that."""
    factor = learner.shrinking(rows.difference, DISTANCE)
    return Rows(rows.difference * factor, rows.spread, rows.weight, rows.tie, rows.turn, rows.context)


def output_perturbation(rows: Rows, budget: Budget, rng: np.random.Generator, share: float) -> Parts:
    """The optimum under a ridge of so much per choice, with noise for its sensitivity, clip / ridge."""
    ridge = max(CONFIG.prior_weight, share * len(rows))
    parts = learner.fit(clipped(rows), Design(), LearnConfig(prior_weight=ridge))
    sensitivity = CONFIG.beta * DISTANCE / ridge
    noise = sensitivity / budget.mu * rng.standard_normal(len(parts.mean))
    return Parts(parts.mean + noise, parts.log_variance, {})


def objective_perturbation(rows: Rows, budget: Budget, rng: np.random.Generator) -> Parts:
    """The optimum of an objective with a random linear term (Kifer et al. 2012, algorithm 1), by Newton's method."""
    clip, size = CONFIG.beta * DISTANCE, rows.difference.shape[1]
    deviation = clip * math.sqrt(8 * math.log(2 / budget.delta) + 4 * budget.epsilon) / budget.epsilon
    ridge = max(CONFIG.prior_weight, clip**2 / 2 / budget.epsilon)
    x, push, p = clipped(rows).difference, deviation * rng.standard_normal(size), np.zeros(size)
    for _ in range(50):
        terms = learner.preference_terms(x @ p, rows.tie, CONFIG)
        hessian = (x * terms.curvature[:, None]).T @ x + ridge * np.eye(size)
        p = p - np.linalg.solve(hessian, x.T @ terms.slope + ridge * p + push)
    return Parts(p, np.zeros(size), {})


def opacus(rows: Rows, budget: Budget, epochs: int, batches: int, rate: float, clip: float) -> Parts:
    """DP-SGD with Poisson sampling, accounted for by Opacus' PRV accountant; the last half of its steps averaged."""
    import torch
    from opacus import PrivacyEngine

    torch.set_num_threads(1)
    size, count = rows.difference.shape[1], len(rows)
    model = torch.nn.Linear(size, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    data = torch.utils.data.TensorDataset(torch.tensor(rows.difference, dtype=torch.float32))
    model, optimizer, loader = PrivacyEngine(accountant="prv").make_private_with_epsilon(
        module=model, optimizer=torch.optim.SGD(model.parameters(), lr=rate),
        data_loader=torch.utils.data.DataLoader(data, batch_size=max(1, count // batches)),
        target_epsilon=budget.epsilon, target_delta=budget.delta, epochs=epochs, max_grad_norm=clip,
    )  # fmt: skip
    path = []
    for _ in range(epochs):
        for (batch,) in loader:
            if len(batch):
                optimizer.zero_grad()
                torch.nn.functional.softplus(-CONFIG.beta * model(batch)).mean().backward()
                optimizer.step()
            path.append(model._module.weight.detach().numpy()[0].astype(float))
    return Parts(np.mean(path[len(path) // 2 :], axis=0), np.zeros(size), {})


def methods(budget: Budget, rng: np.random.Generator) -> dict[str, Train]:
    """Every way of learning under this budget, by name."""
    found: dict[str, Train] = {
        "open": like("shift", CONFIG),
        "PenPal": lambda rows: private_fit(rows, CONFIG, budget, rng),
        "objective perturbation": lambda rows: objective_perturbation(rows, budget, rng),
    }
    for share in RIDGES:
        found[f"output perturbation, ridge {share}"] = lambda rows, share=share: output_perturbation(
            rows, budget, rng, share
        )
    if importlib.util.find_spec("opacus"):
        warnings.filterwarnings("ignore")
        for clip in (0.35, 1.0):
            for batches, rate in ((1, 40.0), (4, 20.0)):
                found[f"Opacus, clip {clip}, {batches} batches"] = lambda rows, batches=batches, rate=rate, clip=clip: (
                    opacus(rows, budget, 20, batches, rate, clip)
                )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    difference, texts = differences(Home(options.work))
    found: list[dict[str, object]] = []
    for epsilon in EPSILONS:
        for count in COUNTS:
            found += measured(epsilon, count, options.seeds, difference, texts)
            say(f"epsilon {epsilon:g}, {count} choices: done")
    json.dump(found, sys.stdout, indent=1) if options.json else show(found)


def measured(
    epsilon: float, count: int, seeds: int, difference: Array, texts: list[tuple[str, str]]
) -> list[dict[str, object]]:
    """A row for each method: mean accuracy over people, seconds of one fit, and the AUC of the likelihood ratio."""
    accuracies: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    aucs: dict[str, list[float]] = {}
    for taste in PEOPLE:
        for seed in range(seeds):
            rows = choices(taste, seed, difference, texts)
            if len(rows) < count + TESTED:
                continue
            known, asked = rows.take(np.arange(count)), rows.take(np.arange(count, count + TESTED))
            for name, train in methods(Budget(epsilon), np.random.default_rng(seed)).items():
                started = time.perf_counter()
                accuracies.setdefault(name, []).append(foreseen(train(known), asked))
                seconds.setdefault(name, []).append(time.perf_counter() - started)
                if name in ("open", "PenPal") and seed == 0 and (test := shadow_test(known, train, max_norm=5.0)):
                    aucs.setdefault(name, []).append(test.worst.auc)
    return [
        {
            "epsilon": epsilon, "choices": count, "method": name, "people": len(each), "accuracy": fmean(each),
            "error": float(np.std(each) / math.sqrt(len(each))), "seconds": fmean(seconds[name]),
            "auc": fmean(aucs[name]) if name in aucs else None,
        }
        for name, each in accuracies.items()
    ]  # fmt: skip


def show(found: list[dict[str, object]]) -> None:
    """As a table in Markdown: accuracy by method and number of choices, and AUC in brackets."""
    name_of: Callable[[dict[str, object]], str] = lambda row: str(row["method"])  # noqa: E731
    for epsilon in EPSILONS:
        print(f"\n| epsilon {epsilon:g} | " + " | ".join(map(str, COUNTS)) + " | s |\n|" + " --- |" * (len(COUNTS) + 2))
        for name in dict.fromkeys(map(name_of, found)):
            rows = [row for row in found if row["epsilon"] == epsilon and row["method"] == name]
            cells = [f"{row['accuracy']:.1%}" + (f" ({row['auc']:.2f})" if row["auc"] else "") for row in rows]
            print(f"| {name} | " + " | ".join(cells) + f" | {rows[-1]['seconds']:.3f} |")


if __name__ == "__main__":
    main()

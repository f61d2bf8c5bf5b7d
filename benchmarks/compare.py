"""PenPal beside what a user would pick instead: same backbone, same pairs, same prompts, same sampler, one run.

    python -m benchmarks.compare [--quick] [--work DIR] [--imdb DIR] [--out DIR] [--methods ...] [--tasks ...]

Rows are kept in WORK/rows.jsonl as they are measured: the same command goes on where it was stopped. `--tune` chooses
the settings of every method on people and prompts that the comparison never asks, six trials each; later runs with the
same --work use them. PPO is left out: it needs a reward model in the loop and thousands of sampled drafts for every
person, which is hours for each on a machine like these; best-of-n draws on the same reward model without them.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from app.tastes import TASTES
from app.wiring import EMBEDDED_CLAP_SHA256
from benchmarks.measuring import Measuring
from benchmarks.people import DRAFT_TOKENS
from benchmarks.personalize import cpu_name, say
from benchmarks.rivals.method import Author
from benchmarks.rivals.registry import NAMES, Roster
from benchmarks.rivals.torch_author import DTYPE, SampledAuthor
from benchmarks.rivals.tuning import TRIALS, read, tuned
from benchmarks.row_log import Row, RowLog
from benchmarks.tasks import edits, everyday, imdb, nothing_broken, rounds, scale
from benchmarks.tasks.editor import PEOPLE as EDITING_PEOPLE
from core.errors import PenPalError, UsageError

TASKS = ("everyday", "neutral", "imdb", "edits", "broken", "scale")
LIBRARIES = ("torch", "transformers", "trl", "peft", "llama-cpp-python", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Size:
    """How much is measured. Points are numbers of pairs."""

    seeds: int
    prompts: int
    """Unseen prompts per person and seed."""
    rounds: int
    """Of the pool: who is asked so often finds fewer pairs, since ties teach nothing."""
    everyday_people: tuple[str, ...]
    everyday_points: tuple[int, ...]
    imdb_points: tuple[int, ...]
    imdb_prompts: int
    edit_people: tuple[str, ...]
    edit_rounds: int
    edit_seeds: int
    broken_at: int
    """Pairs after which it is asked whether anything broke."""
    people_counts: tuple[int, ...]
    methods: tuple[str, ...] = NAMES


QUICK = Size(
    seeds=1, prompts=10, rounds=90, everyday_people=("first-person", "positive", "brief"), everyday_points=(50,),
    imdb_points=(60,), imdb_prompts=16, edit_people=("two-sided",), edit_rounds=24, edit_seeds=1, broken_at=50,
    people_counts=(1, 10),
    methods=("penpal", "penpal-fast", "untouched", "in-context-similar", "retrieval", "cipher", "described",
             "best-of-n", "lora-dpo"),
)  # fmt: skip
FULL = Size(
    seeds=5, prompts=24, rounds=2000, everyday_people=everyday.PEOPLE, everyday_points=(100, 10, 1000, 30, 300),
    imdb_points=(100, 1000, 10_000), imdb_prompts=100, edit_people=tuple(EDITING_PEOPLE), edit_rounds=200, edit_seeds=5,
    broken_at=100, people_counts=(1, 10, 100, 1000),
)  # fmt: skip
TOY = Size(
    seeds=1, prompts=2, rounds=14, everyday_people=("first-person",), everyday_points=(6,), imdb_points=(6,),
    imdb_prompts=2, edit_people=("brief",), edit_rounds=3, edit_seeds=1, broken_at=6, people_counts=(1,),
)  # fmt: skip
"""Shows that everything runs; says nothing about anybody."""
TUNING_PAIRS = {True: 50, False: 100}


def versions() -> dict[str, str]:
    """Of the libraries that decide, where they are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def about(command: Sequence[str]) -> Row:
    """What the reader of a table must know."""
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "command": " ".join(["python -m benchmarks.compare", *command]),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "penpal": revision or version("penpal"),
        "clap": EMBEDDED_CLAP_SHA256[:12],
        "dtype": str(DTYPE).removeprefix("torch."),
        **versions(),
    }


class Run:
    """One run: what is missing is measured."""

    def __init__(self, work: Path, imdb_folder: Path, size: Size, methods: Sequence[str]) -> None:
        """Raises UsageError when `work` was used with another latent space."""
        self.work, self.imdb_folder, self.size, self.methods = work, imdb_folder, size, methods
        chosen = {name: found["chosen"] for name, found in read(work / "tuned.json").items() if found["chosen"]}
        self.roster = Roster(work, cut_at=DRAFT_TOKENS, tuned=chosen)
        clap = EMBEDDED_CLAP_SHA256[:12]
        common = {"versions": ", ".join(f"{k} {v}" for k, v in versions().items()), "clap": clap}
        self.log = RowLog(work / "rows.jsonl", common)
        if others := {str(row["clap"]) for row in self.log.rows} - {clap}:
            raise UsageError(
                f"{work} holds rows of another latent space ({', '.join(others)}; PenPal's is {clap} now): give "
                "another folder with --work."
            )

    def measure(self, tasks: Sequence[str]) -> None:
        """Everything that was asked for and is not known."""
        self._tasks = tasks
        for task in tasks:
            say(f"task: {task}")
            {
                "everyday": self._measure_everyday,
                "neutral": self._measure_neutral,
                "imdb": self._measure_imdb,
                "edits": self._measure_edits,
                "broken": self._measure_broken,
                "scale": self._measure_scale,
            }[task]()

    def tune(self) -> None:
        """The settings of every method that has some, on validation people."""
        pairs = TUNING_PAIRS[self.size.rounds < 500]
        people, measuring = self._people(), Measuring(self.roster.sampler)
        for name in self.methods:
            grid = {} if name == "described" else self.roster.grid(name)
            if len(grid) != TRIALS:
                continue
            say(f"tuning {name}")

            def score(method: object, name: str = name) -> float:
                return everyday.validation_score(people, measuring, method, pairs)  # type: ignore[arg-type]

            label, _ = tuned(name, grid, score, self.work / "tuned.json")
            self.roster.choose(name, label)
            say(f"{name}: {label}")

    def _measure_everyday(self) -> None:
        also = self._broken if "broken" in self._tasks else lambda key, author: None
        self._compare_everyday(everyday.TASK, self._people(), also)

    def _measure_neutral(self) -> None:
        found = rounds.neutral_rounds(self.work, self.size.rounds, self.roster.sampler, say)
        self._compare_everyday(everyday.NEUTRAL, everyday.Everyday(found, self.size.prompts), lambda key, author: None)

    def _compare_everyday(self, task: str, people: everyday.Everyday, also: Callable[[Row, Author], None]) -> None:
        size = self.size
        everyday.compare(
            people, self.roster, Measuring(self.roster.sampler), self.log, task=task, methods=self.methods,
            people=size.everyday_people, points=size.everyday_points, seeds=size.seeds, told=say, also=also,
        )  # fmt: skip

    def _measure_broken(self) -> None:
        """For people whose authors were not made while everyday writing was compared."""
        size = self.size
        people = self._people()
        for taste in size.everyday_people:
            for name in (name for name in self.methods if name in nothing_broken.METHODS):
                key: Row = {"task": everyday.TASK, "taste": taste, "method": name, "pairs": size.broken_at, "seed": 0}
                if self.log.known(**{**key, "task": nothing_broken.TASK}) is None:
                    given = people.choices(taste, 0)[: size.broken_at]
                    self._broken(key, self.roster.method(name, TASTES[taste].description).learn(given, seed=0))

    def _broken(self, key: Row, author: Author) -> None:
        key = {**key, "task": nothing_broken.TASK}
        asked = key["pairs"] == self.size.broken_at and not key["seed"] and key["method"] in nothing_broken.METHODS
        if not asked or self.log.known(**key):
            return
        assert isinstance(author, SampledAuthor)
        if not hasattr(self, "_untouched"):
            self._untouched = nothing_broken.Untouched(self.roster.sampler)
        self.log.keep(key | self._untouched.row(author.hooks))

    def _measure_imdb(self) -> None:
        size, sampler = self.size, self.roster.sampler
        reviews = imdb.Reviews(self.imdb_folder, self.work, sampler, say)
        imdb.compare(
            reviews, self.roster, Measuring(sampler), self.log, methods=self.methods, points=size.imdb_points,
            seeds=size.seeds, prompts=size.imdb_prompts,
        )  # fmt: skip

    def _measure_edits(self) -> None:
        size = self.size
        edits.compare(
            self.roster, self.log, methods=self.methods, people=size.edit_people, rounds=size.edit_rounds,
            seeds=size.edit_seeds, told=say,
        )  # fmt: skip

    def _measure_scale(self) -> None:
        people = self._people()
        choices = scale.choices_of(people)
        scale.more_people(self.roster, self.log, choices, methods=self.methods, counts=self.size.people_counts)
        scale.at_once(self.roster, self.log, people, choices, methods=self.methods, told=say)

    def _people(self) -> everyday.Everyday:
        if not hasattr(self, "_pool"):
            found = rounds.penpal_rounds(self.work, self.size.rounds, say)
            self._pool = everyday.Everyday(found, self.size.prompts)
        return self._pool


def wanted(named: Sequence[str] | None, known: Sequence[str], what: str) -> list[str]:
    """What was asked for, or all. Raises UsageError for a name that is not known."""
    for name in named or ():
        if name not in known:
            raise UsageError(f"There is no {what} '{name}'. Known: {', '.join(known)}.")
    return list(named or known)


def main() -> None:
    """Measures, and writes tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about twenty minutes on two cores")
    parser.add_argument("--toy", action="store_true", help="a few minutes: shows that everything runs")
    parser.add_argument("--work", type=Path, help="where rows are kept; without it, a temporary folder")
    parser.add_argument("--imdb", type=Path, default=Path("../shared/data/imdb"), help="folder of the film reviews")
    parser.add_argument("--out", type=Path, help="write compare.md, results.json and plots there")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--tune", action="store_true", help="first choose the settings of every method")
    parser.add_argument("--report", action="store_true", help="measure nothing: tell what --work holds so far")
    options = parser.parse_args()
    size = TOY if options.toy else QUICK if options.quick else FULL
    if options.seeds:
        size = replace(size, seeds=options.seeds, edit_seeds=options.seeds)
    try:
        methods = wanted(options.methods or size.methods, NAMES, "method")
        tasks = wanted(options.tasks, TASKS, "task")
        with tempfile.TemporaryDirectory() as folder:
            run = Run(options.work or Path(folder), options.imdb, size, methods)
            if options.tune and not options.report:
                run.tune()
            if not options.report:
                run.measure(tasks)
            if options.out:
                from benchmarks.compare_tables import write_down

                write_down(options.out, about(sys.argv[1:]), run.log.rows, read(run.work / "tuned.json"))
    except PenPalError as error:
        print(f"benchmarks.compare: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

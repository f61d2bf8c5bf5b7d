"""Personalization measured: the learning curve of simulated people, its cost, and what noise and change do to it.

    python -m benchmarks.personalize [--quick] [--json] [--work DIR] [--out docs/benchmarks]

`--quick` takes at most ten minutes on two cores. The full run takes hours and goes on where it was stopped when it is
given the same `--work`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import numpy as np

from app.learning import personalize
from app.tastes import TASTES, Taste
from app.wiring import open_penpal
from benchmarks.pages import write_page
from benchmarks.people import PENPAL, TASKS_SEED, UNSEEN, Choice, Pool, fill_pool, read_texts, short
from benchmarks.personalize_tables import as_markdown, by_taste, ties_half, win_rate
from benchmarks.remembering_decoder import RememberingDecoder
from benchmarks.row_log import Row, RowLog
from core.contexts import context_of
from core.paths import Home
from core.protocols import Latent, Message
from models.decoder_llama import MAX_DRAFTS
from models.fluency import WrittenDraft, distinct2, perplexity, write_drafts
from models.personal_encoder import GaussianEncoder
from models.writing_tasks import writing_tasks


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    seeds: int
    prompts: int
    """Unseen prompts per person."""
    points: tuple[int, ...]
    random_runs: int


PEOPLE = (
    "first-person", "second-person", "impersonal", "informal", "positive", "negative", "short-words", "long-words",
    "short-sentences", "long-sentences", "brief", "flowing",
)  # fmt: skip
"""Those who are rarely undecided; the rest of `TASTES` see no difference in half of all rounds or more."""
ROWS = "rows.jsonl"
QUICK = Size(rounds=270, seeds=1, prompts=10, points=(50, 200), random_runs=40)
FULL = Size(rounds=2000, seeds=5, prompts=12, points=(50, 200, 10, 1000, 25, 100), random_runs=200)


class Bench:
    """One pool, one decoder, and the rows measured so far."""

    def __init__(self, work: Path, size: Size) -> None:
        self.work, self.size = work, size
        work.mkdir(parents=True, exist_ok=True)
        home = Home(work / "pool")
        with closing(open_penpal(home)) as penpal:
            fill_pool(penpal, size.rounds, say)
            read_texts(penpal)
        self.pool = Pool(home, size.rounds)
        self.penpal = open_penpal(Home(work / "decoder"))
        self.decoder = RememberingDecoder(self.penpal.decoder)
        self.tasks = writing_tasks("held_out", seed=TASKS_SEED)[:UNSEEN]
        self._log = RowLog(work / ROWS)

    def known(self, key: Row) -> Row | None:
        """The row with this key, when it was measured before."""
        return self._log.known(**key)

    def keep(self, row: Row) -> Row:
        """Remembers a row, on disk too."""
        self._log.keep(row)
        say(json.dumps({name: round(v, 3) if isinstance(v, float) else v for name, v in row.items()}))
        return row

    def measured(self, key: Row, measure: Callable[[], Row]) -> Row:
        """The row with this key, measured unless it was before."""
        return self.known(key) or self.keep({**key, **measure()})

    def prompts(self, seed: int) -> list[str]:
        """Those on which people of this seed are compared; nobody has answered about them."""
        start = seed * self.size.prompts % UNSEEN
        return self.tasks[start : start + self.size.prompts]

    def learned(self, answers: Sequence[Choice], *, drafts: bool = True) -> tuple[GaussianEncoder, Row]:
        """What `personalize` makes of these answers: the encoder that is active afterwards."""
        with self.pool.person(answers) as penpal:
            penpal.__dict__["decoder"] = self.decoder
            started = time.monotonic()
            report = personalize(penpal, drafts=drafts, examples=0)
            seconds = time.monotonic() - started
            record = penpal.store.active_encoder()
            made = penpal.load_encoder(record) if record else GaussianEncoder.generic(penpal.clap.latent_size)
        return self.penpal.reading(made), {
            "seconds_personalize": seconds,
            "seconds_learn": report.seconds["learn"],
            "activated": report.activated,
            "accuracy": report.accuracy,
            "p_value": report.p_value,
            "capacity": report.capacity,
            "half_life": report.half_life,
            "strength": report.strength,
        }

    def compared(
        self,
        voices: Sequence[GaussianEncoder],
        tastes: Sequence[Taste],
        prompts: Iterable[str],
        against: GaussianEncoder | None = None,
    ) -> list[Row]:
        """One draft per prompt and voice beside a generic one (or one of `against`) with the same dice."""
        sampling, generic = short(self.penpal), GaussianEncoder.generic(self.penpal.clap.latent_size)
        everybody = [*voices, against or generic, generic]
        drafts: list[list[WrittenDraft]] = [[] for _ in everybody]
        for i, prompt in enumerate(prompts):
            messages, context = (Message("user", prompt),), context_of(prompt)
            latents: list[Latent | None] = [voice.mean(messages, context) for voice in everybody]
            written = []
            for start in range(0, len(latents), MAX_DRAFTS):
                part = latents[start : start + MAX_DRAFTS]
                written += write_drafts(self.decoder, messages, part, sampling, 7_000_000 + i)
            for draft, own in zip(written, drafts, strict=True):
                own.append(draft)
        texts = [[draft.text for draft in own] for own in drafts]
        fluency = {
            "perplexity_generic": perplexity(self.decoder, drafts[-1]),
            "distinct2_generic": distinct2(texts[-1]),
        }
        rows = []
        for own, mine, taste in zip(drafts, texts, tastes, strict=False):
            scores, others = [taste.score(t) for t in mine], [taste.score(t) for t in texts[-2]]
            rows.append(
                {
                    "wins": sum(a > b for a, b in zip(scores, others, strict=True)),
                    "losses": sum(a < b for a, b in zip(scores, others, strict=True)),
                    "prompts": len(mine),
                    "score": fmean(scores),
                    "score_generic": fmean(taste.score(text) for text in texts[-1]),
                    "perplexity": perplexity(self.decoder, own),
                    "distinct2": distinct2(mine),
                    **fluency,
                }
            )
        return rows

    # --- what is measured -------------------------------------------------------------------------------------

    def curve(self) -> list[Row]:
        """Personalized against generic drafts after so many choices."""
        found = []
        for pairs in self.size.points:
            for seed in range(self.size.seeds):
                answers = {name: self.pool.choices(TASTES[name], seed)[:pairs] for name in PEOPLE}
                people = [name for name, given in answers.items() if len(given) == pairs]
                found += self.people(
                    [
                        ({"task": "everyday writing", "method": "penpal", "taste": name, "pairs": pairs, "seed": seed},
                         answers[name], TASTES[name], self.prompts(seed))
                        for name in people
                    ]
                )  # fmt: skip
        return found

    def people(self, cells: Sequence[tuple[Row, Sequence[Choice], Taste, Sequence[str]]]) -> list[Row]:
        """Learns for each person, then writes for all of them together, which is faster than one after the other."""
        waiting = [cell for cell in cells if self.known(cell[0]) is None]
        learned = [self.learned(answers) for _, answers, _, _ in waiting]
        for prompts in {tuple(cell[3]) for cell in waiting}:
            here = [i for i, cell in enumerate(waiting) if tuple(cell[3]) == prompts]
            compared = self.compared([learned[i][0] for i in here], [waiting[i][2] for i in here], prompts)
            for i, measured in zip(here, compared, strict=True):
                self.keep({**waiting[i][0], **learned[i][1], **measured})
        return [row for cell in cells if (row := self.known(cell[0])) is not None]

    def random_labels(self) -> list[Row]:
        """People who pick at random: how often the gate opens."""
        found = []
        for run in range(self.size.random_runs):
            pairs = (10, 50, 200)[run % 3]

            def measure(run: int = run, pairs: int = pairs) -> Row:
                rng = np.random.default_rng(run)
                rounds = [self.pool.rounds[i] for i in rng.permutation(len(self.pool.rounds))[:pairs]]
                sides = [pair if rng.random() < 0.5 else pair[::-1] for pair in rounds]
                _, told = self.learned([Choice(a.turn_id, a.id, b.id) for a, b in sides], drafts=False)
                return told

            found.append(self.measured({"task": "random labels", "pairs": pairs, "seed": run}, measure))
        return found

    def opposites(self, pairs: int = 10) -> list[Row]:
        """Two people of opposite tastes after a few choices: whose drafts are whose? Without the gate, as in chat."""
        found = []
        for one, other in OPPOSITES:
            for seed in range(self.size.seeds):

                def measure(one: str = one, other: str = other, seed: int = seed) -> Row:
                    voices = [self.leaning(self.pool.choices(TASTES[t], seed)[:pairs]) for t in (one, other)]
                    return self.compared(voices[:1], [TASTES[one]], self.prompts(seed), voices[1])[0]

                key = {"task": "opposite tastes", "taste": f"{one} / {other}", "pairs": pairs, "seed": seed}
                found.append(self.measured(key, measure))
        return found

    def leaning(self, answers: Sequence[Choice]) -> GaussianEncoder:
        """The voice of the fast path, which has no gate."""
        with self.pool.person(answers) as penpal:
            penpal.__dict__["decoder"] = self.decoder
            encoder = penpal.writer().voice.encoder
            assert isinstance(encoder, GaussianEncoder)
            return encoder

    def change_of_taste(self, before: int = 100, after: int = 50) -> list[Row]:
        """A person whose taste turns round: drafts under the new taste, generic ones beside them."""
        cells = []
        for one, other in (*OPPOSITES, *(pair[::-1] for pair in OPPOSITES)):
            for seed in range(self.size.seeds):
                first = self.pool.choices(TASTES[one], seed)[:before]
                seen = {choice.turn_id for choice in first}
                second = [c for c in self.pool.choices(TASTES[other], seed) if c.turn_id not in seen][:after]
                key = {"task": "change of taste", "taste": f"{one} then {other}", "pairs": before + after, "seed": seed}
                cells.append((key, [*first, *second], TASTES[other], self.prompts(seed)))
        return self.people(cells)

    def contexts(self, pairs: int = 100) -> list[Row]:
        """A person who likes one thing in mails and its opposite in reviews."""
        found = []
        for one, other in OPPOSITES:
            likes = {"mail": one, "review": other}
            for seed in range(self.size.seeds):
                answers = self._answers_in(likes, pairs, seed)
                key = {"task": "two contexts", "pairs": pairs, "seed": seed}
                keys = {c: {**key, "taste": f"{liked} in {c}"} for c, liked in likes.items()}
                if len(answers) == 2 * pairs and any(self.known(k) is None for k in keys.values()):
                    encoder, told = self.learned(answers)
                    for context, liked in likes.items():
                        prompts = [task for task in self.tasks if context_of(task) == context][: self.size.prompts]
                        (measured,) = self.compared([encoder], [TASTES[liked]], prompts)
                        self.keep({**keys[context], **told, **measured})
                found += [row for k in keys.values() if (row := self.known(k)) is not None]
        return found

    def _answers_in(self, likes: dict[str, str], pairs: int, seed: int) -> list[Choice]:
        """So many answers in each context, mixed."""
        kinds = {left.turn_id: context_of(self._prompt(left.turn_id)) for left, _ in self.pool.rounds}
        found = []
        for context, liked in likes.items():
            found += [c for c in self.pool.choices(TASTES[liked], seed) if kinds[c.turn_id] == context][:pairs]
        return [found[i] for i in np.random.default_rng(seed).permutation(len(found))]

    def _prompt(self, turn_id: int) -> str:
        if not hasattr(self, "_prompts"):
            with closing(open_penpal(self.pool.home)) as penpal:
                turns = [
                    t for c in penpal.store.conversations(origin="demo", limit=10**6) for t in penpal.store.turns(c.id)
                ]
            self._prompts = {turn.id: turn.prompt for turn in turns}
        return self._prompts[turn_id]

    def seconds(self, pairs: int = 200) -> list[Row]:
        """`penpal personalize` as a process of its own on a home whose texts nobody has read: start-up included."""
        found = []
        runs = {"no drafts": ["--no-drafts"], "with report and gate": []}
        for name, options in list(runs.items())[: 1 if self.size is QUICK else 2]:

            def measure(options: list[str] = options) -> Row:
                return self._timed(self.pool.choices(TASTES["first-person"], 0)[:pairs], options)

            found.append(self.measured({"task": "time", "taste": name, "pairs": pairs, "seed": 0}, measure))
        return found

    def _timed(self, answers: Sequence[Choice], options: Sequence[str]) -> Row:
        with self.pool.person(answers, unread=True) as penpal:
            environment = {**os.environ, "PENPAL_HOME": str(penpal.home.folder)}
            started = time.monotonic()
            command = [sys.executable, "-c", PENPAL, "personalize", "--json", *options]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            return {"seconds": time.monotonic() - started, "seconds_learn": json.loads(done.stdout)["seconds"]["learn"]}


OPPOSITES = (
    ("first-person", "impersonal"),
    ("positive", "negative"),
    ("short-words", "long-words"),
    ("short-sentences", "long-sentences"),
    ("informal", "formal"),
)


def say(line: str) -> None:
    """On stderr, so that --json stays clean."""
    print(line, file=sys.stderr, flush=True)


def cpu_name() -> str:
    """What the machine calls its processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def summary(rows: Sequence[Row]) -> Row:
    """The figures by which a version is judged."""
    curve, random_rows, seconds = (
        [row for row in rows if row["task"] == task] for task in ("everyday writing", "random labels", "time")
    )
    at = {pairs: [row for row in curve if row["pairs"] == pairs] for pairs in sorted({r["pairs"] for r in curve})}
    told: Row = {"seconds_200_pairs": next((r["seconds"] for r in seconds if r["taste"] == "no drafts"), None)}
    told["seconds_200_pairs_with_report"] = next(
        (r["seconds"] for r in seconds if r["taste"] == "with report and gate"), None
    )
    for pairs, here in at.items():
        told |= {
            f"win_rate_{pairs}": win_rate(here),
            f"win_rate_ties_half_{pairs}": ties_half(here),
            f"tastes_{pairs}": len({row["taste"] for row in here}),
            f"seeds_{pairs}": len({row["seed"] for row in here}),
            f"worst_taste_{pairs}": min(win_rate(own) for own in by_taste(here).values()),
            f"activated_{pairs}": fmean([row["activated"] for row in here]),
            f"perplexity_personal_{pairs}": fmean([row["perplexity"] for row in here]),
            f"distinct2_ratio_{pairs}": fmean([row["distinct2"] for row in here])
            / fmean([row["distinct2_generic"] for row in here]),
        }
    if curve:
        told["perplexity_generic"] = fmean([row["perplexity_generic"] for row in curve])
    told["random_labels_activated"] = sum(row["activated"] for row in random_rows)
    told["random_labels_runs"] = len(random_rows)
    return told


def main() -> None:
    """Measures, and writes or prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--work", type=Path, help="where to keep the pool and the rows; without it, a temporary folder")
    parser.add_argument("--out", type=Path, help="write personalize.md and personalize.json there")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--report", action="store_true", help="measure nothing: tell what --work holds so far")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    if options.seeds:
        size = Size(**{**size.__dict__, "seeds": options.seeds})
    if options.report:
        rows = list(RowLog(options.work / ROWS).rows)
    else:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure_all(Bench(options.work or Path(folder), size), quick=options.quick)
    told = summary(rows)
    if options.out:
        write_down(options.out, told, rows, options.quick)
    if options.json:
        print(json.dumps(told, indent=1))


def measure_all(bench: Bench, *, quick: bool) -> list[Row]:
    """Everything, what is asked for first before the rest."""
    rows = [*bench.seconds(), *bench.random_labels(), *bench.curve()]
    return rows if quick else [*rows, *bench.opposites(), *bench.change_of_taste(), *bench.contexts()]


def write_down(out: Path, told: Row, rows: list[Row], quick: bool) -> None:
    """personalize.json with every row, personalize.md with tables."""
    about = {
        "command": f"python -m benchmarks.personalize{' --quick' if quick else ''}",
        "machine": f"{cpu_name()}, {os.cpu_count()} cores",
        "llama-cpp-python": version("llama-cpp-python"),
        "numpy": np.__version__,
    }
    write_page(out, "personalize", as_markdown(about, told, rows), {"about": about, "summary": told, "rows": rows})


if __name__ == "__main__":
    main()

"""What years of writing cost: a home with 200,000 drafts and 100,000 answers beside a small one.

    python -m benchmarks.life --work DIR [--drafts 200000] [--trials 5] [--json] [--out docs/benchmarks]

Both homes are made by a seed (`benchmarks.life_home`), kept in `--work`, and used again. What is measured is the real
program on copies of them, in turns: once the large home, once the small one, so that both meet the same machine. A
third home, a tenth of the large one, tells whether `penpal personalize` takes time in proportion. On an idle machine,
that is: on a busy one it measures the others.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from app.pair_choice import Offer, PairChoice
from app.pair_sources import FileSource, FoundPair, Progress
from app.tui.pair_maker import RatedPair
from app.tui.rating_session import Reply, history_of
from app.until_it_matters import how_much_more
from app.wiring import open_penpal
from benchmarks.life_home import ROUND, lived_home
from benchmarks.life_texts import Texts
from benchmarks.pages import markdown_table, write_page
from benchmarks.people import PENPAL
from benchmarks.personalize import cpu_name, say
from benchmarks.start import Chat
from core.candidates import keep_pair
from core.paths import Home
from core.session import Writer
from core.store import Store

DRAFTS, SMALL, TENTH = 200_000, 400, 10
SLOWER_START_S, SEARCH_S, NEXT_PAIR_S, BACKUP_S = 0.5, 0.1, 0.05, 30.0
PAIRS = 40
"""Brought along for `rate`, of which `ANSWERS` are answered."""
ANSWERS = 24
QUERIES = (
    "t", "th", "the", "w", "wi", "garden", "the garden", "delayed proj", "i hope that this finds", "coffee mach",
    "kind regards", "neverwritten",
)  # fmt: skip
"""As somebody types: single letters that come up everywhere, and words that come up often, sometimes, never."""


@dataclass
class Measured:
    """Seconds of one kind, by home."""

    what: str
    target: str
    met: Callable[[Measured], bool] | None
    """None: without a target."""
    large: list[float] = field(default_factory=list)
    small: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        told = {
            f"{home}_{name}": of(seconds)
            for home, seconds in (("large", self.large), ("small", self.small))
            for name, of in (("median", median), ("worst", max))
            if seconds
        }
        met = self.met(self) if self.met else None
        return {"what": self.what, "times": len(self.large), **told, "target": self.target, "met": met}


def hardly_later(one: Measured) -> bool:
    return median(one.large) <= median(one.small) + SLOWER_START_S


def never_over(limit_s: float) -> Callable[[Measured], bool]:
    return lambda one: max(one.large) < limit_s


def mostly_below(limit_s: float) -> Callable[[Measured], bool]:
    return lambda one: median(one.large) < limit_s


def in_proportion(one: Measured) -> bool:
    """Ten times the answers take at most ten times as long as the home of a tenth; `small` is that one here."""
    return max(one.large) <= TENTH * min(one.small)


# --- the parts ----------------------------------------------------------------------------------------------------


def starts(home: Home) -> tuple[float, float]:
    """Seconds until a typed letter stands on the screen of `penpal chat`, and until the backbone can write."""
    with closing(Store(home.database)) as store:
        for place in store.unsaved_places():  # or the letter would be there before it was typed
            store.keep_unsaved(place, "")
    with closing(Chat(home.folder)) as chat:
        chat.wait_for("your prompt")
        chat.type("ß")
        return chat.wait_for("ß"), chat.wait_for("● ready")


def searches(home: Home) -> list[float]:
    """Seconds for each of `QUERIES`."""
    with closing(Store(home.database)) as store:
        store.search("warm")
        return [seconds(lambda query=query: store.search(query)) for query in QUERIES]  # type: ignore[misc]


def next_pairs(home: Home) -> dict[str, list[float]]:
    """Seconds between an answer in `penpal rate` and the next pair, and of what goes on behind it afterwards.

    An answer is recorded, a pair chosen of those that are open, and both of its texts stored: most of that the program
    does ahead. The texts are brought along, so that no draft is written, and the encoder has read them before.
    """
    texts = Texts(seed=99)
    pairs = [FoundPair(texts.new_prompt(), (texts.draft(), texts.draft())) for _ in range(PAIRS)]
    found: dict[str, list[float]] = {"opening": [], "next": [], "after": []}
    with closing(open_penpal(home)) as penpal:
        writer = penpal.writer()
        source, choice = FileSource(pairs), PairChoice(penpal, chance=random.Random(0))

        def opening() -> None:
            history_of(penpal.store)
            penpal.store.own_prompts()
            penpal.store.rated_texts()

        found["opening"].append(seconds(opening))
        read = [source.next(writer, Progress(), hurry=False, cancelled=lambda: False) for _ in range(PAIRS)]
        offers = [choice.read(candidates, writer) for candidates in read if candidates]
        pair = _next_pair(writer, choice, offers)
        for number in range(ANSWERS):
            answered = pair

            def following(answered: RatedPair = answered, left: bool = number % 2 == 0) -> RatedPair:
                Reply("left" if left else "right", "clear").record(writer, answered)
                return _next_pair(writer, choice, offers)

            started = time.monotonic()
            pair = following()
            found["next"].append(time.monotonic() - started)

            def afterwards(turn_id: int = answered.turn_id) -> None:
                penpal.learn_now(writer, turn_id)
                penpal.store.count_lessons(backbone_id=penpal.backbone.id)
                how_much_more(penpal, writer)

            found["after"].append(seconds(afterwards))
    return found


def _next_pair(writer: Writer, choice: PairChoice, offers: list[Offer]) -> RatedPair:
    """Chosen and stored, as `app.tui.pair_maker` does it."""
    chosen = choice.choose(offers[: FileSource.at_once])
    assert chosen is not None
    chosen.offer.use(chosen.pair)
    offers.remove(chosen.offer)
    kept = keep_pair(writer, chosen.offer.candidates, chosen.pair)
    choice.shown(kept, chosen.offer)
    return RatedPair(kept.turn_id, chosen.offer.candidates.prompt, kept.drafts, expected=chosen.expected)


def run(home: Home, *arguments: str | Path) -> tuple[float, Any]:
    """Seconds of a command, and the JSON that it printed."""
    environment = {**os.environ, "PENPAL_HOME": str(home.folder)}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PENPAL, *arguments, "--json"], env=environment, stdout=subprocess.PIPE, check=True
    )
    return time.monotonic() - started, json.loads(done.stdout)


def seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


@contextmanager
def copied(home: Home) -> Iterator[Home]:
    """A copy to do things to, beside the home."""
    with tempfile.TemporaryDirectory(dir=home.folder.parent, prefix="copy-") as folder:
        shutil.copytree(home.folder, folder, dirs_exist_ok=True)
        yield Home(Path(folder))


# --- all of it ----------------------------------------------------------------------------------------------------


def measure(work: Path, drafts: int, trials: int) -> dict[str, Any]:
    """Makes the homes and measures everything."""
    work.mkdir(parents=True, exist_ok=True)
    tenth = max(ROUND, drafts // TENTH // ROUND * ROUND)
    for size in (SMALL, tenth, drafts):
        say(f"a home with {size:,} drafts")
        lived_home(work / f"life-{size}", size)
    large, middle, small = (Home(work / f"life-{size}") for size in (drafts, tenth, SMALL))
    typed = Measured("chat: a typed letter stands on the screen", f"{SLOWER_START_S} s more", hardly_later)
    ready = Measured("chat: the backbone can write", f"{SLOWER_START_S} s more", hardly_later)
    searched = Measured("search, as it is typed", f"{1000 * SEARCH_S:.0f} ms", never_over(SEARCH_S))
    pair = Measured("rate: from an answer to the next pair", f"{1000 * NEXT_PAIR_S:.0f} ms", mostly_below(NEXT_PAIR_S))
    after = Measured("rate: learning from it, behind the next pair", "", None)
    opening = Measured("rate: what is read of earlier answers when it opens", "", None)
    learned = Measured(f"personalize (beside a {TENTH}th of the answers)", f"{TENTH} times as long", in_proportion)
    saved = Measured("backup, checked", f"{BACKUP_S:.0f} s", never_over(BACKUP_S))
    backup_mb: dict[str, float] = {}
    with copied(large) as old, copied(small) as new:
        for trial in range(trials + 1):
            say(f"start {trial} of {trials}")
            for home, name in ((old, "large"), (new, "small")):
                first, whole = starts(home)
                if trial:  # the very first reads files that the system has not read before
                    getattr(typed, name).append(first)
                    getattr(ready, name).append(whole)
        for home, name in ((old, "large"), (new, "small")):
            say(f"search and rate, {name}")
            getattr(searched, name).extend(searches(home))
            rated = next_pairs(home)
            for kind, what in (("next", pair), ("after", after), ("opening", opening)):
                getattr(what, name).extend(rated[kind])
            say(f"backup, {name}")
            with tempfile.TemporaryDirectory(dir=work) as folder:
                took, made = run(home, "backup", Path(folder) / "backup.zip")
            getattr(saved, name).append(took)
            backup_mb[name] = made["size_bytes"] / 1e6
    runs = {}
    for home, name in ((middle, "small"), (large, "large")):
        say(f"personalize, {home.folder.name}")
        with copied(home) as copy:
            took, runs[name] = run(copy, "personalize", "--no-drafts")
        getattr(learned, name).append(took)
    with closing(Store(large.database)) as store:
        counts = store.counts()
    return {
        "machine": f"{cpu_name()}, {os.cpu_count()} cores",
        "drafts": drafts, "small": SMALL, "tenth": tenth, "trials": trials, "rows": counts,
        "database_mb": large.database.stat().st_size / 1e6, "backup_mb": backup_mb,
        "choices": {name: report["pairs"] for name, report in runs.items()},
        "seconds": {name: report["seconds"] for name, report in runs.items()},
        "measured": [one.row() for one in (typed, ready, searched, pair, after, opening, learned, saved)],
    }  # fmt: skip


def as_markdown(found: dict[str, Any], command: str) -> str:
    """The page in docs/benchmarks."""
    rows, choices = found["rows"], found["choices"]
    lines = [
        "# The scale of a life",
        "",
        f"`{command}` ({found['machine']})",
        "",
        f"A home with {rows['drafts']:,} drafts, {rows['feedback']:,} answers, {rows['conversations']:,} conversations",
        f"and {rows['encoders']:,} nightly voices ({found['database_mb']:.0f} MB; its backup",
        f"{found['backup_mb']['large']:.0f} MB), beside one with {found['small']:,} drafts; {found['trials']} starts",
        f"of each, in turns. `personalize` learns from {choices['large']:,} choices, beside {choices['small']:,}",
        "in a home of its own. Searches are of single letters, of words that come up everywhere, and of rare ones.",
        "*Met* is by the median for chat and rate, by the worst for all else.",
        "",
    ]
    table = [
        [row["what"], told(row, "large"), told(row, "small"), row["target"],
         {True: "yes", False: "**no**", None: ""}[row["met"]]]
        for row in found["measured"]
    ]  # fmt: skip
    return "\n".join([*lines, *markdown_table(("what", "large home", "small home", "target", "met"), table)]) + "\n"


def told(row: dict[str, Any], home: str) -> str:
    """'12 ms (worst 20 ms)'."""
    middle, worst = as_time(row[f"{home}_median"]), as_time(row[f"{home}_worst"])
    return middle if middle == worst else f"{middle} (worst {worst})"


def as_time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.995 else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the page or JSON; with --out writes both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="where the homes are kept: 2 GB, and as much for copies"
    )
    parser.add_argument("--drafts", type=int, default=DRAFTS)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="a folder for life.md and life.json")
    options = parser.parse_args(arguments)
    found = measure(options.work, options.drafts // ROUND * ROUND, options.trials)
    page = as_markdown(found, f"python -m benchmarks.life --work DIR --drafts {options.drafts}")
    print(json.dumps(found, indent=1) if options.json else page)
    if options.out:
        write_page(options.out, "life", page, found)


if __name__ == "__main__":
    main()

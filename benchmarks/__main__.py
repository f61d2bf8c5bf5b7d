"""Every taste of `penpal demo`, one after the other, as a table.

python -m benchmarks [--pairs 60] [--prompts 60] [--seed 0] [--out docs/benchmarks]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from app.demo import DemoReport, run_demo
from app.tastes import TASTES
from app.wiring import open_penpal
from benchmarks.remembering_decoder import RememberingDecoder
from core.paths import Home

NOTE = """A simulated person picks between two drafts of the generic voice, PenPal personalizes once, and for each
unseen prompt one draft of the personal voice is compared with one of the generic voice (z = 0). *Choices foreseen* is
cross-validated on the picks; *win rate* leaves ties out; perplexity is under the untouched backbone."""


def measure(decoder: RememberingDecoder, taste: str, pairs: int, prompts: int, seed: int) -> DemoReport:
    """One simulated person, in a home of their own. All share the drafts of the generic voice."""
    with tempfile.TemporaryDirectory() as folder:
        penpal = open_penpal(Home(Path(folder)))
        penpal.__dict__["decoder"] = decoder
        report = run_demo(penpal, taste=taste, pairs=pairs, prompts=prompts, seed=seed)
        penpal.store.close()
        return report


def row(report: DemoReport, seed: int) -> dict[str, object]:
    """One row of results.json."""
    return {
        "task": "everyday writing",
        "taste": report.taste,
        "method": "penpal",
        "pairs": report.pairs,
        "seed": seed,
        "win_rate": report.win_rate,
        "win_rate_ties_half": report.win_rate_ties_half,
        "score": report.score_personal,
        "score_generic": report.score_generic,
        "perplexity": report.perplexity_personal,
        "perplexity_generic": report.perplexity_generic,
        "accuracy": report.accuracy,
        "activated": report.activated,
        "seconds_personalize": report.seconds["personalize"],
        "bytes_per_person": report.bytes_per_person,
    }


def table(reports: list[DemoReport]) -> str:
    """Markdown, one taste a line."""
    lines = [
        "| taste | picks (ties) | choices foreseen | win rate | ties half | score generic to personal | perplexity "
        "| learn, s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in reports:
        lines.append(
            f"| {r.taste} | {r.pairs} ({r.ties}) | {r.accuracy:.0%}{'' if r.activated else ' (kept aside)'} "
            f"| **{r.win_rate:.0%}** | {r.win_rate_ties_half:.0%} | {r.score_generic:.2f} to {r.score_personal:.2f} "
            f"| {r.perplexity_generic:.1f} to {r.perplexity_personal:.1f} | {r.seconds['personalize_learn']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, prints, writes tastes.md and results.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tastes", nargs="*", default=list(TASTES))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    reports = []
    shared = tempfile.TemporaryDirectory()
    decoder = RememberingDecoder(open_penpal(Home(Path(shared.name))).decoder)
    for taste in options.tastes:
        reports.append(measure(decoder, taste, options.pairs, options.prompts, options.seed))
        print(table(reports[-1:]).splitlines()[-1], f"{reports[-1].seconds['total']:.0f} s", flush=True)
    command = f"python -m benchmarks --pairs {options.pairs} --prompts {options.prompts} --seed {options.seed}"
    about = f"{cpu_name()}, {os.cpu_count()} cores, llama-cpp-python {version('llama-cpp-python')}"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tastes.md").write_text(f"# Tastes\n\n`{command}` ({about})\n\n{NOTE}\n\n{table(reports)}\n")
    rows = [row(report, options.seed) for report in reports]
    (options.out / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    examples = {report.taste: [asdict(example) for example in report.examples] for report in reports}
    (options.out / "examples.json").write_text(json.dumps(examples, indent=1) + "\n")


def cpu_name() -> str:
    """What the machine calls its processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
